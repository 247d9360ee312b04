"""The layers that the networks of this plugin share."""

from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Downsample = Literal["strided", "antialiased"]
_MOST = 2**16  # channels, layers or blocks


def group_norm(features: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """`F.group_norm` of (N, C, H, W) in any memory format, which it keeps, to float32's digits.

    Of channels_last features torch's CPU kernel takes the variance as E[x^2] - E[x]^2, summed in float32: on an even
    surface, such as a sky, no digit of it is right, nor of the gradient. Its kernel for contiguous ones is Welford's.
    """
    return in_format_of(features, F.group_norm(features.contiguous(), groups, weight, bias))


def in_format_of(original: Tensor, features: Tensor) -> Tensor:
    """``features`` in the memory format of ``original``, contiguous or channels_last; both (N, C, H, W)."""
    by_pixel = original.is_contiguous(memory_format=torch.channels_last) and not original.is_contiguous()
    return features.contiguous(memory_format=torch.channels_last if by_pixel else torch.contiguous_format)


def in_fast_format(image: Tensor) -> Tensor:
    """``image`` (N, C, H, W) in the memory format that convolutions are fastest in: channels_last in bf16 on a CPU.

    oneDNN would bring the input and output of every single one to that format and back.
    """
    by_pixel = image.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return image.contiguous(memory_format=torch.channels_last) if by_pixel else image


class GroupNorm(nn.GroupNorm):
    """`group_norm` as a layer with a learnt gain and bias for each channel."""

    def forward(self, features: Tensor) -> Tensor:
        return group_norm(features, self.num_groups, self.weight, self.bias)


def instance_norm(features: Tensor) -> Tensor:
    """Normalise each channel of each image, (N, C, H, W), to mean 0 and variance 1; no affine map, no statistics kept.

    Raises:
        ValueError: the channels are single pixels; each would become 0, whatever it was.
    """
    if features.shape[-2] * features.shape[-1] == 1:
        raise ValueError(
            f"instance norm of {features.shape[1]} channels of 1x1 pixels is all 0; use larger images or fewer stages"
        )
    if features.device.type == "cpu":
        # The same to rounding, and two to three times as fast there; autocast on a GPU would run it in float32.
        return group_norm(features, features.shape[1])
    return F.instance_norm(features)


class InstanceNorm(nn.Module):
    """`instance_norm` as a layer."""

    def forward(self, features: Tensor) -> Tensor:
        return instance_norm(features)


def init_normal(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, 0.02) and set its bias to 0, as CycleGAN does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def reflected(features: Tensor, width: int) -> Tensor:
    """``features`` (N, C, H, W), H and W above ``width``, with a mirrored border of ``width``, in their own dtype."""
    # Autocast would make it float32, twice the memory, only to have a convolution round it again.
    with torch.autocast("cpu", enabled=False) if features.device.type == "cpu" else nullcontext():
        return F.pad(features, (width,) * 4, mode="reflect")


class ReflectConv(nn.Conv2d):
    """A convolution of an odd kernel with reflected borders: (N, C, H, W) -> (N, D, H, W)."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(reflected(features, self.kernel_size[0] // 2))


class ResizeConv(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 followed by a 3x3 convolution: (N, C, H, W) -> (N, D, 2H, 2W).

    Computed as one transposed convolution, whose 4x4 kernel is the 3x3 one spread over the 2x2 pixels that upsampling
    makes of each: the same numbers to rounding from less than half the multiplications, with no enlarged copy.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        # Sums of 2x2 as four times the mean: export to ONNX drops a divisor_override without a word.
        kernel = 4 * F.avg_pool2d(F.pad(self.weight, (1, 1, 1, 1)), 2, stride=1)
        return F.conv_transpose2d(features, kernel.flip(2, 3).transpose(0, 1), self.bias, stride=2, padding=1)


class BlurredConv(nn.Conv2d):
    """Upsampling by 2 as `doubled` does it, then a 3x3 convolution: (N, C, H, W) -> (N, D, 2H, 2W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(doubled(features))


def doubled(features: Tensor) -> Tensor:
    """Twice as high and wide, (N, C, H, W) -> (N, C, 2H, 2W), without an image of the old grid (arXiv 1904.11486).

    Zeros between the pixels, then a [1, 3, 3, 1] / 4 blur down and across, borders repeated: that is what bilinear
    interpolation computes at a factor of 2, in one pass and without the zeros.
    """
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


class Halve(nn.Module):
    """Half as high and wide, (N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2)), H and W 2 or more (arXiv 1904.11486).

    Every channel is blurred by [1, 2, 1] / 4 down and across with reflected borders, and every other row and column
    kept: without the blur, detail finer than the new grid would turn into a pattern that was not there.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        # A constant, so not part of a checkpoint.
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        channels = features.shape[1]
        return F.conv2d(reflected(features, 1), self.kernel.expand(channels, 1, 3, 3), stride=2, groups=channels)


def require_positive(**options: int) -> None:
    """Check whole-number options that must be 1 or more, and no more than any network has.

    Raises:
        ValueError: one of them is not; the message names it.
    """
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
        if value > _MOST:
            raise ValueError(f"{name} must be {_MOST} or less, got {value}")


def to_float32(tensor: Tensor) -> Tensor:
    """At least float32, where half precision would round away what is computed next; float64 stays float64."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
