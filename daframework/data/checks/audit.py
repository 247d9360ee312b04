"""Look at every image of a set and its label, and tell everything that is wrong, not only the first thing."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import Factory, define, evolve, field, frozen

from daframework.data.checked import check_sample
from daframework.data.checks.duplicates import content_digest
from daframework.data.frequencies import label_counts
from daframework.dataset_interface import Array, ImageDataset, Inspection, Sample
from daframework.errors import DataError
from daframework.label_types import SEMANTIC, LabelType

if TYPE_CHECKING:
    from daframework.task_interface import Task

LOW_CONTRAST = 3.0
"""Standard deviation, on 0 to 255, below which an image shows next to nothing: one colour, and a camera's noise."""


@frozen
class Audited:
    """What `audit` found: plain numbers, so that processes can hand it over.

    ``where`` is the image's file, or its name. ``size`` is height and width in pixels; ``sums`` and ``squares`` add up
    the values (0 to 255) of each channel and their squares. ``digest`` and ``size`` are None where the image cannot be
    read; ``counts``, labelled pixels by class, where no sound label is. ``others`` names the sound labels of other
    types. ``turned``: EXIF turns image and label differently. ``doubt``: what looks wrong and need not be.
    """

    where: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    sums: tuple[int, ...] = (0, 0, 0)
    squares: tuple[int, ...] = (0, 0, 0)
    digest: str | None = None
    counts: tuple[int, ...] | None = None
    others: tuple[str, ...] = ()
    turned: bool = False
    doubt: str | None = None


def audit(
    dataset: ImageDataset,
    labelled: bool,
    index: int,
    types: Sequence[LabelType] = (SEMANTIC,),
    task: "Task | None" = None,
) -> Audited:
    """Decode one image, and its labels if ``labelled``; whatever is wrong is in the result, a line each.

    Classes, which are counted, and labels of ``types`` must be as these say; others are as good as the dataset finds
    them. ``task`` may doubt its own.
    """
    where = f"image {index}"
    try:
        file = dataset.file(index)
        where = where if file is None else str(file)
        found = dataset.inspect(index, labelled=labelled) or _read(dataset, labelled, index)
    except Exception as error:  # whatever a stranger's dataset raises, the other images are still to be looked at
        return Audited(where, (f"{where}: unexpected {type(error).__name__}: {error} (a fault of the dataset)",))
    if file is None:
        where = found.name
    errors, warnings, doubt = list(found.problems), [], found.doubt
    if found.image is not None:
        sample = Sample(found.image, found.label, found.name, found.others)
        try:
            others = [one for one in types if not one.of_classes]
            wanted = [one for one in (SEMANTIC, *others) if one.name in found.labels]
            check_sample(sample, len(dataset.classes), wanted)
        except DataError as error:
            errors.append(str(error))
            found = evolve(found, image=None, label=None, others={})
        else:
            learned = None if task is None else sample.labelled(task.label_type.name)
            said = None if task is None or learned is None else task.doubt(learned)
            doubt = doubt or (said and f"{where}: {said}")
    counts: tuple[int, ...] | None = None
    if found.label is not None:
        counts = tuple(label_counts(found.label, len(dataset.classes), found.name).tolist())
        if not any(counts):
            warnings.append(f"{where}: its label ignores every pixel; take the pair away, or look at the label")
    told: dict[str, Any] = {"counts": counts, "others": tuple(found.others), "turned": found.turned, "doubt": doubt}
    if (image := found.image) is not None:
        sums, squares = _sums(image)
        pixels = image.shape[1] * image.shape[2]
        spread = max(map(lambda total, square: _deviation(pixels, total, square), sums, squares))
        if spread < LOW_CONTRAST:
            why = f"its values, 0 to 255, have a standard deviation of {spread:.1f}"
            warnings.append(f"{where}: shows next to nothing ({why}); look at it, and take it away if it is empty")
        told |= {"size": image.shape[1:], "sums": sums, "squares": squares, "digest": content_digest(image)}
    return Audited(where, tuple(errors), tuple(warnings), **told)


