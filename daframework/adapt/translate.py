"""Translate a whole set with a trained generator, and read such a set back."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from attrs import frozen

from daframework.data.decode import read_image, read_label, write_image, write_label
from daframework.data.fingerprint import fingerprint_files
from daframework.data.outputs import planned_outputs
from daframework.data.stream import to_bytes, to_float
from daframework.data.whole import apply_padded, batches_in_order, stack_images
from daframework.errors import DataError
from daframework.interfaces import Generator, ImageDataset, Sample
from daframework.randomness import derive
from daframework.session import Session, StoppedError

_INDEX = "index.json"
_WRITTEN_SUFFIXES = (".jpeg", ".jpg", ".png")


@torch.no_grad()
def translate_set(
    session: Session, generator: Generator, dataset: ImageDataset, folder: Path, *, batch_size: int, seed: int
) -> None:
    """Write all of ``dataset`` to ``folder``: images/ translated, labels/ unchanged, and index.json with their names.

    Further versions of a generator that offers several go to images_1/ and so on. What the generator draws follows
    from ``seed``. The folder appears when it is complete; what an earlier attempt left is thrown away.

    Raises:
        StoppedError: the user asked to stop; the next attempt begins this set again.
        DataError: an image cannot be read or a file cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for kind in (*(_images(version) for version in range(generator.versions)), "labels"):
            (partial / kind).mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{partial} cannot be made: {error.strerror}") from error
    session.log.begin("translating", len(dataset) * generator.versions, 0)
    generator.eval()
    done = 0
    names: list[str] = []
    for version in range(generator.versions):
        names = []
        generator.version = version
        for samples in batches_in_order(dataset, range(len(dataset)), batch_size=batch_size):
            torch.manual_seed(derive(seed, "translating", version, len(names)))
            image = to_float(stack_images(samples).to(session.fabric.device))
            translated = apply_padded(generator, image, generator.multiple)
            for sample, picture in zip(samples, to_bytes(translated).cpu(), strict=True):
                file = _file(len(names), sample.name)
                write_image(partial / _images(version) / file, picture)
                if sample.label is not None and version == 0:
                    write_label(partial / "labels" / file, sample.label)
                names.append(sample.name)
            done += len(samples)
            session.log.advance(done)
            if session.stopping():
                shutil.rmtree(partial)
                raise StoppedError(f"stopped after {done} of {len(dataset) * generator.versions} translated images")
    try:
        index = {"names": names, "versions": generator.versions}
        (partial / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
        partial.replace(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}") from error


def _images(version: int) -> str:
    return f"images_{version}" if version else "images"


@torch.no_grad()
def translate_folder(
    session: Session, generator: Generator, images: Path, out: Path, *, overwrite: bool, seed: int
) -> int:
    """Translate every image below ``images``, of any size, to the same relative path below ``out``; return how many.

    A format that is not written, such as .webp, becomes .png. What the generator draws follows from ``seed``.

    Raises:
        DataError: there is no image, one cannot be read, two would become one file, or a file is there already and
            ``overwrite`` is off; of the last two nothing is written at all.
        StoppedError: the user asked to stop; the images written so far are whole.
    """
    planned = planned_outputs(images, out, _written, overwrite=overwrite)
    session.log.begin("translating", len(planned), 0)
    for done, (path, output) in enumerate(planned, start=1):
        torch.manual_seed(derive(seed, "translating a folder", done))
        image = to_float(read_image(path)[None].to(session.fabric.device))
        write_image(output, to_bytes(apply_padded(generator, image, generator.multiple))[0].cpu())
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {len(planned)} images")
    return len(planned)


def _written(path: Path) -> Path:
    return path if path.suffix.lower() in _WRITTEN_SUFFIXES else path.with_suffix(".png")


def _file(index: int, name: str) -> str:
    """A file name in order, unique and harmless, whatever a dataset calls its images."""
    return f"{index:06d}_{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)[-100:]}.png"


@frozen(eq=False)
class TranslatedSet(ImageDataset):
    """One version of what `translate_set` wrote to ``folder``, in the same order."""

    folder: Path
    version: int
    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    names: Sequence[str]

    def __len__(self) -> int:
        """As many as were translated."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """The translated image with its source's label."""
        file = _file(index, self.names[index])
        label = read_label(self.folder / "labels" / file).to(torch.uint8)
        return Sample(read_image(self.folder / _images(self.version) / file), label, self.names[index])

    def fingerprint(self, *, labels: bool) -> str:
        """Of the paths, sizes and times of the files."""
        folder = self.folder / ("labels" if labels else _images(self.version))
        return fingerprint_files(f"{folder}/{_file(index, name)}" for index, name in enumerate(self.names))


def open_translated(folder: Path, like: ImageDataset) -> list[TranslatedSet]:
    """Every version of the set in ``folder``, with the classes of the dataset it was made from.

    Raises:
        DataError: the folder was not written by `translate_set`, or was changed since.
    """
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        names, versions = index["names"], range(index["versions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: not a translated set ({error}); delete the folder to translate again") from error
    return [TranslatedSet(folder, version, like.classes, like.palette, names) for version in versions]
