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
        self._discriminators = discriminators
        self._judged: dict[str, DiscriminatorOutput] = {}
        self.domains = tuple(direction.rpartition("_")[2] for direction in generators)
        self.source = source
        self.source_label = source_label
        self.target = target

    @cached_property
    def fake_target(self) -> Tensor:
        return self._to_target(self.source)

    @cached_property
    def fake_source(self) -> Tensor:
        return self._to_source(self.target)

    @cached_property
    def rec_source(self) -> Tensor:
        return self._to_source(self.fake_target)

    @cached_property
    def rec_target(self) -> Tensor:
        return self._to_target(self.fake_source)

    @cached_property
    def idt_target(self) -> Tensor:
        return self._to_target(self.target)

    @cached_property
    def idt_source(self) -> Tensor:
        return self._to_source(self.source)

    def judged(self, image: str) -> DiscriminatorOutput:
        if image not in self._judged:
            domain, shown = image.rpartition("_")[2], getattr(self, image)
            if domain not in self._discriminators:
                raise PluginError(
                    f"a loss asks for a discriminator's output on '{image}', and the recipe has none for the {domain}"
                )
            with span("discriminators forward"):
                self._judged[image] = self._discriminators[domain](shown)
        return self._judged[image]

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        return self._generators["source_to_target"].features(image, layers)

    def made(self) -> dict[str, Tensor]:
        """The generated images that some loss asked for, by name, cut off from the graph."""
        names = ("fake_target", "fake_source", "rec_source", "rec_target", "idt_target", "idt_source")
        return {name: vars(self)[name].detach() for name in names if name in vars(self)}

    def _to_target(self, image: Tensor) -> Tensor:
        return self._translated("source_to_target", image)

    def _to_source(self, image: Tensor) -> Tensor:
        if "target_to_source" not in self._generators:
            raise PluginError(
                "a loss asks for an image translated from target to source, and the recipe has no such generator; "
                'leave that loss out, or set translation.directions = ["source_to_target", "target_to_source"]'
            )
        return self._translated("target_to_source", image)

    def _translated(self, direction: str, image: Tensor) -> Tensor:
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

    @cached_property
    def real_output(self) -> DiscriminatorOutput:
        return self._judge(self._real)

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        return self._judge(self._fake)

    @cached_property
    def rec_output(self) -> DiscriminatorOutput:
        if self._rec is None:
            raise PluginError(
                f"a loss asks for the discriminator's output on rec_{self.domain}, which no loss of the generators "
                "makes; add a reconstruction loss such as 'cycle'"
            )
        return self._judge(self._rec)

    def _judge(self, image: Tensor) -> DiscriminatorOutput:
        with span("discriminators forward"):
            output: DiscriminatorOutput = self._discriminator(image)
        return output
