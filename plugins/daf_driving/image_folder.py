"""Any folder of images, with labels of the same names and a map from the ids in them to classes."""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path

from daf_driving.files import FileDataset, Folder, folders_of_split, list_entries, names_only
from daframework.data.scaling import make_scaling
from daframework.errors import DataError, unknown
from daframework.interfaces import IGNORE_INDEX, Sample

_IGNORE = "ignore"


class ImageFolder(FileDataset):
    """Images in ``FOLDER/images``, each with its label in ``FOLDER/labels`` under the same name, as ``.png``.

    Sub-folders are searched; an image's name is its path below ``images`` without the ending. ``labels`` may be missing
    as long as nothing asks for a label, as for the target's training images. A label holds one id a pixel, 0 to 65535.

    Args:
        root: Folder of the dataset.
        split: ``train`` or ``test``; filled in.
        classes: Names of the classes, in order.
        ids: What each id in the labels means: a class, or ``ignore``. Every id that occurs must be named:
            ``{ "0" = "road", "7" = "sky", "255" = "ignore" }``.
        train_folder: Folder below ``root`` that holds ``images`` and ``labels`` of the split ``train``.
        test_folder: The same for the split ``test``; the default is the same folder as that of ``train``.
        palette: One colour ``[red, green, blue]`` a class, 0 to 255, for pictures; by default colours are made up.
        value_range: The two values of 16-bit images that become black and white, 0 to 65535: ``[0, 4095]`` of a camera
            of 12 bits. Without it or ``value_percentiles`` such images are refused.
        value_percentiles: The same by percent of each image's own values: ``[1, 99]``.
    """

    def __init__(
        self,
        *,
        root: str,
        split: str,
        classes: Sequence[str],
        ids: Mapping[str, str] | None = None,
        train_folder: str = ".",
        test_folder: str = ".",
        palette: Sequence[Sequence[int]] | None = None,
        value_range: Sequence[float] | None = None,
        value_percentiles: Sequence[float] | None = None,
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: classes, ids or palette do not fit together, or an option has a value that is not allowed.
            DataError: the folder is missing or holds no images.
        """
        self.classes = _checked_classes(names_only("classes", classes))
        self.palette = _checked_palette(palette, len(self.classes))
        self.scaling = make_scaling(value_range, value_percentiles)
        table = _table(ids or {}, self.classes)
        (name,) = folders_of_split(split, train=[train_folder], test=[test_folder])
        base = Path(root).expanduser() / name
        folder = Folder(base / "images", base / "labels")
        super().__init__(list_entries(folder), [folder], table)

    def __getitem__(self, index: int) -> Sample:
        if not self._table:
            raise DataError(self._no_ids())
        return super().__getitem__(index)

    def problems(self, *, labelled: bool) -> list[str]:
        """As of any files; and that no ids are given, if labels are asked for."""
        missing = [self._no_ids()] if labelled and not self._table else []
        return missing + super().problems(labelled=labelled)

    def _no_ids(self) -> str:
        return (
            f'image_folder: labels are asked for, but no ids are given; write ids = {{ "0" = "{self.classes[0]}", '
            f'"255" = "{_IGNORE}" }} with every id in the labels'
        )


def _checked_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(classes) <= IGNORE_INDEX:
        raise ValueError(f"classes must be 1 to {IGNORE_INDEX} names, got {len(classes)}")
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise ValueError(f"classes must differ, but {', '.join(twice)} occurs more than once")
    if _IGNORE in classes:
        raise ValueError(f"'{_IGNORE}' is no class: give it as the meaning of an id in ids")
    return classes


def _checked_palette(palette: Sequence[Sequence[int]] | None, num_classes: int) -> tuple[tuple[int, int, int], ...]:
    if palette is None:
        return distinct_colours(num_classes)
    if len(palette) != num_classes:
        raise ValueError(f"palette must have one colour a class, got {len(palette)} for {num_classes} classes")
    colours = []
    for colour in palette:
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ValueError(f"a palette colour must be [red, green, blue], 0 to 255, got {list(colour)}")
        red, green, blue = colour
        colours.append((red, green, blue))
    return tuple(colours)


def _table(ids: Mapping[str, str], classes: Sequence[str]) -> dict[int, int]:
    meanings = {**{name: index for index, name in enumerate(classes)}, _IGNORE: IGNORE_INDEX}
    table: dict[int, int] = {}
    for key, meaning in ids.items():
        if not (key.isascii() and key.isdigit() and int(key) <= 65535):
            raise ValueError(f"ids: a key must be a whole number from 0 to 65535, got '{key}'")
        if meaning not in meanings:
            raise ValueError(f"ids: id {key}: {unknown('class', meaning, meanings)}")
        if int(key) in table:
            raise ValueError(f"ids: id {int(key)} is given twice")
        table[int(key)] = meanings[meaning]
    return table


def distinct_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """``count`` RGB colours (0 to 255), always the same, neighbours far apart: hues a golden angle apart."""
    colours = []
    for index in range(count):
        hue, value = index * 0.618034 % 1, (1.0, 0.75, 0.5)[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)
