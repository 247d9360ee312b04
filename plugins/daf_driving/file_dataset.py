"""What every dataset of files shares: images and labels that are paired by name are read, checked and inspected."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from daf_driving.depth_files import DepthFiles, read_depth
from daf_driving.pairing import Entry, some, unpaired
from daf_driving.space_files import Labels, label_space
from daf_driving.turned import one_is_turned, other_size
from daframework.data.decode import read_image, read_label
from daframework.data.label_files import map_ids
from daframework.data.scaling import Scaling
from daframework.dataset_interface import Array, ImageDataset, Inspection, Sample
from daframework.errors import DataError, collected
from daframework.fingerprint import digest, fingerprint_files


class FileDataset(ImageDataset):
    """Images in files, with class labels, depth or both in others, which are opened only when a label is asked for."""

    scaling: Scaling | None = None  # of images of 16 bits

    def __init_subclass__(cls, space: str | None = None) -> None:
        """``space`` is the label space unless an option names another: its classes are known without any file."""
        if space is not None:
            cls.classes, cls.palette = label_space(space).classes, label_space(space).palette

    def __init__(self, entries: Sequence[Entry], labels: Labels | None, depth: DepthFiles | None = None) -> None:
        """``entries`` are the images; ``labels`` say what their label files hold, None where there are no classes."""
        self._entries, self._depth = tuple(entries), depth
        paired = {"semantic": () if labels is None else entries, "depth": () if depth is None else depth.entries}
        self._folders = tuple(dict.fromkeys(entry.folder for found in paired.values() for entry in found))
        self.labels = tuple(name for name, found in paired.items() if found)
        labels = labels or Labels((), (), {})
        self.classes, self.palette, self._table = labels.classes, labels.palette, labels.table

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        entry, label, others = self._labelled[index], None, {}
        image = read_image(entry.image, scaling=self.scaling)
        if "semantic" in self.labels:
            ids = self._read_ids(entry.label)
            if image.shape[1:] != ids.shape:
                raise DataError(other_size(entry.image, image, entry.label, ids))
            label = self._as_classes(ids, entry.label)
        if self._depth is not None:
            others["depth"] = self._read_depth(self._depth, index, image)
        return Sample(image, label, entry.full_name, others)

    def unlabelled(self, index: int) -> Sample:
        """The image at ``index``; its label file is neither opened nor looked for."""
        entry = self._entries[index]
        return Sample(read_image(entry.image, scaling=self.scaling), None, entry.full_name)

    def file(self, index: int) -> Path:
        """The image file at ``index``."""
        return self._entries[index].image

    def fingerprint(self, *, labels: bool) -> str:
        """Of paths, sizes and times of the image files, or with ``labels`` of the label files and what they hold."""
        if not labels:
            images = fingerprint_files(f"{one.folder.images}/{one.image_name}" for one in self._entries)
            return digest(images, repr(self.scaling)) if self.scaling else images
        entries = self._labelled
        found = fingerprint_files(_label_files(entries)) if "semantic" in self.labels else None
        # A dataset may read label files in a way of its own.
        found = digest(found, type(self).__qualname__, sorted(self._table.items()))
        if self._depth is None:
            return found
        coding = self._depth.coding
        files = fingerprint_files(_label_files(self._depth.entries))
        return digest(found, files, coding.format, coding.scale, coding.invalid)

    def problems(self, *, labelled: bool) -> list[str]:
        """A line for every image without a label and every label without an image, if ``labelled``."""
        problems: list[str] = []
        for folder in self._folders if labelled else ():
            with collected(problems):
                problems += [f"{path}: {what}" for paths, what in unpaired(folder) for path in paths]
        return problems

    def inspect(self, index: int, *, labelled: bool) -> Inspection:
        """Image and label at ``index``, each on its own: what is wrong with one does not hide the other."""
        entry, problems = self._entries[index], list[str]()
        image, label, depth, turned, doubt = None, None, None, False, None
        with collected(problems):
            image = read_image(entry.image, scaling=self.scaling)
        if labelled and self._table and entry.label.exists():
            with collected(problems):
                ids = self._read_ids(entry.label)
                turned = image is not None and one_is_turned(entry.image, image, entry.label)
                if image is not None and image.shape[1:] != ids.shape:
                    problems.append(other_size(entry.image, image, entry.label, ids))
                label = self._as_classes(ids, entry.label)
        if labelled and self._depth is not None and self._depth.entries[index].label.exists():
            with collected(problems):
                depth = self._read_depth(self._depth, index, image)
                if found := self._depth.coding.doubt(depth):
                    doubt = f"{self._depth.entries[index].label}: {found}"
        fits = label is not None and (image is None or image.shape[1:] == label.shape)
        others = {} if depth is None else {"depth": depth}
        return Inspection(entry.full_name, image, label if fits else None, problems, turned, others, doubt)

    def _read_depth(self, files: DepthFiles, index: int, image: Array | None) -> Array:
        """The depth at ``index``, of the size of ``image`` if that is given."""
        entry = files.entries[index]
        depth = read_depth(entry.label, files.coding)
        if image is not None and image.shape[1:] != depth.shape:
            raise DataError(other_size(entry.image, image, entry.label, depth))
        return depth

    def _read_ids(self, path: Path) -> Array:
        """The ids in a label file, (H, W) uint8 or int32."""
        return read_label(path)

    def _as_classes(self, ids: Array, path: Path) -> Array:
        """What `_read_ids` gave for the file ``path`` as class indices, or 255 (ignore), (H, W) uint8."""
        return map_ids(ids, self._table, where=str(path))

    @cached_property
    def _labelled(self) -> tuple[Entry, ...]:
        """The entries, once every image is known to have a label and every label an image.

        Checked for all at the first label: a run must not stop hours later over a file that was never there.
        """
        for folder in self._folders:
            for paths, what in unpaired(folder):
                if paths:
                    raise DataError(f"{some(paths)}: {what}")
        return self._entries


def _label_files(entries: Sequence[Entry]) -> Iterator[str]:
    # Strings, since making a Path of each takes longer than asking the file system about it.
    return (f"{entry.folder.labels}/{entry.label_name}" for entry in entries)


def find_root(dataset: str, root: str | None, holds: str) -> Path:
    """The dataset's folder: ``root``, or the folder named after the dataset in the one that DAF_DATA names.

    A relative ``root`` that is not there is looked for in that folder too. ``holds`` says in the message what the
    folder holds.

    Raises:
        DataError: there is neither.
    """
    data = os.environ.get("DAF_DATA")
    if root is not None:
        path = Path(root).expanduser()
        return Path(data).expanduser() / path if data and not path.exists() else path
    if data:
        return Path(data).expanduser() / dataset
    raise DataError(
        f"{dataset}: no folder given; write --set source.root=FOLDER (or target.root=FOLDER) with the folder that "
        f"holds {holds}, or set the environment variable DAF_DATA to the folder that holds {dataset}/"
    )
