"""Label files in other numbers: from the ids, or the colours, of one label space to the ids of another."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from daframework.data.decode import read_image, read_label, write_label
from daframework.data.spaces import IGNORE, LabelSpace
from daframework.errors import DataError
from daframework.interfaces import IGNORE_INDEX

_SHOWN = 5  # unknown values a message names: a colour image smeared by JPEG has thousands


@frozen
class Conversion:
    """What each value of a pixel becomes: its id, or its colour as a number, see `colour_code`.

    ``rest`` is what all other values become; None refuses a file that has any.
    """

    numbers: Mapping[int, int]
    colours: bool
    rest: int | None = None


@frozen
class Converted:
    """What came of one file: ``problem`` in a line, and how many pixels have each value that is ``unknown``."""

    problem: str | None
    unknown: Mapping[int, int]


def ids_of(space: LabelSpace, *, train_ids: bool) -> dict[str, int]:
    """What stands in label files for each class, and for ``ignore``.

    With ``train_ids``, and in a space that has no ids of its own: the place of the class, and 255.
    """
    if train_ids or space.ids is None:
        return {name: place for place, name in enumerate(space.classes)} | {IGNORE: IGNORE_INDEX}
    return dict(zip(space.classes, space.ids, strict=True)) | {IGNORE: space.ignored_id}


def colours_of(space: LabelSpace) -> dict[str, int]:
    """The colour of each class, as a number.

    Raises:
        DataError: two classes have one colour.
    """
    codes = {name: colour_code(*colour) for name, colour in zip(space.classes, space.palette, strict=True)}
    first: dict[int, str] = {}
    for name, code in codes.items():
        if (other := first.setdefault(code, name)) != name:
            raise DataError(
                f"label space '{space.name}': {other} and {name} share the colour {value_name(code, colours=True)}, "
                "which does not say which is meant; give a palette with a colour for each class"
            )
    return codes


def colour_code(red: int, green: int, blue: int) -> int:
    """A colour as one number."""
    return (red << 16) | (green << 8) | blue


def value_name(value: int, *, colours: bool) -> str:
    """``7``, or ``128,64,128``: as --ignore takes it."""
    return f"{value >> 16},{value >> 8 & 255},{value & 255}" if colours else str(value)


def convert_file(conversion: Conversion, files: Sequence[Path], outputs: Sequence[Path], index: int) -> Converted:
    """Convert ``files[index]`` to ``outputs[index]``; a file that cannot be is not written, and told of."""
    file = files[index]
    try:
        values = _read(file, colours=conversion.colours)
        known = np.array(sorted(conversion.numbers), dtype=np.int64)
        place = np.searchsorted(known, values).clip(max=len(known) - 1)
        found = known[place] == values
        numbers = np.array([conversion.numbers[value] for value in known.tolist()], dtype=np.int64)[place]
        if not found.all():
            if conversion.rest is None:
                ids, counts = np.unique(values[~found], return_counts=True)
                unknown = dict(zip(ids.tolist(), counts.tolist(), strict=True))
                return Converted(_unknown(file, unknown, colours=conversion.colours), unknown)
            numbers[~found] = conversion.rest
        write_label(outputs[index], torch.from_numpy(numbers.astype(np.uint8)))
    except DataError as error:
        return Converted(str(error), {})
    return Converted(None, {})


def _read(file: Path, *, colours: bool) -> NDArray[np.int64]:
    """The value of each pixel, (H, W)."""
    if not colours:
        return read_label(file).numpy().astype(np.int64)
    red, green, blue = read_image(file).numpy().astype(np.int64)
    codes: NDArray[np.int64] = (red << 16) | (green << 8) | blue
    return codes


def _unknown(file: Path, unknown: Mapping[int, int], *, colours: bool) -> str:
    most = sorted(unknown, key=lambda value: -unknown[value])[:_SHOWN]
    shown = ", ".join(f"{value_name(value, colours=colours)} ({unknown[value]} pixels)" for value in most)
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return f"{file}: {'colour' if colours else 'id'} {shown}{more} stands for no class; not converted"
