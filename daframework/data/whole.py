"""Whole images in order, to score and to translate: batched where neighbours have one size, padded for the network."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from daframework.interfaces import ImageDataset, Sample


def batches_in_order(dataset: ImageDataset, indices: Sequence[int], *, batch_size: int) -> Iterator[list[Sample]]:
    """Samples at ``indices``, in lists of at most ``batch_size`` that share one size. Nothing is padded or repeated."""
    gathered: list[Sample] = []
    for index in indices:
        sample = dataset[index]
        if gathered and (len(gathered) == batch_size or gathered[0].image.shape != sample.image.shape):
            yield gathered
            gathered = []
        gathered.append(sample)
    if gathered:
        yield gathered


def evenly_spread(total: int, most: int) -> list[int]:
    """At most ``most`` of ``total`` indices, rising and spread over all: i * total // count for i below their count."""
    count = min(most, total)
    return [i * total // count for i in range(count)]


def apply_padded(network: nn.Module | Callable[[Tensor], Tensor], image: Tensor, multiple: int) -> Tensor:
    """``network`` on (N, 3, H, W) of any size: edges are repeated up to the next multiple, and cut off its output."""
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if below or right:
        image = pad(image, (0, right, 0, below), mode="replicate")
    output: Tensor = network(image)
    return output[..., :height, :width]


def stack_images(samples: Sequence[Sample]) -> Tensor:
    """Images of one size as (N, 3, H, W) uint8."""
    return torch.stack([sample.image for sample in samples])


def stack_labels(samples: Sequence[Sample]) -> Tensor:
    """Labels of one size as (N, H, W) int64."""
    return torch.stack([sample.label for sample in samples if sample.label is not None]).long()
