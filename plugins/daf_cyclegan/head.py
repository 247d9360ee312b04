"""The end of a generator: how the last layer's numbers become an image."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from daf_cyclegan.layers import in_format_of, to_float32

HeadName = Literal["paint", "affine"]
CHANNELS: dict[HeadName, int] = {"paint": 3, "affine": 6}
"""How many channels the last layer has, by head."""

BRIGHTEST = 1 - 1 / 510
"""A quarter of an 8-bit level inside the range: atanh stays finite, and rounding to 8 bits gives 0 and 255 back."""

_UNIT = 0.5413248546129181  # log(e - 1): softplus of it is 1


def paint(predicted: Tensor) -> Tensor:
    """(N, 3, H, W) of any range -> the image tanh(predicted)."""
    return torch.tanh(to_float32(predicted))


def affine(image: Tensor, predicted: Tensor) -> Tensor:
    """Change ``image`` (N, 3, H, W) in [-1, 1] by a gain and a bias for each pixel and channel.

    tanh(gain * atanh(image) + bias), where ``predicted`` (N, 6, H, W) holds the gain's logit in its first three
    channels and the bias in its last. gain = softplus(logit + log(e - 1)) is never negative, so that no contrast is
    turned round; a prediction of 0 is gain 1 and bias 0. Between -`BRIGHTEST` and `BRIGHTEST` that is the identity,
    and what lies beyond is clamped first.
    """
    gain, bias = to_float32(predicted).chunk(2, dim=1)
    # In bf16 the clamped extremes would round to 1, whose atanh is infinite.
    logits = torch.atanh(to_float32(image).clamp(-BRIGHTEST, BRIGHTEST))
    return torch.tanh(F.softplus(gain + _UNIT) * logits + bias)


class Head(nn.Module):
    """The last layer and its head, ``"paint"`` or ``"affine"``."""

    def __init__(self, head: HeadName, last: nn.Module) -> None:
        super().__init__()
        self.affine = head == "affine"
        self.last = last

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        predicted = in_format_of(image, self.last(features))
        return affine(image, predicted) if self.affine else paint(predicted)

    def start(self) -> None:
        """Let an affine head start as the identity: the layers before it then learn from the second step on."""
        if self.affine:
            for parameter in self.last.parameters():
                nn.init.zeros_(parameter)
