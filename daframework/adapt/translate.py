"""Translate a whole set with a trained generator, and read such a set back."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from attrs import field, frozen
from torch import Tensor

from daframework.adapt.tiles import apply_in_tiles
from daframework.data.decode import image_size, read_image, read_label, write_image, write_label
from daframework.data.fingerprint import digest, fingerprint_files
from daframework.data.outputs import planned_outputs
from daframework.data.overlap import in_threads
from daframework.data.parallel import default_workers
from daframework.data.stream import to_bytes, to_float
from daframework.data.whole import apply_padded, batches_by_size, batches_in_order, stack_images
from daframework.errors import DataError
from daframework.interfaces import Generator, ImageDataset, Sample
from daframework.randomness import derive
from daframework.session import Session, StoppedError

_INDEX, _DIGEST = "index.json", "digest"
_WRITTEN_SUFFIXES = (".jpeg", ".jpg", ".png")
_WINDOW = 256  # files of a folder among which those of one size are brought together
_BATCH = 16  # images at most, of a folder, that go through the generator at once
_BATCH_PIXELS = 2**20  # and no more pixels together, unless one image alone has them
_READERS = 4  # threads that decode a folder's images, each of them one batch ahead
_WRITING = 4  # images a thread that wait to be written, so that memory does not grow where the disk is slow


@torch.no_grad()
def translate_set(
    session: Session, generator: Generator, dataset: ImageDataset, folder: Path, *, batch_size: int, seed: int
) -> None:
    """Write all of ``dataset`` to ``folder``: images/ translated, labels/ unchanged, and index.json that lists them.

    Further versions of a generator that offers several go to images_1/ and so on. What the generator draws follows
    from ``seed``, ``batch_size`` and the number of ranks, which share the set out. Files are read and written while the
    generator is at work. The folder appears when it is complete; what an earlier attempt left is thrown away.

    Raises:
        StoppedError: the user asked to stop; the next attempt begins this set again.
        DataError: an image cannot be read or a file cannot be written.
    """
    fabric = session.fabric
    partial = folder.with_name(f".{folder.name}.partial")
    if fabric.is_global_zero:
        _begin(partial, generator.versions)
    fabric.barrier()
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    total = len(mine) * generator.versions
    session.log.begin("translating", total, 0)
    generator.eval()
    done, names = 0, list[str]()

    def files() -> Iterator[tuple[Path, Tensor]]:
        """What is to be written, as it comes from the generator; it ends early where the user asks to stop."""
        nonlocal done
        with closing(batches_in_order(dataset, mine, batch_size=batch_size)) as batches:
            for samples in batches:
                places = mine[len(names) : len(names) + len(samples)]
                written = [_file(place, sample.name) for place, sample in zip(places, samples, strict=True)]
                image = stack_images(samples)
                for version in range(generator.versions):
                    generator.version = version
                    torch.manual_seed(derive(seed, "translating", version, places[0]))
                    pictures = _translated(session, generator, image, None)
                    to = partial / _images(version)
                    yield from ((to / file, picture) for file, picture in zip(written, pictures, strict=True))
                    done += len(samples)
                    session.log.advance(done)
                    if session.stopping() and done < total:
                        return
                to = partial / "labels"
                yield from (
                    (to / file, sample.label)
                    for file, sample in zip(written, samples, strict=True)
                    if sample.label is not None
                )
                names.extend(sample.name for sample in samples)

    checksums = {str(path.relative_to(partial)): checksum for path, checksum in _write_all(files())}
    told = [fabric.broadcast((names, checksums), src=rank) for rank in range(fabric.world_size)]
    shares = [share for share, _ in told]
    if sum(map(len, shares)) < len(dataset):
        if fabric.is_global_zero:
            shutil.rmtree(partial)
        raise StoppedError(f"stopped after {done} of {total} translated images")
    if fabric.is_global_zero:
        checksums = dict(sorted(item for _, sums in told for item in sums.items()))
        _finish(partial, folder, shares, {"versions": generator.versions, "checksums": checksums})
    fabric.barrier()


def _begin(partial: Path, versions: int) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for kind in (*(_images(version) for version in range(versions)), "labels"):
            (partial / kind).mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{partial} cannot be made: {error.strerror}") from error


def _finish(partial: Path, folder: Path, shares: Sequence[Sequence[str]], facts: Mapping[str, Any]) -> None:
    """Put the index beside the files: the names of all ranks in the dataset's order, ``facts``, and a digest of both.

    Then rename the folder.
    """
    names = [""] * sum(map(len, shares))
    for rank, share in enumerate(shares):
        names[rank :: len(shares)] = share
    try:
        if hasattr(os, "sync"):
            os.sync()  # once, instead of each file by itself: a power cut must not leave a whole set of empty files
        index = {"names": names, **facts}
        (partial / _INDEX).write_text(json.dumps(index | {_DIGEST: digest(index)}, indent=1), encoding="utf-8")
        partial.replace(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}") from error


def _images(version: int) -> str:
    return f"images_{version}" if version else "images"


@frozen
class _Planned:
    """An image of a folder, the file that its translation goes to, and its height and width."""

    path: Path
    output: Path
    size: tuple[int, int]


@torch.no_grad()
def translate_folder(
    session: Session,
    generator: Generator,
    images: Path,
    out: Path,
    *,
    overwrite: bool,
    seed: int,
    tile: tuple[int, int] | None = None,
) -> int:
    """Translate every image below ``images``, of any size, to the same relative path below ``out``; return how many.

    A format that is not written, such as .webp, becomes .png. What the generator draws follows from ``seed`` and the
    images. Those of one size are translated together; files are read and written meanwhile. With ``tile`` (height,
    width) the generator never sees more pixels than that at once (`apply_in_tiles`).

    Raises:
        DataError: there is no image, one cannot be read, two would become one file, or a file is there already and
            ``overwrite`` is off; of the last two nothing is written at all.
        StoppedError: the user asked to stop; the images written so far are whole.
        RuntimeError: the generator's own, as for want of memory, with a note that names the image and its size.
    """
    outputs = planned_outputs(images, out, _written, overwrite=overwrite)
    session.log.begin("translating", len(outputs), 0)
    generator.eval()
    pixels = _BATCH_PIXELS if tile is None else tile[0] * tile[1]

    def fitting(size: tuple[int, int]) -> int:
        return max(1, min(_BATCH, pixels // (size[0] * size[1])))

    planned = in_threads(_plan, outputs, threads=_READERS, most=_WINDOW)
    batches = batches_by_size(planned, lambda one: one.size, window=_WINDOW, batch_size=fitting)
    done = 0

    def files() -> Iterator[tuple[Path, Tensor]]:
        nonlocal done
        with closing(planned), closing(in_threads(_read, batches, threads=_READERS, most=_READERS)) as read:
            for batch, image in read:
                torch.manual_seed(derive(seed, "translating a folder", batch[0].path.relative_to(images).as_posix()))
                try:
                    pictures = _translated(session, generator, image, tile)
                except (RuntimeError, MemoryError) as error:
                    (height, width), others = batch[0].size, len(batch) - 1
                    error.add_note(f"{batch[0].path}: {width} x {height} pixels{f', and {others} more' * bool(others)}")
                    raise
                yield from ((one.output, picture) for one, picture in zip(batch, pictures, strict=True))
                done += len(batch)
                session.log.advance(done)
                if session.stopping():
                    return

    for _ in _write_all(files()):
        pass
    if done < len(outputs):
        raise StoppedError(f"stopped after {done} of {len(outputs)} images")
    return done


def _plan(image_and_output: tuple[Path, Path]) -> _Planned:
    path, output = image_and_output
    return _Planned(path, output, image_size(path))


def _read(batch: list[_Planned]) -> tuple[list[_Planned], Tensor]:
    return batch, torch.stack([read_image(one.path) for one in batch])


def _write_all(files: Iterator[tuple[Path, Tensor]]) -> Iterator[tuple[Path, int]]:
    """Write images (3, H, W) and labels (H, W), uint8, in threads, while ``files`` goes on: each with its CRC-32."""
    threads = default_workers()
    return in_threads(_write, files, threads=threads, most=_WRITING * threads)


def _write(file: tuple[Path, Tensor]) -> tuple[Path, int]:
    path, pixels = file
    if pixels.ndim == 3:
        write_image(path, pixels)  # on a GPU it is copied here: the generator goes on with the next meanwhile
    else:
        write_label(path, pixels)
    return path, crc32(path.read_bytes())


def _translated(session: Session, generator: Generator, image: Tensor, tile: tuple[int, int] | None) -> Tensor:
    """(N, 3, H, W) uint8 on the CPU -> its translation, uint8, on the session's device."""
    device = session.fabric.device
    if device.type == "cuda":
        image = image.pin_memory().to(device, non_blocking=True)
    # A generator without weights is arithmetic on colours, which half precision would round by a grey level or two.
    learned = next(generator.parameters(), None) is not None
    with session.fabric.autocast() if learned else nullcontext():
        if tile is None:
            return to_bytes(apply_padded(generator, to_float(image.to(device)), generator.multiple))
        return to_bytes(apply_in_tiles(generator, to_float(image.to(device)), size=tile, multiple=generator.multiple))


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
    checksums: Mapping[str, int] = field(factory=dict)  # by the file's path below the folder; none in earlier versions

    def __len__(self) -> int:
        """As many as were translated."""
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """The translated image with its source's label.

        Raises:
            DataError: a file is not what was written.
        """
        file = _file(index, self.names[index])
        label_file, image_file = f"labels/{file}", f"{_images(self.version)}/{file}"
        label = read_label(self.folder / label_file).to(torch.uint8)
        image = read_image(self.folder / image_file)
        for one in (label_file, image_file):
            path = self.folder / one
            if one in self.checksums and crc32(path.read_bytes()) != self.checksums[one]:
                raise DataError(f"{path}: is not what was written; delete {self.folder} to translate again")
        return Sample(image, label, self.names[index])

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
        said = index.pop(_DIGEST, None)  # sets of earlier versions hold none
        if said != digest(index) if said is not None else not index.keys() <= {"names", "versions"}:
            raise ValueError(f"{_INDEX} is not what was written")
        names, versions, checksums = index["names"], range(index["versions"]), index.get("checksums", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder}: not a translated set ({error}); delete the folder to translate again") from error
    return [TranslatedSet(folder, version, like.classes, like.palette, names, checksums) for version in versions]
