"""The U-Net generator of pix2pix."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daf_cyclegan.head import CHANNELS, Head, HeadName
from daf_cyclegan.layers import InstanceNorm, ResizeConv, init_normal, require_positive
from daf_cyclegan.resnet import encoder_features
from daframework.interfaces import Generator


class UNet(Generator):
    """The U-Net generator of pix2pix (arXiv 1611.07004), without dropout: (N, 3, H, W) in [-1, 1] -> same.

    ``depth`` halvings by 4x4 convolutions and as many doublings, with a skip connection at every resolution. The
    deepest activation is not normalised: at 1x1 pixels instance norm would make all of it 0. Height and width must be
    multiples of 2**depth; the default depth of 8 suits 256 px.

    `features` numbers the encoder: 0 is the image, i the activation after i halvings (as the skip connection has it).
    """

    def __init__(
        self,
        *,
        channels: int = 64,
        depth: int = 8,
        upsample: Literal["transposed", "resize"] = "transposed",
        head: HeadName = "paint",
    ) -> None:
        """Build and initialise it: convolutions N(0, 0.02), biases 0.

        Args:
            channels: width after the first halving; it doubles at each of the next three.
            depth: number of halvings, 2 or more.
            upsample: "transposed" is a 4x4 transposed convolution of stride 2; "resize" is nearest-neighbour
                upsampling and a 3x3 convolution, which lets no pattern arise from an even surface.
            head: "paint" makes every pixel anew, as in the paper; "affine" predicts a gain and a bias for each pixel
                and channel of the input and starts as the identity: it keeps the content and learns in fewer steps.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        super().__init__()
        require_positive(channels=channels)
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, got {depth}")
        enlarge: Callable[[int, int], nn.Module] = (
            ResizeConv if upsample == "resize" else lambda i, o: nn.ConvTranspose2d(i, o, 4, 2, 1)
        )
        widths = [channels * min(2**level, 8) for level in range(depth)]
        self.multiple = 2**depth
        self.encoder = nn.Sequential(
            _halving(3, widths[0], normalised=False),
            *(_halving(widths[i - 1], widths[i], normalised=i < depth - 1) for i in range(1, depth)),
        )
        # From the deepest up; each but the first also gets the encoder's activation of the same resolution.
        self.decoder = nn.ModuleList(
            nn.Sequential(enlarge(widths[i] * (1 if i == depth - 1 else 2), widths[i - 1]), InstanceNorm())
            for i in reversed(range(1, depth))
        )
        self.head = Head(head, enlarge(2 * widths[0], CHANNELS[head]))
        init_normal(self)
        self.head.start()

    def forward(self, image: Tensor) -> Tensor:
        skips = encoder_features(self.encoder, image, range(1, len(self.encoder) + 1))
        features = F.relu(skips.pop())
        for stage in self.decoder:
            features = F.relu(torch.cat([skips.pop(), stage(features)], dim=1))
        translated: Tensor = self.head(image, features)
        return translated

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Activations of ``layers``, numbered as above, in their order; nothing beyond the deepest one is computed.

        Raises:
            ValueError: there is no such layer.
        """
        return encoder_features(self.encoder, image, layers)


def _halving(in_channels: int, out_channels: int, *, normalised: bool) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1)
    norm = [InstanceNorm()] if normalised else []
    return nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True))
