"""Any folder of images, with labels of the same names, a map from the ids or colours in them to classes, and depth."""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from daf_driving.depth_files import ENDINGS, DepthFiles, DepthFormat, make_coding
from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.lists import list_split
from daf_driving.meanings import colours_as_classes, meaning_table
from daf_driving.pairing import Folder
from daf_driving.space_files import Labels, label_space
from daframework.data.decode import IMAGE_SUFFIXES
from daframework.data.label_files import TRANSPARENT, Channel, map_ids, read_values
from daframework.data.scaling import make_scaling
from daframework.data.spaces import IGNORE
from daframework.dataset_interface import Array, Sample
from daframework.errors import DataError
from daframework.fingerprint import digest
from daframework.label_types import IGNORE_INDEX

_SPLIT = "{split}"


class ImageFolder(FileDataset):
    """Images in ``FOLDER/images``, each with its label in ``FOLDER/labels`` under the same name, as ``.png``.

    Sub-folders are searched; an image's name is its path below ``images`` without the ending. ``labels`` may be missing
    as long as nothing asks for a label, as for the target's training images. A label holds one id a pixel, 0 to 65535,
    or one colour; transparent pixels are ignored. Depth may lie in files of its own, beside labels or in their place.

    Args:
        root: Folder of the dataset; a relative one is looked for in the folder that DAF_DATA names, too.
        split: ``train`` or ``test``; filled in.
        classes: Names of the classes, in order; or the name of a label space, for its classes and colours. Without
            them no classes are read: in a set of ``depth`` alone, or a target without labels.
        ids: What each id in the labels means: a class, or ``ignore``. Every id that occurs must be named:
            ``{ "0" = "road", "7" = "sky", "255" = "ignore" }``. Or the name of an id map that ships, such as
            ``wilddash2``, where classes that are not in ``classes`` are ignored.
        colours: The same for labels of colours: ``{ "128,64,128" = "road", "0,0,0" = "ignore" }``, or the name of a
            colour map or label space that ships, such as ``camvid32``.
        channel: The ids are in this channel of labels in colour: ``red``, ``green`` or ``blue``.
        train_folder: Folder below ``root`` that holds ``images`` and ``labels`` of the split ``train``.
        test_folder: The same for the split ``test``; the default is the same folder as that of ``train``.
        images_folder: Folder of the images below that of the split; or below ``root`` if ``{split}`` is in it, which
            stands for the folder of the split: ``rgb/{split}``.
        labels_folder: The same of the labels.
        image_ending: How an image file's name ends; any ending of an image by default.
        label_ending: How a label file's name ends.
        image_beginning: How an image file's name begins, where a label's begins otherwise.
        label_beginning: How a label file's name begins.
        list_file: Text file below ``root`` that names the images of the split ``train``, one a line; all by default.
        test_list_file: The same for the split ``test``; the default is the list of ``train``, if the folder is too.
        palette: One colour ``[red, green, blue]`` a class, 0 to 255, for pictures; by default colours are made up.
        value_range: The two values of 16-bit images that become black and white, 0 to 65535: ``[0, 4095]`` of a camera
            of 12 bits. Without it or ``value_percentiles`` such images are refused.
        value_percentiles: The same by percent of each image's own values: ``[1, 99]``.
        depth: Folder of the depth files, as ``labels_folder``; without it the set has no depth.
        depth_format: What a depth file is: ``png16`` (PNG of 16 bits), ``npy`` (numpy's array (H, W) of floats),
            ``tiff`` (one channel of 32-bit floats), or ``carla`` (PNG whose 24 bits over red, green and blue are 0 to
            1000 m).
        depth_scale: The metres that a value of 1 stands for, as 0.01 for centimetres: needed for ``png16``, 1 for
            ``npy`` and ``tiff`` by default.
        depth_invalid: The value in a file that stands for no measurement, beside 0; 16777215 for ``carla`` by default,
            which is the sky. ``"nan"`` and ``"inf"`` are values too.
        depth_ending: How a depth file's name ends; ``.png``, ``.npy`` or ``.tiff`` by default.
        depth_beginning: How a depth file's name begins.
        depth_range: The metres ``[low, high]`` between which depth is expected: a file whose median is less than half
            of the one or more than twice the other is told, as where metres are declared to be centimetres: the first
            by ``daf check`` and ``daf run``, others by ``daf data check``.
    """

    def __init__(
        self,
        *,
        root: str,
        split: str,
        classes: Sequence[str] | str | None = None,
        ids: Mapping[str, str] | str | None = None,
        colours: Mapping[str, str] | str | None = None,
        channel: Channel | None = None,
        train_folder: str = ".",
        test_folder: str = ".",
        images_folder: str = "images",
        labels_folder: str = "labels",
        image_ending: str | None = None,
        label_ending: str = ".png",
        image_beginning: str = "",
        label_beginning: str = "",
        list_file: str | None = None,
        test_list_file: str | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        value_range: Sequence[float] | None = None,
        value_percentiles: Sequence[float] | None = None,
        depth: str | None = None,
        depth_format: DepthFormat = "png16",
        depth_scale: float | None = None,
        depth_invalid: float | Literal["nan", "inf"] | None = None,
        depth_ending: str | None = None,
        depth_beginning: str = "",
        depth_range: Sequence[float] | None = None,
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: classes, ids, colours, palette or depth do not fit together, or a value is not allowed.
            DataError: the folder or a list is missing, the folder holds no images, or a list names what is not there.
        """
        if depth is None and (depth_scale, depth_invalid, depth_ending, depth_range) != (None,) * 4:
            raise ValueError("depth_... says how depth is written, but not where: give its folder in depth, too")
        invalid = None if depth_invalid is None else float(depth_invalid)
        coding = None if depth is None else make_coding(depth_format, depth_scale, invalid, depth_range)
        has_classes = classes is not None
        if not has_classes and (ids, colours, channel, palette) != (None,) * 4:
            raise ValueError("ids, colours, channel and palette are those of classes: name these in classes, too")
        space = label_space(classes) if isinstance(classes, str) else None
        named = tuple(classes or ()) if space is None else space.classes
        self.classes = _checked_classes(named) if has_classes else ()
        self.palette = _checked_palette(palette if space is None or palette else space.palette, len(self.classes))
        if colours is not None and (ids is not None or channel is not None):
            raise ValueError("colours stand in place of ids and channel; give one of them")
        self._channel, self._in_colours = channel, colours is not None
        if self._in_colours and not colours:
            raise ValueError("colours must name at least one colour")
        option, meanings = ("colours", colours) if self._in_colours else ("ids", ids)
        labels = Labels(self.classes, self.palette, meaning_table(option, meanings or {}, self.classes))
        self.scaling = make_scaling(value_range, value_percentiles)
        name = train_folder if split == "train" else test_folder
        base = find_root("image_folder", root, "images/ and labels/")
        images, beside = _place(base, name, images_folder), _place(base, name, labels_folder)
        image_endings = IMAGE_SUFFIXES if image_ending is None else (image_ending,)
        folder = Folder(images, beside, image_endings, label_ending, image_beginning, label_beginning)
        shared = split == "train" or train_folder == test_folder
        entries = list_split(folder, base, split, train=list_file if shared else None, test=test_list_file)
        files = None
        if depth is not None and coding is not None:
            ending = ENDINGS[depth_format] if depth_ending is None else depth_ending
            place = _place(base, name, depth)
            files = DepthFiles.beside(entries, coding, lambda _: place, depth_beginning, ending)
        super().__init__(entries, labels if has_classes else None, files)

    def __getitem__(self, index: int) -> Sample:
        if self.classes and not self._table:
            raise DataError(self._no_ids())
        return super().__getitem__(index)

    def fingerprint(self, *, labels: bool) -> str:
        """As of any files, and of how the labels are read."""
        found = super().fingerprint(labels=labels)
        return digest(found, self._channel, self._in_colours) if labels else found

    def problems(self, *, labelled: bool) -> list[str]:
        """As of any files; and that no ids are given, if labels are asked for."""
        missing = [self._no_ids()] if labelled and self.classes and not self._table else []
        return missing + super().problems(labelled=labelled)

    def _no_ids(self) -> str:
        return (
            f'image_folder: labels are asked for, but no ids are given; write ids = {{ "0" = "{self.classes[0]}", '
            f'"255" = "{IGNORE}" }} with every id in the labels, or colours for labels of colours'
            + ("; or leave classes out: then there is depth alone" if "depth" in self.labels else "")
        )

    def _read_ids(self, path: Path) -> Array:
        return read_values(path, colours=self._in_colours, channel=self._channel)

    def _as_classes(self, ids: Array, path: Path) -> Array:
        if self._in_colours:
            return colours_as_classes(ids, self._table, self.classes, where=str(path))
        if self._channel is None:
            return super()._as_classes(ids, path)
        stand_in = next(iter(self._table))  # any id that has a meaning
        hidden = ids == TRANSPARENT
        classes = map_ids(np.where(hidden, stand_in, ids), self._table, where=str(path))
        classes[hidden] = IGNORE_INDEX
        return classes


def _place(base: Path, split_folder: str, folder: str) -> Path:
    return base / folder.replace(_SPLIT, split_folder) if _SPLIT in folder else base / split_folder / folder


def _checked_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(classes) <= IGNORE_INDEX:
        raise ValueError(f"classes must be 1 to {IGNORE_INDEX} names, got {len(classes)}")
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        raise ValueError(f"classes must differ, but {', '.join(twice)} occurs more than once")
    if IGNORE in classes:
        raise ValueError(f"'{IGNORE}' is no class: give it as the meaning of an id in ids")
    return classes


def _checked_palette(palette: Sequence[Sequence[int]] | None, num_classes: int) -> tuple[tuple[int, int, int], ...]:
    if palette is None:
        return distinct_colours(num_classes)
    if len(palette) != num_classes:
        raise ValueError(f"palette must have one colour a class, got {len(palette)} for {num_classes} classes")
    for colour in palette:
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ValueError(f"a palette colour must be [red, green, blue], 0 to 255, got {list(colour)}")
    return tuple((red, green, blue) for red, green, blue in palette)


def distinct_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """``count`` RGB colours (0 to 255), always the same, neighbours far apart: hues a golden angle apart."""
    colours = []
    for index in range(count):
        hue, value = index * 0.618034 % 1, (1.0, 0.75, 0.5)[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)
