"""What every dataset of files shares: find the images, pair them with their labels by name, read both."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from attrs import frozen

from daframework.data.decode import IMAGE_SUFFIXES, map_ids, read_image, read_label
from daframework.errors import DataError
from daframework.interfaces import ImageDataset, Sample


@frozen
class Folder:
    """A folder of images and the folder of their labels; files of one name, up to the ending, belong together."""

    images: Path
    labels: Path


@frozen
class Entry:
    """One image: its name, its file, and the file its label is expected in, which need not exist."""

    name: str
    image: Path
    label: Path


def list_entries(folder: Folder) -> list[Entry]:
    """The images of a folder and its sub-folders, by name; labels are not looked for.

    Raises:
        DataError: the folder is missing or holds no images, or two files share a name.
    """
    images = _list_files(folder.images, IMAGE_SUFFIXES)
    if not images:
        raise DataError(f"{folder.images}: holds no images ({', '.join(IMAGE_SUFFIXES)}); check the dataset's folders")
    return [Entry(name, path, folder.labels / f"{name}.png") for name, path in images.items()]


def _list_files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files below ``folder`` by their relative path without ending, sorted; hidden files are passed over."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; check the dataset's root and folder names")
    found: dict[str, Path] = {}
    for parent, _, names in os.walk(folder, followlinks=True):
        for file in names:
            path = Path(parent, file)
            if file.startswith(".") or path.suffix.lower() not in suffixes:
                continue
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise DataError(f"{path}: has the same name as {found[name].name}; keep one of them")
            found[name] = path
    return dict(sorted(found.items()))


class FileDataset(ImageDataset):
    """Images in files, with labels in PNG files that are opened only when a label is asked for."""

    def __init__(self, entries: Sequence[Entry], folders: Iterable[Folder], table: Mapping[int, int]) -> None:
        """``entries`` come from ``folders``; ``table`` maps the ids in label files to classes, or to 255 (ignore)."""
        self._entries = tuple(entries)
        self._folders = tuple(folders)
        self._table = dict(table)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self._labelled[index]
        image, ids = read_image(entry.image), read_label(entry.label)
        if image.shape[1:] != ids.shape:
            raise DataError(
                f"{entry.label}: {ids.shape[0]} x {ids.shape[1]} pixels (height x width), but its image {entry.image} "
                f"has {image.shape[1]} x {image.shape[2]}; a label must cover its image pixel by pixel"
            )
        return Sample(image, map_ids(ids, self._table, where=str(entry.label)), entry.name)

    def unlabelled(self, index: int) -> Sample:
        """The image at ``index``; its label file is neither opened nor looked for."""
        entry = self._entries[index]
        return Sample(read_image(entry.image), None, entry.name)

    @cached_property
    def _labelled(self) -> tuple[Entry, ...]:
        """The entries, once every image is known to have a label and every label an image.

        Checked for all at the first label: a run must not stop hours later over a file that was never there.
        """
        for folder in self._folders:
            labels = _list_files(folder.labels, (".png",))
            images = _list_files(folder.images, IMAGE_SUFFIXES)
            without = [str(images[name]) for name in images if name not in labels]
            if without:
                raise DataError(f"{_some(without)} without a label in {folder.labels}; add NAME.png, or take it away")
            orphans = [str(labels[name]) for name in labels if name not in images]
            if orphans:
                raise DataError(f"{_some(orphans)} without an image in {folder.images}; add it, or take the label away")
        return self._entries


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more:" if len(paths) > 3 else ":")


def names_only(option: str, value: Sequence[str]) -> tuple[str, ...]:
    """``value`` as a tuple, refusing a bare string, which would be taken letter by letter.

    Raises:
        ValueError: it is a string.
    """
    if isinstance(value, str):
        raise ValueError(f'{option} must be a list, got {value!r}; write ["{value}"]')
    return tuple(value)


def folders_of_split(split: str, *, train: Sequence[str], test: Sequence[str]) -> Sequence[str]:
    """The folders of a split.

    Raises:
        ValueError: the split is neither "train" nor "test".
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return train if split == "train" else test
