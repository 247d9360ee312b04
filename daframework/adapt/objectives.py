"""The two objectives of a step. All forward passes of the networks happen inside them, so that distributed training,
autocast and compilation see one module each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from daframework.adapt.ahead import Asked, make_ahead
from daframework.adapt.images import DomainImages, StepImages, domain_of
from daframework.adapt.side_by_side import Part, together
from daframework.build import Term
from daframework.errors import PluginError
from daframework.interfaces import Discriminator, Generator

T = TypeVar("T")


class Fake(NamedTuple):
    """Translations, and the labels of what they were made from: None where that was the target."""

    image: Tensor
    label: Tensor | None


class GeneratorStep(NamedTuple):
    """``total`` to descend; unweighted losses by ``generator/<loss>``; the images made, detached, by name."""

    total: Tensor
    values: dict[str, Tensor]
    images: dict[str, Tensor]


class DiscriminatorStep(NamedTuple):
    """``total`` to descend; unweighted losses by ``discriminator_<domain>/<loss>``."""

    total: Tensor
    values: dict[str, Tensor]


class GeneratorObjective(nn.Module):
    """What both generators, and the losses' own weights, descend. The discriminators are used as they are."""

    def __init__(
        self,
        generators: Mapping[str, Generator],
        discriminators: Mapping[str, Discriminator],
        terms: Iterable[Term],
        *,
        recompute: bool = False,
        side_by_side: bool = False,
    ) -> None:
        """``generators`` by direction and the losses become submodules; ``discriminators`` by domain do not.

        ``recompute`` keeps nothing of the generators' insides and runs them once more on the way back. With
        ``side_by_side``, what a step asked for is made ahead in those after it, both domains' at the same time.
        """
        super().__init__()
        self._recompute = recompute
        self._side_by_side = side_by_side
        self.asked: Asked | None = None
        """What is made ahead: what the losses asked for in the first step, and nothing if it drew random numbers."""
        self.generators = nn.ModuleDict(dict(generators))
        self.terms = list(terms)
        self.losses = nn.ModuleDict({term.name: term.loss for term in self.terms})
        # A plain tuple, so that they are neither trained, synchronised nor saved from here.
        self._discriminators = tuple(discriminators.items())
        self._weights = {domain_of(direction): list(made.parameters()) for direction, made in generators.items()}

    def forward(self, source: Tensor, source_label: Tensor, target: Tensor) -> GeneratorStep:
        """One step's images (N, 3, H, W) in [-1, 1] and source labels (N, H, W) -> the sum of weighted losses."""
        generators = cast("dict[str, Generator]", dict(self.generators.items()))
        images = StepImages(
            generators, dict(self._discriminators), source, source_label, target, recompute=self._recompute
        )
        before = torch.get_rng_state() if self._side_by_side and self.asked is None else None
        if self._side_by_side and self.asked is not None:
            make_ahead(images, self._weights, self.asked)
        total, values = source.new_zeros(()), {}
        for term in self.terms:
            value = _scalar(term, term.loss.generator_loss, images)
            if value is not None:
                total = total + term.weight * value
                values[f"generator/{term.name}"] = value.detach()
        if before is not None:
            # Two threads would draw from one generator, in whatever order they come.
            self.asked = Asked.of(images) if torch.equal(before, torch.get_rng_state()) else Asked()
        return GeneratorStep(total, values, images.made())


class DiscriminatorObjective(nn.Module):
    """What the discriminators descend, both domains together."""

    def __init__(
        self, discriminators: Mapping[str, Discriminator], terms: Iterable[Term], *, side_by_side: bool = False
    ) -> None:
        """``discriminators`` by domain become submodules; the losses belong to the generators' objective.

        With ``side_by_side``, the two domains are computed at the same time from the second step on.
        """
        super().__init__()
        self.discriminators = nn.ModuleDict(dict(discriminators))
        self._terms = tuple(terms)
        self._side_by_side = side_by_side
        self._weights = {domain: list(one.parameters()) for domain, one in discriminators.items()}
        self.draws: bool | None = None
        """Whether the first step drew random numbers, which two threads would draw in whatever order they come."""

    def forward(
        self,
        real: dict[str, Tensor],
        source_label: Tensor,
        fake: dict[str, Fake],
        reconstructed: dict[str, Tensor],
    ) -> DiscriminatorStep:
        """Images by domain; a domain without a fake, as in a one-sided method, takes no part."""
        sides = [
            DomainImages(
                domain,
                discriminator,
                real=real[domain],
                fake=fake[domain].image,
                rec=reconstructed.get(domain),
                real_label=source_label if domain == "source" else None,
                fake_label=fake[domain].label,
            )
            for domain, discriminator in self.discriminators.items()
            if domain in fake
        ]
        nothing = source_label.new_zeros((), dtype=torch.float32)
        before = torch.get_rng_state() if self._side_by_side and self.draws is None else None
        if self._side_by_side and self.draws is False and len(sides) == 2:
            steps = self._together(sides, nothing)
        else:
            steps = [self._judge(images, nothing) for images in sides]
        if before is not None:
            self.draws = not torch.equal(before, torch.get_rng_state())
        total = sum((step.total for step in steps), nothing)
        return DiscriminatorStep(total, {name: value for step in steps for name, value in step.values.items()})

    def _judge(self, images: DomainImages, nothing: Tensor) -> DiscriminatorStep:
        """One domain's part; ``nothing`` is the sum of no losses."""
        total, values = nothing, {}
        for term in self._terms:
            value = _scalar(term, term.loss.discriminator_loss, images)
            if value is not None:
                total = total + term.weight * value
                values[f"discriminator_{images.domain}/{term.name}"] = value.detach()
        return DiscriminatorStep(total, values)

    def _together(self, sides: Sequence[DomainImages], nothing: Tensor) -> list[DiscriminatorStep]:
        """`_judge` of both domains at the same time."""
        names: dict[str, list[str]] = {}

        def judge(images: DomainImages) -> list[Tensor]:
            step = self._judge(images, nothing)
            names[images.domain] = list(step.values)
            return [step.total, *step.values.values()]

        first, second = (Part(partial(judge, images), (), self._weights[images.domain]) for images in sides)
        return [
            DiscriminatorStep(total, dict(zip(names[images.domain], (one.detach() for one in values), strict=True)))
            for images, (total, *values) in zip(sides, together(first, second), strict=True)
        ]


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
