"""Label files in other numbers: from the ids, or the colours, of one label space to the ids of another."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from daframework.data.decode import write_label
from daframework.data.label_files import TRANSPARENT, Channel, name_values, read_values, replace_values
from daframework.data.spaces import IGNORE, LabelSpace
from daframework.errors import DataError
from daframework.label_types import IGNORE_INDEX


@frozen
class Conversion:
    """What each value of a pixel becomes: its id, or its colour as a number, see `colour_code`.

    ``names`` are the classes' own values. Transparent pixels become ``ignored``, and with ``ignore_others`` all values
    that are not in ``numbers`` do; without it a file that has any is refused. ``channel`` holds the ids if given.
    """

    numbers: Mapping[int, int]
    names: Mapping[int, str]
    ignored: int
    colours: bool
    ignore_others: bool = False
    channel: Channel | None = None


@frozen
class Converted:
    """What came of one file: ``problem`` in a line, and how many pixels have each ``known`` value, and each other."""

    problem: str | None
    known: Mapping[int, int] = field(factory=dict)
    unknown: Mapping[int, int] = field(factory=dict)


def ids_of(space: LabelSpace, *, train_ids: bool) -> dict[str, int]:
    """What stands in label files for each class, and for ``ignore``.

    With ``train_ids``, and in a space that has no ids of its own: the place of the class, and 255.
    """
    if train_ids or space.ids is None:
        return {name: place for place, name in enumerate(space.classes)} | {IGNORE: IGNORE_INDEX}
    return dict(zip(space.classes, space.ids, strict=True)) | {IGNORE: space.ignored_id}


def convert_file(conversion: Conversion, files: Sequence[Path], outputs: Sequence[Path], index: int) -> Converted:
    """Convert ``files[index]`` to ``outputs[index]``; a file that cannot be is not written, and told of."""
    file = files[index]
    numbers = {**conversion.numbers, TRANSPARENT: conversion.ignored}
    try:
        values = read_values(file, colours=conversion.colours, channel=conversion.channel)
        ids, known, unknown = replace_values(values, numbers, conversion.ignored)
        if unknown and not conversion.ignore_others:
            named = name_values(unknown, colours=conversion.colours)
            return Converted(f"{file}: {named} of no class; not converted", known, unknown)
        write_label(outputs[index], ids)
    except DataError as error:
        return Converted(str(error))
    return Converted(None, known, unknown)
