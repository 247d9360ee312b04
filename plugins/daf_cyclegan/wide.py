"""The 7x7 convolutions at full resolution, which on a CPU cost more than all the rest when they have few channels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from daf_cyclegan.layers import ReflectConv, reflected

ACROSS = 4
"""Pixels side by side that are computed together."""
_FEW = 16


class ReflectConv7(ReflectConv):
    """A 7x7 convolution with reflected borders: (N, C, H, W) -> (N, D, H, W), H and W 4 or more.

    On a CPU, where D is small, four pixels side by side are computed as one pixel of four times the channels: the same
    numbers to rounding in half the time, since the vector units are filled though a third of the products are with 0.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 7)

    def forward(self, features: Tensor) -> Tensor:
        few = features.device.type == "cpu" and self.out_channels <= _FEW and features.shape[-1] % ACROSS == 0
        if not few or self.bias is None:
            return super().forward(features)
        return wide_convolution(reflected(features, 3), self.weight, self.bias)


def wide_convolution(framed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`conv2d` of (N, C, H + 6, W + 6) with ``weight`` (D, C, 7, 7), W a multiple of `ACROSS` -> (N, D, H, W)."""
    images, channels, height, width = framed.shape
    # One more column on either side makes whole groups; the kernel is 0 there.
    groups = F.pad(framed, (1, 1)).view(images, channels, height, -1, ACROSS)
    gathered = groups.permute(0, 1, 4, 2, 3).reshape(images, channels * ACROSS, height, -1)
    wide = F.conv2d(gathered, wide_kernel(weight), bias.repeat_interleave(ACROSS))
    apart = wide.view(images, -1, ACROSS, height - 6, (width - 6) // ACROSS)
    return apart.permute(0, 1, 3, 4, 2).reshape(images, -1, height - 6, width - 6)


def wide_kernel(weight: Tensor) -> Tensor:
    """(D, C, 7, 7) -> (D * `ACROSS`, C * `ACROSS`, 7, 3): from groups of `ACROSS` columns to such groups.

    The b-th column of a group reads columns b + 1 to b + 7 of the three groups around it.
    """
    out, channels = weight.shape[:2]
    shifted = [F.pad(weight, (1 + b, 3 * ACROSS - 8 - b)) for b in range(ACROSS)]
    grouped = torch.stack(shifted, dim=1).view(out, ACROSS, channels, 7, 3, ACROSS)
    return grouped.permute(0, 1, 2, 5, 3, 4).reshape(out * ACROSS, channels * ACROSS, 7, 3)
