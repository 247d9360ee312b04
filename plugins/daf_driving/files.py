"""What every dataset of files shares: find the images, pair them with their labels by name, read both."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from attrs import frozen
from torch import Tensor

from daf_driving.turned import one_is_turned, other_size
from daframework.data.decode import IMAGE_SUFFIXES, map_ids, read_image, read_label
from daframework.data.fingerprint import digest, fingerprint_files
from daframework.data.folders import walk
from daframework.data.scaling import Scaling
from daframework.errors import DataError
from daframework.interfaces import ImageDataset, Inspection, Sample


@frozen
class Folder:
    """A folder of images and the folder of their labels; files of one name belong together.

    A name is the path below the folder without its ending. Files with another ending are passed over, which is how
    several kinds of image or label can share a folder.

    Args:
        images: Folder of the images; sub-folders are searched too.
        labels: Folder of the labels.
        image_endings: How an image file's name may end; small and capital letters are the same here.
        label_ending: How a label file's name ends, to the letter.
        within: Search these sub-folders only; all if empty.
        only: These names only; all if None.
        skip: Pass these names over, in both folders.
        hint: What to do about an image without a label; to add the label or take the image away, if empty.
    """

    images: Path
    labels: Path
    image_endings: tuple[str, ...] = IMAGE_SUFFIXES
    label_ending: str = ".png"
    within: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    skip: frozenset[str] = frozenset()
    hint: str = ""


@frozen
class Entry:
    """One image of a folder; its paths are made when asked for, which keeps 25,000 entries small."""

    folder: Folder
    name: str
    ending: str

    @property
    def image(self) -> Path:
        """The image file."""
        return self.folder.images / (self.name + self.ending)

    @property
    def label(self) -> Path:
        """The file the label is expected in, which need not exist."""
        return self.folder.labels / (self.name + self.folder.label_ending)


def list_entries(folder: Folder) -> list[Entry]:
    """The images of a folder and its sub-folders, by name; labels are not looked for.

    Raises:
        DataError: the folder is missing or holds no images, or two files share a name.
    """
    images = _list_images(folder)
    if not images:
        kinds = ", ".join(folder.image_endings)
        raise DataError(f"{folder.images}: holds no images ({kinds}); check the dataset's folders")
    return [Entry(folder, name, ending) for name, ending in images.items()]


def _list_images(folder: Folder) -> dict[str, str]:
    endings = tuple(map(str.lower, folder.image_endings))
    return _list_files(folder, folder.images, lambda file: _ending(file.lower(), endings))


def _list_labels(folder: Folder) -> dict[str, str]:
    return _list_files(folder, folder.labels, lambda file: _ending(file, (folder.label_ending,)))


def _ending(file: str, endings: tuple[str, ...]) -> int:
    """How many letters of a file's name are its ending; 0 if it has none of ``endings``."""
    for ending in endings:  # a loop: it runs for each of 100,000 files
        if file.endswith(ending):
            return len(ending)
    return 0


def _list_files(folder: Folder, base: Path, length: Callable[[str], int]) -> dict[str, str]:
    """Name -> ending, as it is spelt, of the files below ``base``; sorted; hidden files are passed over."""
    found: dict[str, str] = {}
    for start in folder.within or (".",):
        if not (base / start).is_dir():
            raise DataError(f"{base / start}: no such folder; check the dataset's root and folder names")
        for parent, files in walk(base / start):
            inside = parent.relative_to(base).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            for file in files:
                cut = length(file)
                if not cut:
                    continue
                name, ending = prefix + file[:-cut], file[-cut:]
                if name in folder.skip or (folder.only is not None and name not in folder.only):
                    continue
                if name in found:
                    other = Path(name).name + found[name]
                    raise DataError(f"{base / (name + ending)}: has the same name as {other}; keep one of them")
                found[name] = ending
    return dict(sorted(found.items()))


