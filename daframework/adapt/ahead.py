"""Make a step's images before its losses ask for them, both domains' at the same time, each on half of a CPU's cores.

Each image belongs to a domain, and so do the networks that make and judge it: what belongs to one domain depends on the
other only through the translations. So a step has two stages: what is made of real images, then the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from attrs import frozen
from torch import Tensor

from daframework.adapt.images import ORIGINS, Network, StepImages, domain_of
from daframework.adapt.side_by_side import Part, together
from daframework.build import DOMAINS
from daframework.interfaces import DiscriminatorOutput


@frozen
class Asked:
    """The images that the losses of a step asked for, by name, in their order; those they wanted judged; segmented."""

    made: Sequence[str] = ()
    judged: Sequence[str] = ()
    segmented: Sequence[str] = ()

    @classmethod
    def of(cls, images: StepImages) -> "Asked":
        """What they have asked ``images`` for so far."""
        outputs = images.outputs.items()
        segmented = [name for name, output in outputs if output.segmented and output.semantics is not None]
        return cls(list(images.made()), list(images.outputs), segmented)


def make_ahead(images: StepImages, weights: Mapping[str, Sequence[Tensor]], asked: Asked) -> None:
    """Let ``images`` have what a step before ``asked`` for; ``weights`` are of the generators, by domain.

    What only one domain is asked for is left to be made when a loss asks, and so is what no step asked for before.
    """
    first = [name for name in asked.made if ORIGINS[name] in DOMAINS]
    second = [name for name in asked.made if name not in first]
    for made, judged in ((first, []), (second, list(asked.judged))):
        works = [
            _Work(
                images,
                [name for name in made if domain_of(name) == domain],
                [name for name in judged if domain_of(name) == domain],
                asked.segmented,
            )
            for domain in DOMAINS
        ]
        if all(work.made or work.judged for work in works):
            parts = [work.part(weights[domain]) for work, domain in zip(works, DOMAINS, strict=True)]
            for work, tensors in zip(works, together(*parts), strict=True):
                work.hand_over(tensors)


@frozen(eq=False)
class _Work:
    """What one thread makes and judges, of one domain."""

    images: StepImages
    made: Sequence[str]
    judged: Sequence[str]
    segmented: Sequence[str]

    @property
    def needed(self) -> list[str]:
        """The images that must be there before."""
        needed = [*(ORIGINS[name] for name in self.made), *(name for name in self.judged if name not in self.made)]
        return list(dict.fromkeys(needed))

    def part(self, weights: Sequence[Tensor]) -> Part:
        return Part(self._compute, [getattr(self.images, name) for name in self.needed], weights)

    def _compute(self, *given: Tensor) -> list[Tensor]:
        known = dict(zip(self.needed, given, strict=True))
        for name in self.made:
            known[name] = self.images.translate(name, known[ORIGINS[name]])
        found = [known[name] for name in self.made]
        for name in self.judged:
            output = self.images.judge(name, known[name])
            found.append(output.realness)
            if name in self.segmented:
                found.append(cast("Tensor", output.semantics))
        return found

    def hand_over(self, tensors: Sequence[Tensor]) -> None:
        """Give the images what was computed."""
        found = iter(tensors)
        for name in self.made:
            setattr(self.images, name, next(found))
        for name in self.judged:
            realness = next(found)
            if name in self.segmented:
                semantics: Tensor | Callable[[], Tensor] = next(found)
            else:
                # Of this network and image alone: a way back to the images would keep them for the garbage collector.
                semantics = partial(_segmented, self.images.discriminators[domain_of(name)], getattr(self.images, name))
            self.images.outputs[name] = DiscriminatorOutput(realness, semantics)


def _segmented(discriminator: Network, image: Tensor) -> Tensor:
    """For a loss that asks for more than in the first step."""
    return cast("Tensor", discriminator(image).semantics)
