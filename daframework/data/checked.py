"""A dataset as the recipe wants it: checked, resized, kept in memory once decoded."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from daframework.errors import DataError
from daframework.interfaces import IGNORE_INDEX, ImageDataset, Sample


def resize_image(image: Tensor, size: Sequence[int]) -> Tensor:
    """(3, H, W) uint8 -> (3, *size) uint8, antialiased bilinear."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resized = interpolate(image[None].float(), tuple(size), mode="bilinear", antialias=True)[0]
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def resize_label(label: Tensor, size: Sequence[int]) -> Tensor:
    """(H, W) uint8 -> ``size`` uint8 by the nearest pixel centre, so that no id is invented."""
    if tuple(label.shape) == tuple(size):
        return label
    return interpolate(label[None, None], tuple(size), mode="nearest-exact")[0, 0]


class DerivedDataset(ImageDataset):
    """The images of ``dataset``, in its order and with its classes, each seen in another way."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset
        self.classes, self.palette = dataset.classes, dataset.palette

    def __len__(self) -> int:
        return len(self.dataset)

    def unlabelled(self, index: int) -> Sample:
        """As the dataset gives it; no label is read."""
        return self.dataset.unlabelled(index)


class Checked(DerivedDataset):
    """``dataset`` with every sample checked against its promises, resized, and kept up to ``cache_bytes``.

    Args:
        dataset: where samples come from.
        resize: height and width in pixels of every sample; None keeps each as it is.
        cache_bytes: decoded samples are kept until they fill this many bytes; later ones are read again each time.
    """

    def __init__(self, dataset: ImageDataset, resize: tuple[int, ...] | None = None, cache_bytes: int = 0) -> None:
        super().__init__(dataset)
        self.resize, self._room = resize, cache_bytes
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
            check_sample(sample, len(self.classes), labelled=labelled)
            if self.resize is not None:
                label = None if sample.label is None else resize_label(sample.label, self.resize)
                sample = Sample(resize_image(sample.image, self.resize), label, sample.name)
            size = sample.image.numel() + (0 if sample.label is None else sample.label.numel())
            if size > self._room:
                return sample
            self._room -= size
            self._kept[key] = sample
        return self._kept[key]


def check_sample(sample: Sample, num_classes: int, *, labelled: bool) -> None:
    """Image uint8 (3, H, W); where ``labelled``, label uint8 (H, W) with ids of classes, or 255.

    Raises:
        DataError: it is not so.
    """
    image, label = sample.image, sample.label
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise DataError(f"image {sample.name}: must be uint8 (3, H, W), got {image.dtype} {tuple(image.shape)}")
    if not labelled:
        return
    if label is None:
        raise DataError(f"image {sample.name}: has no label, and this domain's labels are needed here")
    if label.dtype != torch.uint8 or label.shape != image.shape[1:]:
        raise DataError(
            f"label of {sample.name}: must be uint8 {tuple(image.shape[1:])} (height, width) as its image, "
            f"got {label.dtype} {tuple(label.shape)}"
        )
    outside = label[(label >= num_classes) & (label != IGNORE_INDEX)]
    if outside.numel():
        raise DataError(
            f"label of {sample.name}: id {int(outside[0])} ({outside.numel()} pixels have such ids) is not a class; "
            f"allowed: 0 to {num_classes - 1}, and {IGNORE_INDEX} to ignore; map it to a class or to ignore"
        )
