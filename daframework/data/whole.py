"""Whole images, to score and to translate: batched where they have one size, padded for the network."""

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from daframework.data.overlap import in_threads
from daframework.interfaces import SEMANTIC, ImageDataset, Sample

T = TypeVar("T")
Size = TypeVar("Size", bound=Hashable)


def batches_in_order(dataset: ImageDataset, indices: Sequence[int], *, batch_size: int) -> Generator[list[Sample]]:
    """Samples at ``indices``, in lists of at most ``batch_size`` that share one size. Nothing is padded or repeated.

    While the caller works on one list the next is read, in one thread: a dataset need not bear several at a time.
    """
    gathered: list[Sample] = []
    with closing(in_threads(dataset.__getitem__, indices, threads=1, most=batch_size)) as samples:
        for sample in samples:
            if gathered and (len(gathered) == batch_size or gathered[0].image.shape != sample.image.shape):
                yield gathered
                gathered = []
            gathered.append(sample)
    if gathered:
        yield gathered


def batches_by_size(
    items: Iterable[T], size: Callable[[T], Size], *, window: int, batch_size: Callable[[Size], int]
) -> Iterator[list[T]]:
    """``items`` in lists that share one ``size``, of at most ``batch_size`` of that; each once, their order changed.

    Those of one size are brought together among ``window`` items at a time: no more are held. The lists follow from the
    items alone.
    """
    remaining = iter(items)
    while held := list(islice(remaining, window)):
        groups: dict[Size, list[T]] = {}
        for item in held:
            groups.setdefault(size(item), []).append(item)
        for shared, group in groups.items():
            most = batch_size(shared)
            yield from (group[first : first + most] for first in range(0, len(group), most))


def padded_side(length: int, multiple: int, smallest: int = 1) -> int:
    """The next multiple from ``length`` on that is ``smallest`` or more."""
    return -(-max(length, smallest) // multiple) * multiple


def apply_padded(
    network: nn.Module | Callable[[Tensor], Tensor], image: Tensor, multiple: int, smallest: int = 1
) -> Tensor:
    """``network`` on (N, 3, H, W) of any size: edges are repeated up to `padded_side`, and cut off its output.

    An output that is not of the image's size, such as one value an image, is given as it is.
    """
    height, width = image.shape[-2:]
    below, right = (padded_side(side, multiple, smallest) - side for side in (height, width))
    if below or right:
        image = pad(image, (0, right, 0, below), mode="replicate")
    output: Tensor = network(image)
    return output[..., :height, :width] if output.shape[-2:] == image.shape[-2:] else output


def weights_dtype(network: nn.Module) -> torch.dtype:
    """What the network's images must be: double, where it was trained in that."""
    return next(network.parameters(), torch.empty(0)).dtype


def stack_images(samples: Sequence[Sample]) -> Tensor:
    """Images of one size as (N, 3, H, W) uint8."""
    return torch.stack([sample.image for sample in samples])


def stack_labels(samples: Sequence[Sample], name: str = SEMANTIC.name) -> Tensor:
    """Labels of the type ``name`` and of one size as a batch has them: (N, ...), semantic ones (N, H, W) int64."""
    found = (sample.labelled(name) for sample in samples)
    return batched(torch.stack([label for label in found if label is not None]))


def batched(labels: Tensor) -> Tensor:
    """Labels (N, ...) as `Batch` has them: integers as int64."""
    return labels if labels.is_floating_point() else labels.long()
