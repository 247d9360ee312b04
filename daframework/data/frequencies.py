"""How often the classes of a labelled set occur."""

from typing import NamedTuple

import torch
from torch import Tensor

from daframework.data.whole import evenly_spread
from daframework.errors import DataError
from daframework.interfaces import IGNORE_INDEX, ImageDataset


class ClassCounts(NamedTuple):
    """Labelled pixels by class, each (num_classes,) int64.

    ``pixels`` of the class itself; ``where_present``, of any class, in the images that show the class.
    """

    pixels: Tensor
    where_present: Tensor


def class_frequencies(dataset: ImageDataset, *, limit: int = 2000) -> Tensor:
    """Fraction of the labelled pixels in each class, (num_classes,) float64 with sum 1; 0 for a class not seen.

    Only ``limit`` images are read, see `count_classes`.

    Raises:
        DataError: a label has an unknown class or is missing, or no pixel is labelled.
    """
    pixels = count_classes(dataset, limit=limit).pixels.double()
    return pixels / pixels.sum()


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
        if sample.label is None:
            raise DataError(f"image '{sample.name}' has no label, and classes are to be counted; give a labelled set")
        counts = torch.bincount(sample.label.flatten().long(), minlength=IGNORE_INDEX + 1)[:IGNORE_INDEX]
        if counts[num_classes:].any():
            unknown = num_classes + int(counts[num_classes:].nonzero()[0])
            raise DataError(
                f"the label of image '{sample.name}' has class {unknown} in {counts[unknown]} pixels; allowed are "
                f"0 to {num_classes - 1} and {IGNORE_INDEX} (ignore)"
            )
        pixels += counts[:num_classes]
        where_present += counts.sum() * (counts[:num_classes] > 0)
    if not pixels.any():
        raise DataError(
            f"no pixel is labelled in the {len(taken)} images read of {len(dataset)}; check the labels' ids"
        )
    return ClassCounts(pixels, where_present)
