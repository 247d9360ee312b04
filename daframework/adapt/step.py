"""One training step's images, made when a loss first asks for them, and its two objectives.

All forward passes of the networks happen inside the objectives, so that distributed training, autocast and compilation
see one module each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from daframework.build import Term
from daframework.errors import PluginError
from daframework.interfaces import Discriminator, DiscriminatorOutput, Generator
from daframework.spans import span

T = TypeVar("T")
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


class Fake(NamedTuple):
    """Translations, and the labels of what they were made from: None where that was the target."""

    image: Tensor
    label: Tensor | None


class GeneratorStep(NamedTuple):
    """``total`` to minimise; unweighted losses by ``generator/<loss>``; the images made, detached, by name."""

    total: Tensor
    values: dict[str, Tensor]
    images: dict[str, Tensor]


class DiscriminatorStep(NamedTuple):
    """``total`` to minimise; unweighted losses by ``discriminator_<domain>/<loss>``."""

    total: Tensor
    values: dict[str, Tensor]


class GeneratorObjective(nn.Module):
    """What both generators, and the losses' own weights, minimise. The discriminators are used as they are."""

    def __init__(
        self,
        generators: Mapping[str, Generator],
        discriminators: Mapping[str, Discriminator],
        terms: Iterable[Term],
        *,
        recompute: bool = False,
    ) -> None:
        """``generators`` by direction and the losses become submodules; ``discriminators`` by domain do not.

        ``recompute`` keeps none of the generators' activations and computes them once more in the backward pass.
        """
        super().__init__()
        self._recompute = recompute
        self.generators = nn.ModuleDict(dict(generators))
        self.terms = list(terms)
        self.losses = nn.ModuleDict({term.name: term.loss for term in self.terms})
        # A plain tuple, so that they are neither trained, synchronised nor saved from here.
        self._discriminators = tuple(discriminators.items())

    def forward(self, source: Tensor, source_label: Tensor, target: Tensor) -> GeneratorStep:
        """One step's images (N, 3, H, W) in [-1, 1] and source labels (N, H, W) -> the sum of weighted losses."""
        generators = cast("dict[str, Generator]", dict(self.generators.items()))
        images = StepImages(
            generators, dict(self._discriminators), source, source_label, target, recompute=self._recompute
        )
        total, values = source.new_zeros(()), {}
        for term in self.terms:
            value = _scalar(term, term.loss.generator_loss, images)
            if value is not None:
                total = total + term.weight * value
                values[f"generator/{term.name}"] = value.detach()
        return GeneratorStep(total, values, images.made())


class DiscriminatorObjective(nn.Module):
    """What the discriminators minimise, both domains together."""

    def __init__(self, discriminators: Mapping[str, Discriminator], terms: Iterable[Term]) -> None:
        """``discriminators`` by domain become submodules; the losses belong to the generators' objective."""
        super().__init__()
        self.discriminators = nn.ModuleDict(dict(discriminators))
        self._terms = tuple(terms)

    def forward(
        self,
        real: dict[str, Tensor],
        source_label: Tensor,
        fake: dict[str, Fake],
        reconstructed: dict[str, Tensor],
    ) -> DiscriminatorStep:
        """Images by domain; a domain without a fake, as in a one-sided method, takes no part."""
        total, values = source_label.new_zeros((), dtype=torch.float32), {}
        for domain, discriminator in self.discriminators.items():
            if domain not in fake:
                continue
            images = DomainImages(
                domain,
                discriminator,
                real=real[domain],
                fake=fake[domain].image,
                rec=reconstructed.get(domain),
                real_label=source_label if domain == "source" else None,
                fake_label=fake[domain].label,
            )
            for term in self._terms:
                value = _scalar(term, term.loss.discriminator_loss, images)
                if value is not None:
                    total = total + term.weight * value
                    values[f"discriminator_{domain}/{term.name}"] = value.detach()
        return DiscriminatorStep(total, values)


def _scalar(term: Term, side: Callable[[T], Tensor | None], images: T) -> Tensor | None:
    """One side of a loss on the ``images`` of a step; an error in it says which loss it was.

    Raises:
        PluginError: it is no scalar.
    """
    try:
        value = side(images)
    except Exception as error:
        error.add_note(f"in loss '{term.name}'")
        raise
    if value is not None and value.ndim:
        raise PluginError(f"loss '{term.name}' must give a scalar, got a tensor of shape {tuple(value.shape)}")
    return value


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
        self.domains = tuple(_domain_of(direction) for direction in generators)
        self.source = source
        self.source_label = source_label
        self.target = target

    @cached_property
    def fake_target(self) -> Tensor:
        return self._translated("fake_target")

    @cached_property
    def fake_source(self) -> Tensor:
        return self._translated("fake_source")

    @cached_property
    def rec_source(self) -> Tensor:
        return self._translated("rec_source")

    @cached_property
    def rec_target(self) -> Tensor:
        return self._translated("rec_target")

    @cached_property
    def idt_target(self) -> Tensor:
        return self._translated("idt_target")

    @cached_property
    def idt_source(self) -> Tensor:
        return self._translated("idt_source")

    def judged(self, image: str) -> DiscriminatorOutput:
        if image not in self._judged:
            domain, shown = _domain_of(image), getattr(self, image)
            if domain not in self._discriminators:
                raise PluginError(
                    f"a loss asks for a discriminator's output on '{image}', and the recipe has none for the {domain}"
                )
            self._judged[image] = _judge(self._discriminators[domain], shown)
        return self._judged[image]

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        return self._generators["source_to_target"].features(image, layers)

    def made(self) -> dict[str, Tensor]:
        """The generated images that some loss asked for, by name, detached."""
        return {name: vars(self)[name].detach() for name in ORIGINS if name in vars(self)}

    def _translated(self, name: str) -> Tensor:
        image: Tensor = getattr(self, ORIGINS[name])
        direction = "source_to_target" if _domain_of(name) == "target" else "target_to_source"
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
        return _judge(self._discriminator, self._real)

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        return _judge(self._discriminator, self._fake)

    @cached_property
    def rec_output(self) -> DiscriminatorOutput:
        if self._rec is None:
            raise PluginError(
                f"a loss asks for the discriminator's output on rec_{self.domain}, which no loss of the generators "
                "makes; add a reconstruction loss such as 'cycle'"
            )
        return _judge(self._discriminator, self._rec)


def _domain_of(image: str) -> str:
    """``"target"`` of ``"fake_target"``: whose generator makes it, and whose discriminator judges it."""
    return image.rpartition("_")[2]


def _judge(discriminator: Network, image: Tensor) -> DiscriminatorOutput:
    with span("discriminators forward"):
        output: DiscriminatorOutput = discriminator(image)
    return output
