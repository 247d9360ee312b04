"""What a dataset implements; `daframework.interfaces` hands it on. Torch is not imported here before a tensor is asked
for: looking at files does without, and starts at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from attrs.converters import optional
from numpy.typing import NDArray

from daframework.label_types import SEMANTIC

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
"""Of numbers, on the CPU."""


def _arrays(others: "Mapping[str, Array | Tensor]") -> dict[str, Array]:
    return {name: np.asarray(label) for name, label in others.items()}


@frozen(eq=False)
class Inspection:
    """An image and its label as far as they can be read, None otherwise, and a line for everything wrong with them.

    Numpy arrays, shaped as in `Sample`; tensors that are given become such.
    """

    name: str
    image: Array | None = field(converter=optional(np.asarray))
    label: Array | None = field(converter=optional(np.asarray))
    problems: Sequence[str] = ()
    turned: bool = False  # EXIF turns one of the two and not the other
    others: Mapping[str, Array] = field(factory=dict, converter=_arrays)  # labels of other types, by their names
    doubt: str | None = None  # what looks wrong and need not be, such as the unit of values far too large

    @property
    def labels(self) -> list[str]:
        """The types of label that it has."""
        return [*([] if self.label is None else [SEMANTIC.name]), *self.others]


@frozen(eq=False)
class Sample:
    """A stored image: ``image`` (3, H, W) uint8 RGB, ``label`` (H, W) uint8 or None, ``name`` unique in its set.

    ``label`` is the semantic one; ``others`` are those of other types by their name, such as ``"depth"``. Each is given
    as a numpy array or a tensor, and handed out as a tensor of the same memory.
    """

    _image: "Array | Tensor"
    _label: "Array | Tensor | None"
    name: str
    _others: "Mapping[str, Array | Tensor]" = field(factory=dict)

    @property
    def image(self) -> "Tensor":
        """(3, H, W) uint8 RGB."""
        return _tensor(self._image)

    @property
    def label(self) -> "Tensor | None":
        """(H, W) uint8, or None."""
        return None if self._label is None else _tensor(self._label)

    @property
    def others(self) -> "Mapping[str, Tensor]":
        """Its labels of other types, by their names."""
        return {name: _tensor(label) for name, label in self._others.items()}

    def labelled(self, name: str) -> "Tensor | None":
        """Its label of the type ``name``, None where it has none."""
        found = self._label if name == SEMANTIC.name else self._others.get(name)
        return None if found is None else _tensor(found)

    def as_arrays(self) -> Inspection:
        """What it holds, as numpy arrays of the same memory."""
        return Inspection(self.name, self._image, self._label, others=self._others)


def _tensor(values: "Array | Tensor") -> "Tensor":
    import torch

    if isinstance(values, np.ndarray):  # one that was flipped or is read-only makes no tensor
        values = np.require(values, requirements=["C", "W"])
    return torch.as_tensor(values)


class ImageDataset(ABC):
    """Images with labels, in a fixed order. 255 in a label means: ignore this pixel."""

    classes: Sequence[str]
    """Class names; a label's value is an index into them."""
    palette: Sequence[tuple[int, int, int]]
    """One RGB colour (0 to 255) a class, for pictures."""
    labels: Sequence[str] = (SEMANTIC.name,)
    """The types of label that its samples have. A set without semantic ones has no classes and no palette."""

    @abstractmethod
    def __len__(self) -> int:
        """How many images there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """The image at ``index`` (0 <= index < len) with its label.

        Raises:
            DataError: the image or label cannot be read, they differ in size, or a label has an unknown id.
        """

    def unlabelled(self, index: int) -> Sample:
        """The image at ``index`` with ``label`` None. Override it so that a label on disk is not even opened."""
        return evolve(self[index], label=None, others={})

    def file(self, index: int) -> Path | None:
        """Where the image at ``index`` is stored, to be named in messages; None where it has no file of its own."""
        return None

    def fingerprint(self, *, labels: bool) -> str | None:
        """A text that changes whenever an image may have changed, or with ``labels`` a label or what its ids mean.

        ``data.cache = true`` keeps decoded images on disk under it; None for a set that cannot tell, which is not kept.
        It must take seconds for 100,000 images: ask for sizes and times. Unless ``labels``, do not look for labels.

        Raises:
            DataError: a file is missing.
        """
        return None

    def problems(self, *, labelled: bool) -> list[str]:
        """A line for all that is wrong and shows without decoding: if ``labelled``, each file without a partner."""
        return []

    def inspect(self, index: int, *, labelled: bool) -> Inspection | None:
        """All that is wrong at ``index``, less what `problems` tells; None where only reading the sample can say."""
        return None
