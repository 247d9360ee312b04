"""CycleGAN's discriminator."""

from typing import Literal

from torch import Tensor, nn

from daf_cyclegan.layers import Downsample, Halve, InstanceNorm, init_normal, require_positive
from daframework.interfaces import Discriminator, DiscriminatorOutput

Norm = Literal["instance", "none"]
SLOPE = 0.2


class PatchGAN(Discriminator):
    """Judges overlapping patches (arXiv 1611.07004): (N, 3, H, W) in [-1, 1] -> ``realness`` (N, 1, h, w).

    4x4 convolutions: ``layers`` of stride 2, one of stride 1, and the one that judges; instance norm in all but the
    first and last, LeakyReLU 0.2. As it stands 2,764,737 parameters and patches of 70x70 px; 256 px in are 30x30 out.
    """

    def __init__(
        self, *, channels: int = 64, layers: int = 3, norm: Norm = "instance", downsample: Downsample = "strided"
    ) -> None:
        """Build and initialise it: convolutions N(0, 0.02), biases 0; without a norm, He's for all but the last.

        Args:
            channels: width of the first layer; it doubles with every further one, up to 8 times.
            layers: number of halvings. Patches are 16, 34, 70 and 142 px wide for 1, 2, 3 and 4; 18, 40, 84 and 172 px
                where they are antialiased.
            norm: "instance" as in the paper, or "none". Instance norm takes the mean out of each channel, and with it
                much of an image's overall brightness and colour; without it a small discriminator sees these sooner.
            downsample: "strided" halves by convolutions of stride 2, as in the paper; "antialiased" by ones of stride 1
                and, after the LeakyReLU, a blur of stride 2 (arXiv 1904.11486), as CUT does, for four times the
                multiplications of these layers.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        super().__init__()
        require_positive(channels=channels, layers=layers)
        blur = downsample == "antialiased"
        self.widths = [channels * min(2**level, 8) for level in range(layers + 1)]
        self.stages = nn.Sequential(
            _halving(3, channels, norm="none", blur=blur),
            *(_halving(self.widths[i - 1], self.widths[i], norm=norm, blur=blur) for i in range(1, layers)),
            _stage(self.widths[-2], self.widths[-1], stride=1, norm=norm),
        )
        self.last = nn.Conv2d(self.widths[-1], 1, 4, padding=1)
        init_normal(self)
        if norm == "none":
            # N(0, 0.02) counts on a norm behind it: without one every layer would make its input fainter.
            for module in self.stages.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, a=SLOPE)

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.last(self.stages(image)), None)


def _stage(in_channels: int, out_channels: int, *, stride: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, 4, stride=stride, padding=1)]
    if norm == "instance":
        layers.append(InstanceNorm())
    return nn.Sequential(*layers, nn.LeakyReLU(SLOPE, inplace=True))


def _halving(in_channels: int, out_channels: int, *, norm: Norm, blur: bool) -> nn.Sequential:
    stage = _stage(in_channels, out_channels, stride=1 if blur else 2, norm=norm)
    return stage.append(Halve()) if blur else stage
