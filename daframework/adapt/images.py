"""The images of one training step, made when a loss first asks for them and only once."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from daframework.errors import PluginError
from daframework.interfaces import DiscriminatorOutput, Generator
from daframework.profiling import span

Network = Callable[[Tensor], Any]
ORIGINS = {
    "fake_target": "source",
    "fake_source": "target",
    "rec_source": "fake_target",
    "rec_target": "fake_source",
    "idt_target": "target",
    "idt_source": "source",
}
"""What each of a step's images is translated from. The last word of a name is the domain that it looks like."""


def domain_of(image: str) -> str:
    """``"target"`` of ``"fake_target"``: whose generator makes it, and whose discriminator judges it."""
    return image.rpartition("_")[2]


class StepImages:
    """See `daframework.interfaces.StepImages`. Generators go by direction, discriminators by domain."""

    def __init__(
        self,
        generators: Mapping[str, Generator],
        discriminators: Mapping[str, Network],
        source: Tensor,
        source_label: Tensor,
        target: Tensor,
        *,
        recompute: bool = False,
    ) -> None:
        """Keep what the images are made from; nothing is computed yet. See `GeneratorObjective` for ``recompute``."""
        self._recompute = recompute
        self._generators = generators
        self.discriminators = discriminators
        self.outputs: dict[str, DiscriminatorOutput] = {}
        self.domains = tuple(domain_of(direction) for direction in generators)
        self.source = source
        self.source_label = source_label
        self.target = target

    @cached_property
    def fake_target(self) -> Tensor:
        return self._made("fake_target")

    @cached_property
    def fake_source(self) -> Tensor:
        return self._made("fake_source")

    @cached_property
    def rec_source(self) -> Tensor:
        return self._made("rec_source")

    @cached_property
    def rec_target(self) -> Tensor:
        return self._made("rec_target")

    @cached_property
    def idt_target(self) -> Tensor:
        return self._made("idt_target")

    @cached_property
    def idt_source(self) -> Tensor:
        return self._made("idt_source")

    def judged(self, image: str) -> DiscriminatorOutput:
        if image not in self.outputs:
            self.outputs[image] = self.judge(image, getattr(self, image))
        return self.outputs[image]

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        return self._generators["source_to_target"].features(image, layers)

    def made(self) -> dict[str, Tensor]:
        """The generated images that some loss asked for, by name, cut off from the graph."""
        return {name: vars(self)[name].detach() for name in ORIGINS if name in vars(self)}

    def translate(self, name: str, image: Tensor) -> Tensor:
        """The image called ``name``, made from ``image``.

        Raises:
            PluginError: no generator makes it, or one changes the shape.
        """
        direction = "source_to_target" if domain_of(name) == "target" else "target_to_source"
        if direction not in self._generators:
            raise PluginError(
                "a loss asks for an image translated from target to source, and the recipe has no such generator; "
                'leave that loss out, or set translation.directions = ["source_to_target", "target_to_source"]'
            )
        generator = self._generators[direction]
        with span("generators forward"):
            translated: Tensor = (
                checkpoint(generator, image, use_reentrant=False) if self._recompute else generator(image)
            )
        if translated.shape != image.shape:
            raise PluginError(
                f"generator {direction} must keep the shape {tuple(image.shape)} of what it translates, "
                f"got {tuple(translated.shape)}"
            )
        return translated

    def judge(self, name: str, image: Tensor) -> DiscriminatorOutput:
        """What the discriminator of its domain sees in ``image``, which is called ``name``.

        Raises:
            PluginError: there is none.
        """
        domain = domain_of(name)
        if domain not in self.discriminators:
            raise PluginError(
                f"a loss asks for a discriminator's output on '{name}', and the recipe has none for the {domain}"
            )
        with span("discriminators forward"):
            output: DiscriminatorOutput = self.discriminators[domain](image)
        return output

    def _made(self, name: str) -> Tensor:
        return self.translate(name, getattr(self, ORIGINS[name]))


class DomainImages:
    """See `daframework.interfaces.DomainImages`."""

    def __init__(
        self,
        domain: str,
        discriminator: Network,
        *,
        real: Tensor,
        fake: Tensor,
        rec: Tensor | None,
        real_label: Tensor | None,
        fake_label: Tensor | None,
    ) -> None:
        """Keep the domain's images; the discriminator runs when its output is first asked for."""
        self.domain = domain
        self.real_label = real_label
        self.fake_label = fake_label
        self.rec_label = real_label
        self._discriminator = discriminator
        self._real = real
        self._fake = fake
        self._rec = rec
        self._outputs: dict[str, DiscriminatorOutput] = {}

    @property
    def real_output(self) -> DiscriminatorOutput:
        return self._output("real", self._real)

    @property
    def fake_output(self) -> DiscriminatorOutput:
        return self._output("fake", self._fake)

    @property
    def rec_output(self) -> DiscriminatorOutput:
        if self._rec is None:
            raise PluginError(
                f"a loss asks for the discriminator's output on rec_{self.domain}, which no loss of the generators "
                "makes; add a reconstruction loss such as 'cycle'"
            )
        return self._output("rec", self._rec)

    # Not `cached_property`, which in Python 3.11 would make one domain's thread wait for the other's.
    def _output(self, kind: str, image: Tensor) -> DiscriminatorOutput:
        if kind not in self._outputs:
            with span("discriminators forward"):
                self._outputs[kind] = self._discriminator(image)
        return self._outputs[kind]
