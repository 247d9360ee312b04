"""A translated set on the disk: images/ of each of an ensemble's members, labels/, index.json that vouches for them."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from daframework.data.decode import read_image, read_label, read_numbers
from daframework.dataset_interface import Array
from daframework.errors import DataError, writing
from daframework.fingerprint import checksum_file, digest, fingerprint_files
from daframework.interfaces import SEMANTIC, ImageDataset, Sample
from daframework.label_types import labels_folder

_INDEX, _DIGEST = "index.json", "digest"


def images_folder(member: int) -> str:
    """Where the images are, below the set's folder, that a member of the ensemble translated."""
    return f"images_{member}" if member else "images"


def file_name(index: int, name: str) -> str:
    """A file name in order, unique and harmless, whatever a dataset calls its images."""
    return f"{index:06d}_{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)[-100:]}.png"


def label_file(name: str, file: str) -> str:
    """Where the label of the type ``name`` lies, below the set's folder, of the image in ``file``."""
    kept = file if name == SEMANTIC.name else f"{file.removesuffix('.png')}.npy"
    return f"{labels_folder(name)}/{kept}"


def _read_label(path: Path) -> Array:
    return read_numbers(path) if path.suffix == ".npy" else read_label(path)


def begin_set(partial: Path, members: int) -> None:
    """Make the folders of a set that so many generators translate; what was there is deleted.

    Raises:
        DataError: they cannot be made.
    """
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for kind in (*map(images_folder, range(members)), "labels"):
            (partial / kind).mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{partial} cannot be made: {error.strerror}") from error


def finish_set(partial: Path, folder: Path, shares: Sequence[Sequence[str]], facts: Mapping[str, Any]) -> None:
    """Put the index beside the files: the names of all ranks in the dataset's order, ``facts``, and a digest of both.

    Then rename the folder.

    Raises:
        DataError: it cannot be written.
    """
    names = [""] * sum(map(len, shares))
    for rank, share in enumerate(shares):
        names[rank :: len(shares)] = share
    with writing(folder, DataError):
        if hasattr(os, "sync"):
            os.sync()  # once, instead of each file by itself: a power cut must not leave a whole set of empty files
        index = {"names": names, **facts}
        (partial / _INDEX).write_text(json.dumps(index | {_DIGEST: digest(index)}, indent=1), encoding="utf-8")
        partial.replace(folder)


@frozen(eq=False)
class TranslatedSet(ImageDataset):
    """What one ``member`` made in `daframework.adapt.translate.translate_set`, in ``folder``, in the same order."""

    folder: Path
    member: int
    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    names: Sequence[str]
    checksums: Mapping[str, int] = field(factory=dict)  # by the file's path below the folder; none in earlier versions
    labels: Sequence[str] = (SEMANTIC.name,)

    def __len__(self) -> int:
        """As many as were translated."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """The translated image with its source's labels.

        Raises:
            DataError: a file is not what was written.
        """
        file = file_name(index, self.names[index])
        files = {name: label_file(name, file) for name in self.labels}
        image_file = f"{images_folder(self.member)}/{file}"
        labels = {name: _read_label(self.folder / one) for name, one in files.items()}
        image = read_image(self.folder / image_file)
        for one in (*files.values(), image_file):
            path = self.folder / one
            if one in self.checksums and checksum_file(path) != self.checksums[one]:
                raise DataError(f"{path}: is not what was written; delete {self.folder} to translate again")
        return Sample(image, labels.pop(SEMANTIC.name, None), self.names[index], labels)

    def fingerprint(self, *, labels: bool) -> str:
        """Of the paths, sizes and times of the files."""
        files = [file_name(index, name) for index, name in enumerate(self.names)]
        wanted = [label_file(name, file) for name in self.labels for file in files]
        images = (f"{images_folder(self.member)}/{file}" for file in files)
        return fingerprint_files(f"{self.folder}/{one}" for one in (wanted if labels else images))


def open_translated(folder: Path, like: ImageDataset | None) -> list[TranslatedSet]:
    """The set of each member in ``folder``, with the classes of the dataset it was made from; without that, its images.

    Raises:
        DataError: the folder was not written by `translate_set`, or was changed since.
    """
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        said = index.pop(_DIGEST, None)
        of_earlier = said is None and index.keys() <= {"names", "versions"}
        if not of_earlier and said != digest(index):
            raise ValueError(f"{_INDEX} is not what was written")
        names, members, checksums = index["names"], range(index["versions"]), index.get("checksums", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder}: not a translated set ({error}); delete the folder to translate again") from error
    classes, palette, labels = ((), (), ()) if like is None else (like.classes, like.palette, like.labels)
    return [TranslatedSet(folder, member, classes, palette, names, checksums, labels) for member in members]
