"""One training step's images, made when a loss first asks for them, and its two objectives.

All forward passes of the networks happen inside the objectives, so that distributed training, autocast and compilation
see one module each.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar, cast

import torch
from attrs import define, field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from daframework.errors import DataError, PluginError
from daframework.interfaces import Batch, DiscriminatorOutput, Generator
from daframework.networks import DOMAINS, Networks, Term
from daframework.spans import span

T = TypeVar("T")
Network = Callable[[Tensor], DiscriminatorOutput]


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

    def __init__(self, networks: Networks, *, recompute: bool = False) -> None:
        """The generators and the losses become submodules; the discriminators do not.

        ``recompute`` keeps none of the generators' activations and computes them once more in the backward pass.
        """
        super().__init__()
        # No module, so that the discriminators in it are neither trained, synchronised nor saved from here.
        self._networks, self._recompute = networks, recompute
        self.generators = nn.ModuleDict(dict(networks.generators))
        self.losses = nn.ModuleDict({term.name: term.loss for term in networks.terms})

    def forward(self, source: Tensor, source_label: Tensor | None, target: Tensor) -> GeneratorStep:
        """One step's images (N, 3, H, W) in [-1, 1] and the source's classes (N, H, W), None where it has none -> the
        sum of weighted losses.
        """
        generators = cast("dict[str, Generator]", dict(self.generators.items()))
        judges = self._networks.discriminators
        images = StepImages(generators, judges, source, source_label, target, self._recompute)
        total, values = source.new_zeros(()), {}
        for term in self._networks.terms:
            value = _scalar(term, term.loss.generator_loss, images)
            if value is not None:
                total = total + term.weight * value
                values[f"generator/{term.name}"] = value.detach()
        return GeneratorStep(total, values, images.made())


class DiscriminatorObjective(nn.Module):
    """What the discriminators minimise, both domains together."""

    def __init__(self, networks: Networks) -> None:
        """The discriminators become submodules; the losses belong to the generators' objective."""
        super().__init__()
        self.discriminators = nn.ModuleDict(dict(networks.discriminators))
        self._terms = networks.terms

    def forward(
        self,
        real: dict[str, Tensor],
        source_label: Tensor | None,
        fake: dict[str, Fake],
        reconstructed: dict[str, Tensor],
    ) -> DiscriminatorStep:
        """Images by domain; a domain without a fake, as in a one-sided method, takes no part."""
        total, values = real["source"].new_zeros((), dtype=torch.float32), {}
        for domain, discriminator in self.discriminators.items():
            if domain not in fake:
                continue
            label = source_label if domain == "source" else None
            images = DomainImages(domain, discriminator, real[domain], fake[domain], reconstructed.get(domain), label)
            for term in self._terms:
                value = _scalar(term, term.loss.discriminator_loss, images)
                if value is not None:
                    total = total + term.weight * value
                    values[f"discriminator_{domain}/{term.name}"] = value.detach()
        return DiscriminatorStep(total, values)


def to_judge(
    source: Batch,
    target: Batch,
    made: GeneratorStep,
    exchanged: Callable[[str, Fake], Fake] = lambda domain, fake: fake,
) -> tuple[dict[str, Tensor], Tensor | None, dict[str, Fake], dict[str, Tensor]]:
    """What `DiscriminatorObjective` is given of a batch; a domain's translations are ``exchanged`` for past ones."""
    fakes = {
        domain: exchanged(domain, Fake(made.images[f"fake_{domain}"], label))
        for domain, label in (("source", None), ("target", source.label))
        if f"fake_{domain}" in made.images
    }
    rebuilt = {domain: made.images[f"rec_{domain}"] for domain in DOMAINS if f"rec_{domain}" in made.images}
    return {"source": source.image, "target": target.image}, source.label, fakes, rebuilt


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
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise PluginError(f"loss '{term.name}' must give a scalar tensor or None, got {type(value).__name__}")
    if value.ndim:
        raise PluginError(f"loss '{term.name}' must give a scalar, got a tensor of shape {tuple(value.shape)}")
    return value


