"""CycleGAN's generator: a convolutional trunk with residual blocks at a quarter of the resolution."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn

from daf_cyclegan.head import CHANNELS, Head, HeadName
from daf_cyclegan.layers import (
    BlurredConv,
    Downsample,
    Halve,
    InstanceNorm,
    ReflectConv,
    ResizeConv,
    in_fast_format,
    init_normal,
    require_positive,
)
from daframework.interfaces import Generator


class ResNet(Generator):
    """The residual generator of CycleGAN (arXiv 1703.10593, after arXiv 1603.08155): (N, 3, H, W) in [-1, 1] -> same.

    A 7x7 convolution, two 3x3 ones of stride 2, residual blocks, two upsampling layers and a 7x7 convolution; instance
    norm and ReLU between them, reflected borders around the 7x7 convolutions and in the blocks. As it stands 11,378,179
    parameters. Height and width must be multiples of 4 and at least 8.

    `features` numbers the encoder: 0 is the image, 1 the first layer (``channels`` at full resolution), 2 and 3 the two
    halvings (2 and 4 times ``channels``), 4 to 3 + ``blocks`` the blocks, each after its last norm, ReLU or blur.
    """

    multiple = 4
    smallest = 8  # the blocks, at a quarter of the resolution, reflect one pixel and normalise

    def __init__(
        self,
        *,
        channels: int = 64,
        blocks: int = 9,
        downsample: Downsample = "strided",
        upsample: Literal["transposed", "resize", "antialiased"] = "transposed",
        head: HeadName = "paint",
    ) -> None:
        """Build and initialise it: convolutions N(0, 0.02), biases 0.

        Args:
            channels: width at full resolution; it doubles at each of the two halvings.
            blocks: number of residual blocks.
            downsample: "strided" halves by 3x3 convolutions of stride 2, as in the paper; "antialiased" by ones of
                stride 1, norm, ReLU and a blur of stride 2 (arXiv 1904.11486), as CUT does: steadier under small
                shifts of the image, for four times the multiplications of these two layers.
            upsample: "transposed" is a 3x3 transposed convolution of stride 2, as in the paper, which can leave a
                checkerboard; "resize" is nearest-neighbour upsampling and a 3x3 convolution, which lets no pattern
                arise from an even surface; "antialiased" is a blurred upsampling and a 3x3 convolution, as in CUT.
            head: "paint" makes every pixel anew, as in the paper; "affine" predicts a gain and a bias for each pixel
                and channel of the input and starts as the identity: it keeps the content and learns in fewer steps.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        super().__init__()
        require_positive(channels=channels, blocks=blocks)
        enlarge: Callable[[int, int], nn.Module] = {
            "transposed": lambda i, o: nn.ConvTranspose2d(i, o, 3, 2, 1, output_padding=1),
            "resize": ResizeConv,
            "antialiased": BlurredConv,
        }[upsample]
        blur = downsample == "antialiased"
        self.encoder = nn.Sequential(
            _stage(ReflectConv(3, channels, 7)),
            _halving(channels, 2 * channels, blur=blur),
            _halving(2 * channels, 4 * channels, blur=blur),
            *(ResidualBlock(4 * channels) for _ in range(blocks)),
        )
        self.decoder = nn.Sequential(*(_stage(enlarge(2 * width, width)) for width in (2 * channels, channels)))
        self.head = Head(head, ReflectConv(channels, CHANNELS[head], 7))
        init_normal(self)
        self.head.start()

    def forward(self, image: Tensor) -> Tensor:
        translated: Tensor = self.head(image, self.decoder(self.encoder(in_fast_format(image))))
        return translated

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Activations of ``layers``, numbered as above, in their order; nothing beyond the deepest one is computed.

        Raises:
            ValueError: there is no such layer.
        """
        return encoder_features(self.encoder, in_fast_format(image), layers)


class ResidualBlock(nn.Module):
    """x + f(x), both (N, channels, H, W), f two 3x3 convolutions with reflected borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (ReflectConv(channels, channels, 3) for _ in range(2))
        self.change = nn.Sequential(_stage(first), second, InstanceNorm())

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = features + self.change(features)
        return changed


def encoder_features(encoder: nn.Sequential, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """Activations of an encoder's stages: 0 is the image, i what stage i - 1 gives.

    Raises:
        ValueError: there is no such layer.
    """
    if not layers:
        return []
    if min(layers) < 0 or max(layers) > len(encoder):
        raise ValueError(f"layers must be from 0 to {len(encoder)}, got {list(layers)}")
    activations = [image]
    for stage in encoder[: max(layers)]:
        activations.append(stage(activations[-1]))
    return [activations[layer] for layer in layers]


def _stage(convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, InstanceNorm(), nn.ReLU(inplace=True))


def _halving(in_channels: int, out_channels: int, *, blur: bool) -> nn.Sequential:
    stage = _stage(nn.Conv2d(in_channels, out_channels, 3, stride=1 if blur else 2, padding=1))
    return stage.append(Halve()) if blur else stage