def turned_differently(title: str, images: Sequence[str]) -> str:
    """The warning about ``images`` of a set, which EXIF turns differently from their labels."""
    count = f"{len(images):,} images" if len(images) > 1 else "1 image"
    remedy = "look at them with daf data preview, and save them turned and without EXIF if their labels lie wrong"
    return f"{title}: {count}, such as {images[0]}, turned by EXIF otherwise than the label; {remedy}"


def _read(dataset: ImageDataset, labelled: bool, index: int) -> Inspection:
    """What reading the sample tells: the first thing that is wrong with it."""
    try:
        sample = dataset[index] if labelled else dataset.unlabelled(index)
    except DataError as error:
        return Inspection(f"image {index}", None, None, [str(error)])
    found = sample.as_arrays()
    missing = [f"image {sample.name}: has no image"] if found.image is None else []
    missing += [
        f"image {sample.name}: has no label" + ("" if name == SEMANTIC.name else f" '{name}'")
        for name in (dataset.labels if labelled else ())
        if name not in found.labels
    ]
    return evolve(found, problems=missing)


def _sums(image: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Exact sums of each channel's values and of their squares."""
    squares = (np.square(channel, dtype=np.uint32) for channel in image)
    return tuple(int(channel.sum()) for channel in image), tuple(int(channel.sum()) for channel in squares)


def _deviation(count: int, total: int, squares: int) -> float:
    # In whole numbers up to the root: the difference of two large floats would lose its digits.
    return math.sqrt(max(0, count * squares - total * total)) / count if count else 0.0


@define
class SetAudit:
    """What the images of one set hold together; `add` what was found in each.

    ``shown`` counts the images that show a class, ``pixels`` the labelled pixels of a class; ``labels`` the sound
    labels of classes, ``others`` those of other types, by name.
    """

    classes: Sequence[str]
    read: int = 0
    labels: int = 0
    sizes: Counter[tuple[int, int]] = field(factory=Counter)
    pixels: list[int] = field(init=False, default=Factory(lambda self: [0] * len(self.classes), takes_self=True))
    shown: list[int] = field(init=False, default=Factory(lambda self: [0] * len(self.classes), takes_self=True))
    contents: list[tuple[str, str]] = field(factory=list)
    others: Counter[str] = field(factory=Counter)
    turned: list[str] = field(factory=list)
    doubts: list[str] = field(factory=list)
    _sums: list[int] = field(factory=lambda: [0, 0, 0])
    _squares: list[int] = field(factory=lambda: [0, 0, 0])

    def add(self, found: Audited) -> None:
        """Count one image in."""
        self.read += 1
        self.turned += [found.where] * found.turned
        self.doubts += [found.doubt] if found.doubt else []
        self.others.update(found.others)
        if found.size is not None and found.digest is not None:
            self.sizes[found.size] += 1
            self.contents.append((found.where, found.digest))
            self._sums = [a + b for a, b in zip(self._sums, found.sums, strict=True)]
            self._squares = [a + b for a, b in zip(self._squares, found.squares, strict=True)]
        if found.counts is not None:
            self.labels += 1
            self.pixels = [a + b for a, b in zip(self.pixels, found.counts, strict=True)]
            self.shown = [a + (b > 0) for a, b in zip(self.shown, found.counts, strict=True)]

    @property
    def mean(self) -> list[float] | None:
        """Mean red, green and blue of all pixels, 0 to 255; None without an image."""
        count = self._count()
        return [total / count for total in self._sums] if count else None

    @property
    def contrast(self) -> list[float] | None:
        """Standard deviation of red, green and blue over all pixels, 0 to 255; None without an image."""
        count = self._count()
        pairs = zip(self._sums, self._squares, strict=True)
        return [_deviation(count, total, square) for total, square in pairs] if count else None

    @property
    def never(self) -> list[str]:
        """The classes that no label shows; none where there is no label."""
        return [name for name, shown in zip(self.classes, self.shown, strict=True) if not shown] if self.labels else []

    def _count(self) -> int:
        return sum(height * width * images for (height, width), images in self.sizes.items())
