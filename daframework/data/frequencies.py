"""How often the classes of a labelled set occur."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daframework.data.checked import check_classes
from daframework.data.parallel import in_parallel
from daframework.data.spread import evenly_spread
from daframework.dataset_interface import Array, ImageDataset
from daframework.errors import DataError
from daframework.label_types import IGNORE_INDEX

if TYPE_CHECKING:
    from torch import Tensor


class ClassCounts(NamedTuple):
    """Labelled pixels by class, each (num_classes,) int64.

    ``pixels`` of the class itself; ``where_present``, of any class, in the images that show the class.
    """

    pixels: "Tensor"
    where_present: "Tensor"


class Occurrence(NamedTuple):
    """How often classes occur in the labels of ``images`` images.

    ``pixels`` labelled pixels of each class, ``shown`` images that show it, both (num_classes,) int64.
    """

    images: int
    pixels: NDArray[np.int64]
    shown: NDArray[np.int64]


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
    import torch  # here, since daf data stats takes none

    taken = evenly_spread(len(dataset), limit)
    counts = torch.tensor(list(image_counts(dataset, taken, workers=0)))
    if not counts.any():
        raise DataError(f"no pixel is labelled in {len(taken)} of {len(dataset)} images; check the labels' ids")
    return ClassCounts(counts.sum(0), (counts.sum(1, keepdim=True) * (counts > 0)).sum(0))


def label_counts(label: Array | None, num_classes: int, name: str) -> NDArray[np.int64]:
    """Labelled pixels of each class, (num_classes,) int64, in a label (H, W); 255 counts nowhere.

    ``name`` is the image's.

    Raises:
        DataError: there is no label, or it has an unknown class.
    """
    if label is None:
        raise DataError(f"image '{name}' has no label, and classes are to be counted; give a labelled set")
    check_classes(label, num_classes, name)
    return np.bincount(label.ravel(), minlength=IGNORE_INDEX + 1)[:num_classes]


def occurrence(
    dataset: ImageDataset, indices: Sequence[int], *, workers: int | None, stopping: Callable[[], bool]
) -> Iterator[Occurrence]:
    """Count classes in the labels at ``indices``, in ``workers`` processes; the sum so far after each image, until
    ``stopping`` says so.

    Raises:
        DataError: a label cannot be read, has an unknown class or is missing.
    """
    pixels = shown = np.zeros(len(dataset.classes), np.int64)
    for images, found in enumerate(image_counts(dataset, indices, workers=workers, stopping=stopping), start=1):
        counts = np.array(found)
        pixels, shown = pixels + counts, shown + (counts > 0)
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


def image_counts(
    dataset: ImageDataset, indices: Sequence[int], *, workers: int | None, stopping: Callable[[], bool] = lambda: False
) -> Iterator[list[int]]:
    """Labelled pixels of each class in the images at ``indices``, in order, counted as `in_parallel` says.

    Raises:
        DataError: a label cannot be read, has an unknown class or is missing.
    """
    return in_parallel(partial(_counted, dataset), indices, workers=workers, stopping=stopping)


def _counted(dataset: ImageDataset, index: int) -> list[int]:
    found = dataset[index].as_arrays()
    counts: list[int] = label_counts(found.label, len(dataset.classes), found.name).tolist()
    return counts
