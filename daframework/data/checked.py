"""A dataset as the recipe wants it: checked, resized, kept in memory once decoded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daframework.dataset_interface import Array, ImageDataset, Sample
from daframework.errors import DataError
from daframework.label_types import IGNORE_INDEX, SEMANTIC, LabelType

if TYPE_CHECKING:
    from torch import Tensor


def resize_image(image: "Tensor", size: Sequence[int]) -> "Tensor":
    """(3, H, W) uint8 -> (3, *size) uint8, antialiased bilinear."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    from torch.nn.functional import interpolate  # here, since looking at files takes no torch

    resized = interpolate(image[None].float(), tuple(size), mode="bilinear", antialias=True)[0]
    return resized.round_().clamp_(0, 255).byte()


class DerivedDataset(ImageDataset):
    """The images of ``dataset``, in its order and with its classes, each seen in another way."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset
        self.classes, self.palette, self.labels = dataset.classes, dataset.palette, dataset.labels

    def __len__(self) -> int:
        return len(self.dataset)

    def unlabelled(self, index: int) -> Sample:
        """As the dataset gives it; no label is read."""
        return self.dataset.unlabelled(index)


class Checked(DerivedDataset):
    """``dataset`` with every sample checked against its promises, resized, and kept up to ``cache_bytes``.

    Args:
        dataset: where samples come from.
        types: the labels that are wanted of it; a sample's others are left out.
        resize: height and width in pixels of every sample; None keeps each as it is.
        cache_bytes: decoded samples are kept until they fill this many bytes; later ones are read again each time.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        resize: tuple[int, ...] | None = None,
        cache_bytes: int = 0,
        types: Sequence[LabelType] = (SEMANTIC,),
    ) -> None:
        super().__init__(dataset)
        self.labels = [one.name for one in types]
        self.resize, self.types, self._room = resize, types, cache_bytes
        self._kept: dict[tuple[int, bool], Sample] = {}

    def __getitem__(self, index: int) -> Sample:
        """The sample with its label, checked and resized.

        Raises:
            DataError: it has no label, or breaks the dataset's promises.
        """
        return self._get(index, labelled=True)

    def unlabelled(self, index: int) -> Sample:
        """The sample without its label, which is not read."""
        return self._get(index, labelled=False)

    def _get(self, index: int, *, labelled: bool) -> Sample:
        key = (index, labelled)
        if key not in self._kept:
            sample = self.dataset[index] if labelled else self.dataset.unlabelled(index)
            types = self.types if labelled else ()
            check_sample(sample, len(self.classes), types)
            sample = resize_sample(sample, self.resize, types)
            size = sum(one.nbytes for one in (sample.image, *labels_of(sample, types)))
            if size > self._room:
                return sample
            self._room -= size
            self._kept[key] = sample
        return self._kept[key]


def labels_of(sample: Sample, types: Sequence[LabelType]) -> "list[Tensor]":
    """Its labels of these types, each of which it has."""
    return [label for one in types if (label := sample.labelled(one.name)) is not None]


def resize_sample(sample: Sample, size: Sequence[int] | None, types: Sequence[LabelType]) -> Sample:
    """The sample brought to ``size``, unless that is None, with its labels of ``types`` and no others."""
    image = sample.image if size is None else resize_image(sample.image, size)
    found = zip(types, labels_of(sample, types), strict=True)
    labels = {one.name: label if size is None else one.resized(label, size) for one, label in found}
    return Sample(image, labels.pop(SEMANTIC.name, None), sample.name, labels)


def check_sample(sample: Sample, num_classes: int, types: Sequence[LabelType]) -> None:
    """Image uint8 (3, H, W), and a label of each of ``types``: a semantic one has ids of classes, or 255.

    Raises:
        DataError: it is not so.
    """
    if not isinstance(sample, Sample):
        raise DataError(f"a dataset must give a Sample, got {type(sample).__name__}")
    arrays = sample.as_arrays()
    image = arrays.image
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] != 3 or not image.size:
        got = image if image is None else f"{image.dtype} {image.shape}"
        raise DataError(f"image {sample.name}: must be uint8 (3, H, W) with a pixel or more, got {got}")
    for one in types:
        label: Any = arrays.label if one.of_classes else sample.labelled(one.name)  # an array: classes take no torch
        kind = "label" if one.of_classes else f"{one.name} label"
        if label is None:
            raise DataError(f"image {sample.name}: has no {kind}, and this domain's labels are needed here")
        if problem := one.problem(label, image.shape[1], image.shape[2]):
            raise DataError(f"{kind} of {sample.name}: {problem}")
        if one.of_classes:
            check_classes(label, num_classes, sample.name)


def check_classes(label: Array, num_classes: int, name: str) -> None:
    """Whether the label (H, W) of the image ``name`` has ids of classes, or 255.

    Raises:
        DataError: it has others.
    """
    outside = label[(label >= num_classes) & (label != IGNORE_INDEX)]
    if outside.size:
        found = f"id {int(outside[0])} ({outside.size} pixels have such ids) is not a class"
        allowed = f"0 to {num_classes - 1}, and {IGNORE_INDEX} to ignore"
        raise DataError(f"label of {name}: {found}; allowed: {allowed}; map it to a class or to ignore")
