"""How often the classes of a labelled set occur."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from daframework.data.parallel import in_parallel
from daframework.data.whole import evenly_spread
from daframework.errors import DataError
from daframework.interfaces import IGNORE_INDEX, ImageDataset


class ClassCounts(NamedTuple):
    """Labelled pixels by class, each (num_classes,) int64.

    ``pixels`` of the class itself; ``where_present``, of any class, in the images that show the class.
    """

    pixels: Tensor
    where_present: Tensor


class Occurrence(NamedTuple):
    """How often classes occur in the labels of ``images`` images.

    ``pixels`` labelled pixels of each class, ``shown`` images that show it, both (num_classes,) int64.
    """

    images: int
    pixels: Tensor
    shown: Tensor


class ClassShare(NamedTuple):
    """How much of a set a class has: share of the labelled pixels, and of the images; both in [0, 1]."""

    pixels: float
    images: float


def count_classes(dataset: ImageDataset, *, limit: int = 2000) -> ClassCounts:
    """Count pixels by class in at most ``limit`` images, `evenly_spread` over the set.

    Pixels of 255 are not labelled and count nowhere.

    Raises:
        DataError: a label has an unknown class or is missing, or no pixel is labelled.
    """
    num_classes = len(dataset.classes)
    pixels = torch.zeros(num_classes, dtype=torch.int64)
    where_present = torch.zeros(num_classes, dtype=torch.int64)
    taken = evenly_spread(len(dataset), limit)
    for index in taken:
        sample = dataset[index]
        counts = label_counts(sample.label, num_classes, sample.name)
        pixels += counts
        where_present += counts.sum() * (counts > 0)
    if not pixels.any():
        raise DataError(
            f"no pixel is labelled in the {len(taken)} images read of {len(dataset)}; check the labels' ids"
        )
    return ClassCounts(pixels, where_present)


def label_counts(label: Tensor | None, num_classes: int, name: str) -> Tensor:
    """Labelled pixels of each class, (num_classes,) int64, in a label (H, W); 255 counts nowhere.

    ``name`` is the image's.

    Raises:
        DataError: there is no label, or it has an unknown class.
    """
    if label is None:
        raise DataError(f"image '{name}' has no label, and classes are to be counted; give a labelled set")
    counts = torch.bincount(label.flatten(), minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
    if counts[num_classes:].any():
        unknown = num_classes + int(counts[num_classes:].nonzero()[0])
        raise DataError(
            f"the label of image '{name}' has class {unknown} in {counts[unknown]} pixels; allowed are "
            f"0 to {num_classes - 1} and {IGNORE_INDEX} (ignore)"
        )
    return counts[:num_classes]


def occurrence(dataset: ImageDataset, indices: Sequence[int], *, workers: int) -> Iterator[Occurrence]:
    """Count classes in the labels at ``indices``, in ``workers`` processes; the sum so far after each image.

    Raises:
        DataError: a label cannot be read, has an unknown class or is missing.
    """
    num_classes = len(dataset.classes)
    pixels = torch.zeros(num_classes, dtype=torch.int64)
    shown = torch.zeros(num_classes, dtype=torch.int64)
    for images, counts in enumerate(in_parallel(partial(_counted, dataset), indices, workers=workers), start=1):
        pixels = pixels + torch.tensor(counts)
        shown = shown + (torch.tensor(counts) > 0)
        yield Occurrence(images, pixels, shown)


def class_shares(classes: Sequence[str], found: Occurrence) -> dict[str, ClassShare]:
    """The share of each class, by its name; 0 of the pixels where none is labelled."""
    total = max(1, int(found.pixels.sum()))
    return {
        name: ClassShare(pixels / total, shown / found.images)
        for name, pixels, shown in zip(classes, found.pixels.tolist(), found.shown.tolist(), strict=True)
    }


def pixel_ratio(first: ClassShare | None, second: ClassShare | None) -> float | None:
    """A class's share of the pixels in one set over that in another; None where it has none in either."""
    if first is None or second is None or not first.pixels or not second.pixels:
        return None
    return first.pixels / second.pixels


def image_counts(dataset: ImageDataset, *, workers: int) -> Iterator[list[int]]:
    """Labelled pixels of each class in every image, in order, counted in ``workers`` processes.

    Raises:
        DataError: a label cannot be read, has an unknown class or is missing.
    """
    return in_parallel(partial(_counted, dataset), range(len(dataset)), workers=workers)


def _counted(dataset: ImageDataset, index: int) -> list[int]:
    sample = dataset[index]
    counts: list[int] = label_counts(sample.label, len(dataset.classes), sample.name).tolist()
    return counts
