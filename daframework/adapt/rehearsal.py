"""A step that is tried and not trained on, and the smallest networks and datasets that it can be tried with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daframework.adapt.step import DiscriminatorObjective, GeneratorObjective, to_judge
from daframework.compute.randomness import generator
from daframework.interfaces import Batch, Discriminator, DiscriminatorOutput, Generator, ImageDataset, Sample
from daframework.networks import Networks


def try_step(
    networks: Networks,
    source: Tensor,
    source_label: Tensor | None,
    target: Tensor,
    given: Mapping[str, Tensor] | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """One step of both objectives, forward: the unweighted losses by name, and what to minimise.

    ``given`` are stand-ins, by name, for images that the discriminators are to judge and no loss makes.
    """
    made = GeneratorObjective(networks)(source, source_label, target)
    made = made._replace(images={**(given or {}), **made.images})
    values, total = made.values, made.total
    if networks.discriminators:
        given_to = to_judge(Batch(source, source_label), Batch(target, None), made)
        judged = DiscriminatorObjective(networks)(*given_to)
        values, total = values | judged.values, total + judged.total
    return values, total


class Translator(Generator):
    """The smallest generator with features."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return torch.tanh(self.layer(image))

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        return [self.layer(image) for _ in layers]


class Judge(Discriminator):
    """The smallest discriminator; with a semantic head unless ``num_classes`` is 0."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.realness, self.has_semantics = nn.Conv2d(3, 1, 1), num_classes > 0
        self.semantics = nn.Conv2d(3, num_classes, 1) if num_classes else None

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.realness(image), None if self.semantics is None else self.semantics(image))


class Noise(ImageDataset):
    """Three images (3, 32, 48) of random colours, with labels of three classes; other ones for each ``seed``."""

    classes = ("one", "two", "three")
    palette = ((200, 0, 0), (0, 200, 0), (0, 0, 200))

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        random = generator(self.seed, "noise", index)
        image = torch.randint(256, (3, 32, 48), dtype=torch.uint8, generator=random)
        return Sample(image, torch.randint(3, (32, 48), dtype=torch.uint8, generator=random), f"noise {index}")


def with_versions(tensors: Iterable[Tensor]) -> list[tuple[Tensor, int]]:
    """Each with how often it was written to."""
    return [(tensor, tensor._version) for tensor in tensors]


def tensors_of(output: Any) -> list[Tensor]:
    """What a network gave: an image, logits, or both heads of a discriminator."""
    heads = (output.realness, output.semantics) if isinstance(output, DiscriminatorOutput) else (output,)
    return [tensor for tensor in heads if tensor is not None]
