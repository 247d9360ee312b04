"""What a label is, and what becomes of it where its image is cropped, mirrored or resized."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IGNORE_INDEX = 255


class LabelType(ABC):
    """One kind of label. As it stands here: a value, or several, for each pixel; the last two axes are the image's.

    A label of another shape, such as a class for the whole image, overrides what moves pixels.
    """

    name: str
    """What it is called: the key in `Sample.others`, unless it is ``"semantic"``, and in a dataset's ``labels``."""
    invalid: float
    """The value of a pixel that says nothing, which no loss and no metric counts."""
    dtype: "torch.dtype | None" = None
    """Of labels (H, W), which ``data.cache`` can keep; None where they are of another shape, and are read each time."""

    @property
    def of_classes(self) -> bool:
        """Whether these are the semantic labels, for which much has a meaning that has none for others."""
        return self.name == SEMANTIC.name

    @abstractmethod
    def problem(self, label: "Tensor", height: int, width: int) -> str | None:
        """What is wrong with the label of an image of that size, as a sentence's end: "must be ..., got ..."."""

    @abstractmethod
    def example(self, height: int, width: int, num_classes: int, random: "torch.Generator") -> "Tensor":
        """One that an image of that size might have, drawn from ``random``: what contracts are checked with."""

    def render(self, label: "Tensor", palette: Sequence[tuple[int, int, int]]) -> "Tensor":
        """A picture of labels (N, H, W): (N, 3, H, W) uint8, by the dataset's ``palette`` where it has classes.

        Raises:
            TypeError: it cannot be shown.
        """
        raise TypeError(f"labels of the type '{self.name}' cannot be shown as a picture")

    def key(self) -> Sequence[tuple[str, tuple[int, int, int]]]:
        """What colours of `render` mean that do not go by a palette, with their unit: an RGB colour (0 to 255) each."""
        return ()

    def resized(self, label: "Tensor", size: Sequence[int]) -> "Tensor":
        """That of the image brought to ``size``: by the nearest pixel centre, so that no value is invented."""
        if tuple(label.shape[-2:]) == tuple(size):
            return label
        from torch.nn.functional import interpolate

        planes = label.reshape(1, -1, *label.shape[-2:])
        return interpolate(planes, tuple(size), mode="nearest-exact").reshape(*label.shape[:-2], *size)

    def cropped(self, label: "Tensor", top: int, left: int, height: int, width: int) -> "Tensor":
        """That of the crop whose first pixel is at (top, left)."""
        return label[..., top : top + height, left : left + width]

    def mirrored(self, label: "Tensor") -> "Tensor":
        """That of the image mirrored left to right."""
        return label.flip(-1)

    def moved(self, label: "Tensor", warp: "Callable[[Tensor], Tensor]", scale: "Tensor") -> "Tensor":
        """Labels (N, ..., H, W) of images that were enlarged by ``scale`` (N,) and turned.

        ``warp`` does that to planes (N, C, H, W), float: each value is read at the nearest pixel, and 0 beyond the
        edges. A value that changes with what an image shows, such as a depth, is changed here.
        """
        planes = label.reshape(len(label), -1, *label.shape[-2:]).to(scale.dtype)
        known, moved = warp(planes.new_ones(planes.shape)) > 0.5, warp(planes)
        values = (moved if label.is_floating_point() else moved.round()).to(label.dtype)
        return values.masked_fill(~known, self.invalid).reshape(label.shape)


class SemanticLabels(LabelType):
    """A class index a pixel, (H, W) uint8; 255 is ignored."""

    name, invalid = "semantic", IGNORE_INDEX

    @property
    def dtype(self) -> "torch.dtype":  # type: ignore[override]  # a property, since torch is not imported here
        import torch

        return torch.uint8

    def problem(self, label: "NDArray[Any] | Tensor", height: int, width: int) -> str | None:
        """As for every type; arrays are taken too."""
        found = np.asarray(label)
        if found.dtype == np.uint8 and found.shape == (height, width):
            return None
        return f"must be uint8 ({height}, {width}) (height, width) as its image, got {found.dtype} {found.shape}"

    def example(self, height: int, width: int, num_classes: int, random: "torch.Generator") -> "Tensor":
        import torch

        return torch.randint(num_classes, (height, width), generator=random).to(torch.uint8)

    def render(self, label: "Tensor", palette: Sequence[tuple[int, int, int]]) -> "Tensor":
        """Each class in its colour of the palette; ignored pixels are black."""
        import torch

        colors = torch.zeros(256, 3, dtype=torch.uint8)
        colors[: len(palette)] = torch.tensor(palette, dtype=torch.uint8).reshape(-1, 3)
        return colors[label.long()].permute(0, 3, 1, 2)


SEMANTIC = SemanticLabels()


def labels_folder(name: str) -> str:
    """What a folder of labels of the type ``name`` is called, in a translated set and in the cache."""
    return "labels" if name == SEMANTIC.name else f"labels_{name}"