class _Made(cached_property[Tensor]):
    """An image of a step, translated from its ``origin`` when first asked for. Its name's last word is how it looks."""

    def __init__(self, origin: str) -> None:
        super().__init__(self._translated)
        self.origin = origin

    def _translated(self, images: "StepImages") -> Tensor:
        image: Tensor = getattr(images, self.origin)
        direction = "source_to_target" if _domain_of(str(self.attrname)) == "target" else "target_to_source"
        return images.translated(image, direction)


@define(eq=False, slots=False)
class StepImages:
    """See `daframework.interfaces.StepImages`. Generators go by direction, discriminators by domain.

    See `GeneratorObjective` for ``recompute``.
    """

    _generators: Mapping[str, Generator]
    _discriminators: Mapping[str, Network]
    source: Tensor
    _source_label: Tensor | None
    target: Tensor
    _recompute: bool = False
    _judged: dict[str, DiscriminatorOutput] = field(factory=dict, init=False)

    fake_target, fake_source = _Made("source"), _Made("target")
    rec_source, rec_target = _Made("fake_target"), _Made("fake_source")
    idt_target, idt_source = _Made("target"), _Made("source")

    @property
    def source_label(self) -> Tensor:
        if self._source_label is None:
            raise DataError("a loss asks for the source's classes, and it has none; leave the loss out")
        return self._source_label

    @property
    def domains(self) -> tuple[str, ...]:
        return tuple(map(_domain_of, self._generators))

    def judged(self, image: str) -> DiscriminatorOutput:
        if image not in self._judged:
            domain, shown = _domain_of(image), getattr(self, image)
            if domain not in self._discriminators:
                asked = f"a discriminator's output on '{image}'"
                raise PluginError(f"a loss asks for {asked}, and the recipe has none for the {domain}")
            self._judged[image] = _judge(self._discriminators[domain], shown)
        return self._judged[image]

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        return self._generators["source_to_target"].features(image, layers)

    def made(self) -> dict[str, Tensor]:
        """The generated images that some loss asked for, by name, detached."""
        names = (name for name, one in vars(StepImages).items() if isinstance(one, _Made))
        return {name: vars(self)[name].detach() for name in names if name in vars(self)}

    def translated(self, image: Tensor, direction: str) -> Tensor:
        """``image`` by the generator of ``direction``.

        Raises:
            PluginError: there is none, or it changes the image's shape.
        """
        if direction not in self._generators:
            asked = "an image translated from target to source, and the recipe has no such generator"
            remedy = 'leave that loss out, or set translation.directions = ["source_to_target", "target_to_source"]'
            raise PluginError(f"a loss asks for {asked}; {remedy}")
        generator = self._generators[direction]
        with span("generators forward"):
            translated: Tensor = (
                checkpoint(generator, image, use_reentrant=False) if self._recompute else generator(image)
            )
        if translated.shape != image.shape:
            wanted, got = tuple(image.shape), tuple(translated.shape)
            raise PluginError(f"generator {direction} must keep the shape {wanted} of what it translates, got {got}")
        return translated


@define(eq=False, slots=False)
class DomainImages:
    """See `daframework.interfaces.DomainImages`. ``rec`` is None where no loss of the generators made it."""

    domain: str
    _discriminator: Network
    _real: Tensor
    _fake: Fake
    _rec: Tensor | None
    real_label: Tensor | None

    @property
    def fake_label(self) -> Tensor | None:
        return self._fake.label

    @property
    def rec_label(self) -> Tensor | None:
        return self.real_label

    @cached_property
    def real_output(self) -> DiscriminatorOutput:
        return _judge(self._discriminator, self._real)

    @cached_property
    def fake_output(self) -> DiscriminatorOutput:
        return _judge(self._discriminator, self._fake.image)

    @cached_property
    def rec_output(self) -> DiscriminatorOutput:
        if self._rec is None:
            asked = f"the discriminator's output on rec_{self.domain}, which no loss of the generators makes"
            raise PluginError(f"a loss asks for {asked}; add a reconstruction loss such as 'cycle'")
        return _judge(self._discriminator, self._rec)


def _domain_of(image: str) -> str:
    """``"target"`` of ``"fake_target"``: whose generator makes it, and whose discriminator judges it."""
    return image.rpartition("_")[2]


def _judge(discriminator: Network, image: Tensor) -> DiscriminatorOutput:
    with span("discriminators forward"):
        return discriminator(image)