class FileDataset(ImageDataset):
    """Images in files, with labels in PNG files that are opened only when a label is asked for."""

    scaling: Scaling | None = None  # of images of 16 bits

    def __init__(self, entries: Sequence[Entry], folders: Iterable[Folder], table: Mapping[int, int]) -> None:
        """``entries`` come from ``folders``; ``table`` maps the ids in label files to classes, or to 255 (ignore)."""
        self._entries = tuple(entries)
        self._folders = tuple(folders)
        self._table = dict(table)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self._labelled[index]
        image, ids = read_image(entry.image, scaling=self.scaling), self._read_ids(entry.label)
        if image.shape[1:] != ids.shape:
            raise DataError(other_size(entry.image, image, entry.label, ids))
        return Sample(image, map_ids(ids, self._table, where=str(entry.label)), entry.name)

    def unlabelled(self, index: int) -> Sample:
        """The image at ``index``; its label file is neither opened nor looked for."""
        entry = self._entries[index]
        return Sample(read_image(entry.image, scaling=self.scaling), None, entry.name)

    def file(self, index: int) -> Path:
        """The image file at ``index``."""
        return self._entries[index].image

    def fingerprint(self, *, labels: bool) -> str:
        """Of paths, sizes and times of the image files, or with ``labels`` of the label files and their ids' table."""
        # Strings, since making a Path of each takes longer than asking the file system about it.
        if not labels:
            images = fingerprint_files(f"{one.folder.images}/{one.name}{one.ending}" for one in self._entries)
            return digest(images, repr(self.scaling)) if self.scaling else images
        files = fingerprint_files(f"{one.folder.labels}/{one.name}{one.folder.label_ending}" for one in self._labelled)
        # A dataset may read label files in a way of its own.
        return digest(files, type(self).__qualname__, sorted(self._table.items()))

    def problems(self, *, labelled: bool) -> list[str]:
        """A line for every image without a label and every label without an image, if ``labelled``."""
        return [line for folder in self._folders for line in _lonely(folder)] if labelled else []

    def inspect(self, index: int, *, labelled: bool) -> Inspection:
        """Image and label at ``index``, each on its own: what is wrong with one does not hide the other."""
        entry, problems = self._entries[index], []
        image, label, turned = None, None, False
        try:
            image = read_image(entry.image, scaling=self.scaling)
        except DataError as error:
            problems.append(str(error))
        if labelled and self._table and entry.label.exists():
            try:
                ids = self._read_ids(entry.label)
                turned = image is not None and one_is_turned(entry.image, image, entry.label)
                if image is not None and image.shape[1:] != ids.shape:
                    problems.append(other_size(entry.image, image, entry.label, ids))
                label = map_ids(ids, self._table, where=str(entry.label))
            except DataError as error:
                problems.append(str(error))
        fits = label is not None and (image is None or image.shape[1:] == label.shape)
        return Inspection(entry.name, image, label if fits else None, problems, turned)

    def _read_ids(self, path: Path) -> Tensor:
        """The ids in a label file, (H, W) uint8 or int32."""
        return read_label(path)

    @cached_property
    def _labelled(self) -> tuple[Entry, ...]:
        """The entries, once every image is known to have a label and every label an image.

        Checked for all at the first label: a run must not stop hours later over a file that was never there.
        """
        for folder in self._folders:
            for paths, what in _unpaired(folder):
                if paths:
                    raise DataError(f"{_some(paths)} {what}")
        return self._entries


def _unpaired(folder: Folder) -> list[tuple[list[str], str]]:
    """Images without a label, then labels without an image, each with what is to be said about them.

    Raises:
        DataError: one of the two folders is missing.
    """
    labels, images = _list_labels(folder), _list_images(folder)
    without = [str(folder.images / (name + images[name])) for name in images if name not in labels]
    orphans = [str(folder.labels / (name + labels[name])) for name in labels if name not in images]
    hint = folder.hint or f"add NAME{folder.label_ending}, or take it away"
    return [
        (without, f"without a label in {folder.labels}; {hint}"),
        (orphans, f"without an image in {folder.images}; add it, or take the label away"),
    ]


def _lonely(folder: Folder) -> list[str]:
    try:
        return [f"{path}: {what}" for paths, what in _unpaired(folder) for path in paths]
    except DataError as error:
        return [str(error)]


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more:" if len(paths) > 3 else ":")


def list_folders(dataset: str, folders: Iterable[Folder]) -> list[Entry]:
    """The images of several folders, in their order.

    Raises:
        DataError: a folder is missing or holds no images, or two images share a name.
    """
    entries = [entry for folder in folders for entry in list_entries(folder)]
    check_unique(dataset, entries)
    return entries


def check_unique(dataset: str, entries: Sequence[Entry]) -> None:
    """No two entries may share a name, as they would if a folder were named twice.

    Raises:
        DataError: two do.
    """
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.name, entry)
        if first is not entry:
            raise DataError(f"{dataset}: {first.image} and {entry.image} share a name; name each folder once")


def find_root(dataset: str, root: str | None, holds: str) -> Path:
    """The dataset's folder: ``root``, or the folder named after the dataset in the one that DAF_DATA names.

    ``holds`` says in the message what the folder holds.

    Raises:
        DataError: there is neither.
    """
    if root is not None:
        return Path(root).expanduser()
    if data := os.environ.get("DAF_DATA"):
        return Path(data).expanduser() / dataset
    raise DataError(
        f"{dataset}: no folder given; write --set source.root=FOLDER (or target.root=FOLDER) with the folder that "
        f"holds {holds}, or set the environment variable DAF_DATA to the folder that holds {dataset}/"
    )


def names_only(option: str, value: Sequence[str]) -> tuple[str, ...]:
    """``value`` as a tuple, refusing a bare string, which would be taken letter by letter.

    Raises:
        ValueError: it is a string.
    """
    if isinstance(value, str):
        raise ValueError(f'{option} must be a list, got {value!r}; write ["{value}"]')
    return tuple(value)


def check_split(split: str) -> None:
    """The split must be known.

    Raises:
        ValueError: it is neither "train" nor "test".
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")


def folders_of_split(split: str, *, train: Sequence[str], test: Sequence[str]) -> Sequence[str]:
    """The folders of a split.

    Raises:
        ValueError: the split is neither "train" nor "test".
    """
    check_split(split)
    return train if split == "train" else test
