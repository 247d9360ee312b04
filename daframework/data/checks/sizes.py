"""The sizes of a set's images, from the headers of their files: nothing but the first image is decoded."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import gcd

from attrs import define, field

from daframework.data.decode import image_size
from daframework.dataset_interface import ImageDataset
from daframework.errors import DataError

Size = tuple[int, int]
"""Height and width in pixels."""


@define
class Sizes:
    """The sizes among a set's ``total`` images: of each how many have it, and the first of these that was looked at.

    ``unreadable`` has a line for each image whose header cannot be read; ``cut_short`` tells that time ran out. An
    image is named by its file, or as the dataset calls it.
    """

    total: int
    counts: dict[Size, int] = field(factory=dict)
    examples: dict[Size, str] = field(factory=dict)
    unreadable: list[str] = field(factory=list)
    cut_short: bool = False

    @property
    def seen(self) -> int:
        """How many images were looked at."""
        return sum(self.counts.values()) + len(self.unreadable)

    def add(self, size: Size, name: str) -> None:
        """Count one image in."""
        self.counts[size] = self.counts.get(size, 0) + 1
        self.examples.setdefault(size, name)


def survey_sizes(dataset: ImageDataset, *, seconds: float) -> Sizes:
    """The sizes of all images of ``dataset``, or of as many as ``seconds`` allow, spread evenly over the set.

    Where an image has no file, or the first one's file is of another size than the image, as where a dataset cuts or
    shrinks what it reads, headers tell nothing, and only the first image is looked at.

    Raises:
        DataError: the first image cannot be read.
    """
    sizes, first, file = Sizes(len(dataset)), dataset.unlabelled(0), dataset.file(0)
    size, told = (first.image.shape[1], first.image.shape[2]), None
    sizes.add(size, first.name if file is None else str(file))
    if file is not None:
        with suppress(DataError):  # a format of the dataset's own
            told = image_size(file)
    if told != size:
        return sizes
    end = time.monotonic() + seconds
    for index in _spread(len(dataset)):
        if time.monotonic() > end:
            sizes.cut_short = True
            break
        if (file := dataset.file(index)) is not None:
            try:
                sizes.add(image_size(file), str(file))
            except DataError as error:
                sizes.unreadable.append(str(error))
    return sizes


def _spread(count: int) -> Iterator[int]:
    """1 to ``count`` - 1, each once; as many as are taken lie evenly in between."""
    step = next(step for step in range(max(1, round(count * 0.618)), 2 * count + 1) if gcd(step, count) == 1)
    return (place * step % count for place in range(1, count))


def telling_sizes(sizes: Sequence[Size], most: int) -> list[Size]:
    """At most ``most`` of ``sizes``: the extremes of area, height, width and shape, and others in between."""
    if len(sizes) <= most:
        return list(sizes)
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    by_shape = sorted(sizes, key=lambda size: size[0] / size[1])
    orders = (by_area, sorted(sizes), sorted(sizes, key=lambda size: size[1]), by_shape)
    ends = [order[end] for order in orders for end in (0, -1)]
    return list(dict.fromkeys([*ends, *(by_area[place * len(sizes) // most] for place in range(most))]))[:most]
