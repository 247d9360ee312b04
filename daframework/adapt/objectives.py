"""The two objectives of a step. All forward passes of the networks happen inside them, so that distributed training,
autocast and compilation see one module each.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from daframework.adapt.images import DomainImages, StepImages
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
    ) -> None:
        """``generators`` by direction and the losses become submodules; ``discriminators`` by domain do not.

        ``recompute`` keeps nothing of the generators' insides and runs them once more on the way back.
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
    """What the discriminators descend, both domains together."""

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
