"""Label files whose pixels are colours: what they stand for is the number in one channel, or the colour itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from daframework.data.decode import is_grey, read_channels, read_label, read_rgba
from daframework.errors import DataError

Channel = Literal["red", "green", "blue"]
"""A channel that holds the ids of a label."""
CHANNELS: tuple[Channel, ...] = ("red", "green", "blue")
TRANSPARENT = -1
"""The value of a pixel whose alpha is 0: nothing was labelled there, and it is ignored."""

_SHOWN = 5  # unknown values a message names: a colour image smeared by JPEG has thousands


def read_channel(path: Path, channel: Channel) -> NDArray[np.int32]:
    """Decode the ids in one channel of a PNG of 8 or 16 bits to (H, W) int32, `TRANSPARENT` where alpha is 0.

    A grey file is read as by `read_label`; a palette file by its colours, since programs that make PNG files smaller
    turn few colours into a palette.

    Raises:
        DataError: the file cannot be read, or is no PNG.
    """
    place, wide = CHANNELS.index(channel), read_channels(path)
    if wide is not None:
        ids, has_alpha = wide[..., place if wide.shape[-1] > 2 else 0], wide.shape[-1] % 2 == 0
        return np.where(wide[..., -1] == 0, TRANSPARENT, ids) if has_alpha else ids
    if is_grey(path):
        return read_label(path).astype(np.int32)
    colours = read_rgba(path).astype(np.int32)
    return np.where(colours[3] == 0, TRANSPARENT, colours[place])


def read_values(path: Path, *, colours: bool, channel: Channel | None) -> NDArray[Any]:
    """Decode a label's ids, of one ``channel`` if that is given, or its ``colours``, as the functions here do.

    Raises:
        DataError: as they do.
    """
    if colours:
        return read_colours(path)
    return read_label(path) if channel is None else read_channel(path, channel)


def read_first_channel(path: Path) -> NDArray[Any]:
    """Decode the ids in a PNG's first channel to (H, W) int32, where it has several channels of 16 bits.

    As SYNTHIA has them: class id first, instance id second. A PNG of one channel is read as by `read_label`, which
    refuses 8-bit colours.

    Raises:
        DataError: the file cannot be read, is no PNG of ids, or is interlaced.
    """
    wide = read_channels(path)
    return read_label(path) if wide is None else wide[..., 0]


def read_colours(path: Path) -> NDArray[np.int32]:
    """Decode a label of colours to (H, W) int32, each as its `colour_code`, `TRANSPARENT` where alpha is 0.

    Raises:
        DataError: the file cannot be read, is no image, has several frames, or another colour mode.
    """
    red, green, blue, alpha = read_rgba(path).astype(np.int32)
    return np.where(alpha == 0, TRANSPARENT, (red << 16) | (green << 8) | blue)


def colour_code(red: int, green: int, blue: int) -> int:
    """A colour as one number."""
    return (red << 16) | (green << 8) | blue


def parse_colour(text: str) -> int:
    """The `colour_code` of a colour that is written ``128,64,128``.

    Raises:
        ValueError: it is not written so.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 3]
    if not len(parts) == len(numbers) == 3 or max(numbers) > 255:
        raise ValueError(f"must be red,green,blue of 0 to 255, such as 128,64,128, got '{text}'")
    return colour_code(*numbers)


def parse_id(text: str) -> int:
    """The number of an id that is written ``7``.

    Raises:
        ValueError: it is no whole number from 0 to 65535.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ValueError(f"must be a whole number from 0 to 65535, got '{text}'")
    return int(text)


def value_name(value: int, *, colours: bool) -> str:
    """``7``, or ``128,64,128``: an id or a colour as it is written."""
    return f"{value >> 16},{value >> 8 & 255},{value & 255}" if colours else str(value)


def map_ids(label: NDArray[Any], table: Mapping[int, int], *, where: str) -> NDArray[np.uint8]:
    """Replace raw ids (H, W), 0 to 65535, by ``table[id]``, a class index or 255 (ignore); (H, W) uint8.

    ``where`` names the label in the message, as its file does.

    Raises:
        DataError: the label holds an id that the table does not map.
    """
    mapped_values = set(table.values())
    unmapped = next(value for value in range(256) if value not in mapped_values)
    lookup = np.full(256 if label.dtype == np.uint8 else 65536, unmapped, np.uint8)
    for raw, index in table.items():
        if raw < len(lookup):
            lookup[raw] = index
    mapped: NDArray[np.uint8] = lookup[label]
    if (mapped == unmapped).any():
        found = name_values(count_values(label[mapped == unmapped]), colours=False)
        known = _ranges(sorted(table))
        raise DataError(f"{where}: {found} not in the id map (known: {known}); map it to a class or to ignore")
    return mapped


def count_values(values: NDArray[Any]) -> dict[int, int]:
    """How many pixels have each value."""
    found, pixels = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), pixels.tolist(), strict=True))


def _ranges(ids: list[int]) -> str:
    """0, 1, 2, 7 -> ``0..2, 7``."""
    runs: list[list[int]] = []
    for raw in ids:
        if runs and raw == runs[-1][-1] + 1:
            runs[-1][1:] = [raw]
        else:
            runs.append([raw])
    return ", ".join("..".join(map(str, run)) for run in runs) or "none"


def replace_values(
    values: NDArray[Any], numbers: Mapping[int, int], rest: int
) -> tuple[NDArray[np.uint8], dict[int, int], dict[int, int]]:
    """``numbers[value]`` for every value (H, W), and ``rest`` for a value that is not in it: (H, W) uint8.

    Also returned: how many pixels have each value of ``numbers`` that occurs, and how many each that is not in it.
    """
    known = np.array(sorted(numbers), dtype=np.int32)
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    found = known[place] == values
    mapped = np.array([numbers[value] for value in known.tolist()], dtype=np.uint8)[place]
    mapped[~found] = rest
    counts = np.bincount(place[found], minlength=len(known))
    occurring = {value: count for value, count in zip(known.tolist(), counts.tolist(), strict=True) if count}
    return mapped, occurring, count_values(values[~found])


def name_values(counts: Mapping[int, int], *, colours: bool) -> str:
    """``colours 0,0,0 (12 pixels), 1,1,1 (1 pixel) and 7 more are``: the commonest values, each with its pixels."""
    many = len(counts) > 1
    most = sorted(counts, key=lambda value: -counts[value])[:_SHOWN]
    pixels = {value: f"{counts[value]} pixel{'s' * (counts[value] > 1)}" for value in most}
    shown = ", ".join(f"{value_name(value, colours=colours)} ({pixels[value]})" for value in most)
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    return f"{'colour' if colours else 'id'}{'s' * many} {shown}{more} {'are' if many else 'is'}"


def near_colour(code: int, names: Mapping[int, str]) -> str:
    """What to say of a colour that is one step from one of ``names``, as after JPEG or rounding; empty if it is not."""
    for other, name in names.items():
        if max(abs((code >> shift & 255) - (other >> shift & 255)) for shift in (16, 8, 0)) == 1:
            mine, its = value_name(code, colours=True), value_name(other, colours=True)
            return f"{mine} is one step from {name}'s {its}"
    return ""
