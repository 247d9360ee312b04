"""The 7x7 convolutions at full resolution, which on a CPU cost more than all the rest when they have few channels."""

from math import gcd

import torch
from torch import Tensor
from torch.nn import functional as F

from daf_cyclegan.layers import ReflectConv, reflected

_LANES = 16
"""Channels that a CPU's vector units take at once; what is missing to a multiple is computed for nothing."""
_MOST_ROWS = 4
_FEW = 32


class ReflectConv7(ReflectConv):
    """A 7x7 convolution with reflected borders: (N, C, H, W) -> (N, D, H, W), H and W 4 or more.

    On a CPU, where D is small, rows one above the other are computed together, as one row of two or four times the
    channels: the same numbers to rounding in half the time and less, since the vector units are filled, though some of
    the products are with 0.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 7)

    def forward(self, features: Tensor) -> Tensor:
        rows = 1
        if features.device.type == "cpu":
            half = features.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
            rows = rows_together(self.out_channels, half=half)
        if rows == 1 or features.shape[-2] % rows or self.bias is None:
            return super().forward(features)
        return convolution_by_rows(reflected(features, 3), self.weight, self.bias, rows)


def rows_together(out_channels: int, *, half: bool) -> int:
    """How many rows, 1, 2 or 4, are fastest computed together: as many as the vector units hold.

    In ``half`` precision a convolution whose channels leave a part of a vector over is slower by more than that part,
    so it pays to fill several whole vectors.
    """
    whole = _LANES // gcd(_LANES, out_channels)
    if half and whole <= _MOST_ROWS and out_channels < _FEW:
        return whole
    return max((rows for rows in (2, _MOST_ROWS) if out_channels * rows <= _LANES), default=1)


def convolution_by_rows(framed: Tensor, weight: Tensor, bias: Tensor, rows: int) -> Tensor:
    """`conv2d` of (N, C, H + 6, W + 6) with ``weight`` (D, C, 7, 7), H a multiple of ``rows`` -> (N, D, H, W)."""
    images, channels, _, width = framed.shape
    # Of four, one more row above and below makes whole groups; the kernel is 0 there.
    groups = F.pad(framed, (0, 0, *_more(rows))).view(images, channels, -1, rows, width)
    gathered = groups.transpose(2, 3).reshape(images, channels * rows, -1, width)
    # Pixel by pixel a CPU's convolutions are a third faster; what lies between two copies may have any order.
    gathered = gathered.contiguous(memory_format=torch.channels_last)
    together = F.conv2d(gathered, kernel_by_rows(weight, rows), bias.repeat_interleave(rows))
    apart = together.contiguous().view(images, -1, rows, *together.shape[2:])
    return apart.transpose(2, 3).reshape(images, len(weight), -1, width - 6)


def kernel_by_rows(weight: Tensor, rows: int) -> Tensor:
    """(D, C, 7, 7) -> (D * ``rows``, C * ``rows``, height, 7): from groups of so many rows to such groups.

    Of a group's rows, each reads the seven around it, which lie in this group and those above and below.
    """
    out, channels = weight.shape[:2]
    above, below = _more(rows)
    shifted = [F.pad(weight, (0, 0, above + row, rows - 1 - row + below)) for row in range(rows)]
    grouped = torch.stack(shifted, dim=1).view(out, rows, channels, -1, rows, 7)
    return grouped.transpose(3, 4).reshape(out * rows, channels * rows, -1, 7)


def _more(rows: int) -> tuple[int, int]:
    """Rows to add above and below a border of 3 rows, so that it is whole groups."""
    more = -6 % rows
    return more // 2, more - more // 2
