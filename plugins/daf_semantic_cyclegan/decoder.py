"""The decoder that turns an encoder's features into a segmentation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daf_cyclegan.layers import GroupNorm


class Decoder(nn.Module):
    """Segments from an encoder's features, like a U-Net (arXiv 1505.04597): -> logits (N, num_classes, H, W).

    From the deepest features on, narrowed by a 1x1 convolution: enlarge to the next features' size, append them, 3x3
    convolution, norm, ReLU. The last to be appended is the image itself with each 2x2 pixels side by side as 12
    channels, so that all layers work at half the resolution or less and yet every pixel is seen; the last layer gives
    the logits of 2x2 pixels side by side.
    """

    multiple = 2

    def __init__(self, widths: Sequence[int], width: int, num_classes: int) -> None:
        """``widths`` of the encoder's features from shallow to deep; ``width`` is its own at half the resolution."""
        super().__init__()
        skips = [12, *widths[:-1]]
        # Two blocks work at half the resolution, where a convolution costs most: only the deeper ones are wider.
        outputs = [width if level < 2 else 2 * width for level in range(len(skips))]
        self.narrow = nn.Conv2d(widths[-1], outputs[-1], 1)
        inputs = [*outputs[1:], outputs[-1]]
        self.blocks = nn.ModuleList(Block(inputs[i], skips[i], outputs[i]) for i in reversed(range(len(skips))))
        self.classify = nn.Conv2d(width, 4 * num_classes, 1)
        for parameter in self.classify.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> Tensor:
        """``image`` (N, 3, H, W) with even H and W, and the encoder's features of it from shallow to deep."""
        skips = [F.pixel_unshuffle(image, 2), *features[:-1]]
        decoded = self.narrow(features[-1])
        for block in self.blocks:
            decoded = block(decoded, skips.pop())
        return F.pixel_shuffle(self.classify(decoded), 2)


class Block(nn.Module):
    """Enlarge features to the size of a skip connection's, and merge both."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.balance = GroupNorm(1, skip_channels)
        self.merge = nn.Conv2d(in_channels + skip_channels, out_channels, 3, padding=1, bias=False)
        self.norm = GroupNorm(1, out_channels)
        nn.init.kaiming_normal_(self.merge.weight, nonlinearity="relu")

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        size = skip.shape[-2:]
        if features.shape[-2:] != size:
            features = F.interpolate(features, size=size, mode="bilinear", align_corners=False)
        merged = self.merge(torch.cat([features, self.balance(skip)], dim=1))
        return F.relu(self.norm(merged), inplace=True)
