"""Translate a whole set, or a folder of images, with a trained generator."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from math import prod
from pathlib import Path
from typing import TypeVar

import torch
from attrs import frozen
from torch import Tensor

from daframework.adapt.labelled import knowing
from daframework.adapt.tiles import apply_in_tiles
from daframework.adapt.translated_set import begin_set, file_name, finish_set, images_folder, label_file
from daframework.compute.randomness import start_global
from daframework.compute.session import Session
from daframework.compute.threads import keep_threads, use_threads
from daframework.data.conversion.outputs import planned_outputs, raise_it
from daframework.data.decode import image_size, read_image, write_any
from daframework.data.open_image import MOST_PIXELS
from daframework.data.overlap import in_threads
from daframework.data.parallel import default_workers
from daframework.data.scaling import Scaling
from daframework.data.stream import to_bytes, to_float
from daframework.data.whole import (
    apply_padded,
    batches_by_size,
    batches_in_order,
    padded_side,
    stack_images,
    stack_labels,
    weights_dtype,
)
from daframework.errors import DataError, StoppedError
from daframework.fingerprint import checksum_file
from daframework.interfaces import Generator, ImageDataset
from daframework.storage.row_names import TRANSLATING

T = TypeVar("T")
R = TypeVar("R")
_WRITTEN_SUFFIXES = (".jpeg", ".jpg", ".png")
_WINDOW = 256  # files of a folder among which those of one size are brought together
_BATCH = 16  # images at most, of a folder, that go through the generator at once
_BATCH_PIXELS = 2**20  # and no more pixels together, unless one image alone has them
_MOST_PIXELS_IN_TILES = 2**30  # of an image that is translated in tiles: some 14 GiB of memory
_READERS = 4  # threads that decode a folder's images, each of them one batch ahead
_WRITING = 4  # images a thread that wait to be written, so that memory does not grow where the disk is slow


@torch.no_grad()
@keep_threads()
def translate_set(
    session: Session,
    generator: Generator,
    dataset: ImageDataset,
    folder: Path,
    *,
    batch_size: int,
    seed: int,
    also: Sequence[Generator] = (),
) -> None:
    """Write all of ``dataset`` to ``folder``: images/ translated, labels/ unchanged, and index.json that lists them.

    Labels of other types than classes go to labels_NAME/, as .npy files.

    Each further one of the generator's ``translators``, and then of ``also``, writes to images_1/ and so on. What they
    draw follows from ``seed``, ``batch_size`` and the number of ranks, which share the set out. Files are read and
    written while the generator is at work. The folder appears when it is complete; what an earlier attempt left is
    thrown away.

    Raises:
        StoppedError: the user asked to stop; the next attempt begins this set again.
        DataError: an image cannot be read or a file cannot be written.
    """
    fabric, translators = session.fabric, [*generator.eval().translators(), *also]
    partial = folder.with_name(f".{folder.name}.partial")
    if fabric.is_global_zero:
        begin_set(partial, len(translators))
    fabric.barrier()
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    total = len(mine) * len(translators)
    session.log.begin(TRANSLATING, total, 0)
    done, names = 0, list[str]()

    def files() -> Iterator[tuple[Path, Tensor]]:
        """What is to be written, as it comes from the generator; it ends early where the user asks to stop."""
        nonlocal done
        with closing(batches_in_order(dataset, mine, batch_size=batch_size)) as batches:
            for samples in batches:
                places = mine[len(names) : len(names) + len(samples)]
                written = [file_name(place, sample.name) for place, sample in zip(places, samples, strict=True)]
                image = stack_images(samples)
                label = None if any(sample.label is None for sample in samples) else stack_labels(samples)
                if not names:
                    use_threads(translators, image.shape, fabric.device)
                for member, translator in enumerate(translators):
                    start_global(fabric.device, seed, "translating", member, places[0])
                    pictures = _translated(session, translator, image, label)
                    to = partial / images_folder(member)
                    yield from ((to / file, picture) for file, picture in zip(written, pictures, strict=True))
                    done += len(samples)
                    session.log.advance(done)
                    if session.stopping() and done < total:
                        return
                for file, sample in zip(written, samples, strict=True):
                    for name in dataset.labels:
                        if (label := sample.labelled(name)) is not None:
                            yield partial / label_file(name, file), label
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
        finish_set(partial, folder, shares, {"versions": len(translators), "checksums": checksums})
    fabric.barrier()


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
    scaling: Scaling | None = None,
    failed: Callable[[DataError], None] = raise_it,
) -> int:
    """Translate every image below ``images``, of any size, to the same relative path below ``out``; return how many.

    A format that is not written, such as .webp, becomes .png. What the generator draws follows from ``seed`` and the
    images. Those of one size are translated together; files are read and written meanwhile. With ``tile`` (height,
    width) the generator never sees more pixels than that at once (`apply_in_tiles`), and images may have up to 2**30.
    ``scaling`` is for those of 16 bits. What is wrong with an image that cannot be read is handed to ``failed``, and
    the others are written.

    Raises:
        DataError: an image cannot be read and ``failed`` raises that, or a file cannot be written; or, and then nothing
            is written at all, as `planned_outputs` does.
        StoppedError: the user asked to stop; the images written so far are whole.
        RuntimeError: the generator's own, as for want of memory, with a note that names the image and its size.
    """
    outputs = planned_outputs(images, out, _written, overwrite=overwrite)
    session.log.begin(TRANSLATING, len(outputs), 0)
    generator.eval()
    pixels, most = (_BATCH_PIXELS, MOST_PIXELS) if tile is None else (tile[0] * tile[1], _MOST_PIXELS_IN_TILES)
    ahead = _READERS if tile is None else 1

    def fitting(size: tuple[int, int]) -> int:
        seen = prod(padded_side(side, generator.multiple, generator.smallest) for side in size)
        return max(1, min(_BATCH, pixels // seen))

    done, bad = 0, 0

    def sound(items: Iterable[T | DataError]) -> Iterator[T]:
        nonlocal bad
        for item in items:
            if isinstance(item, DataError):
                bad += 1
                failed(item)
            else:
                yield item

    @_tried
    def plan(paths: tuple[Path, Path]) -> _Planned:
        return _Planned(*paths, image_size(paths[0], most=most))

    @_tried
    def read(one: _Planned) -> tuple[_Planned, Tensor]:
        return one, torch.from_numpy(read_image(one.path, scaling=scaling, most=most))

    planned = in_threads(plan, outputs, threads=_READERS, most=_WINDOW)
    batches = batches_by_size(sound(planned), lambda one: one.size, window=_WINDOW, batch_size=fitting)
    reading = in_threads(lambda batch: [read(one) for one in batch], batches, threads=ahead, most=ahead)

    def files() -> Iterator[tuple[Path, Tensor]]:
        nonlocal done
        with closing(planned), closing(reading):
            for found in reading:
                if not (whole := list(sound(found))):
                    continue
                batch = [one for one, _ in whole]
                image = torch.stack([picture for _, picture in whole])
                first = batch[0].path.relative_to(images).as_posix()
                start_global(session.fabric.device, seed, "translating a folder", first)
                try:
                    pictures = _translated(session, generator, image, tile=tile)
                except (RuntimeError, MemoryError) as error:
                    (height, width), others = batch[0].size, len(batch) - 1
                    error.add_note(f"{batch[0].path}: {width} x {height} pixels{f', and {others} more' * bool(others)}")
                    raise
                yield from ((one.output, picture) for one, picture in zip(batch, pictures, strict=True))
                done += len(batch)
                session.log.advance(done + bad)
                if session.stopping():
                    return

    for _ in _write_all(files(), waiting=_WRITING if tile is None else 1):
        pass
    if done + bad < len(outputs):
        raise StoppedError(f"stopped after {done} of {len(outputs)} images")
    return done


def _tried(function: Callable[[T], R]) -> Callable[[T], R | DataError]:
    """``function``, which hands out what is wrong with an image instead of raising it, so that the others go on."""

    def call(item: T) -> R | DataError:
        try:
            return function(item)
        except DataError as error:
            return error

    return call


def _write_all(files: Iterator[tuple[Path, Tensor]], *, waiting: int = _WRITING) -> Iterator[tuple[Path, int]]:
    """Write images (3, H, W) and labels in threads, while ``files`` goes on: each with its CRC-32."""
    threads = default_workers()
    return in_threads(_write, files, threads=threads, most=waiting * threads)


def _write(file: tuple[Path, Tensor]) -> tuple[Path, int]:
    path, pixels = file
    write_any(path, pixels.cpu())  # copied here: the generator goes on with the next meanwhile
    return path, checksum_file(path)


def in_precision(session: Session, generator: Generator) -> AbstractContextManager[None]:
    """Inside, ``generator`` computes in the session's precision.

    One without weights does not: it is arithmetic on colours, which half precision would round by a grey level or two.
    """
    has_weights = next(generator.parameters(), None) is not None
    return session.fabric.autocast() if has_weights else nullcontext()


def _translated(
    session: Session,
    generator: Generator,
    image: Tensor,
    label: Tensor | None = None,
    *,
    tile: tuple[int, int] | None = None,
) -> Tensor:
    """(N, 3, H, W) uint8 on the CPU, with its ``label`` or without -> its translation on the session's device."""
    device = session.fabric.device
    if device.type == "cuda":
        image = image.pin_memory().to(device, non_blocking=True)
    image = image.to(device)
    multiple, smallest, dtype = generator.multiple, generator.smallest, weights_dtype(generator)

    def shown(part: Tensor) -> Tensor:
        return to_float(part).to(dtype)

    with in_precision(session, generator):
        if tile is None:
            network = generator if label is None else knowing(generator, label.to(device))
            return to_bytes(apply_padded(network, shown(image), multiple, smallest))
        return apply_in_tiles(
            lambda part: generator(shown(part)),
            image,
            size=tile,
            multiple=multiple,
            smallest=smallest,
            finished=to_bytes,
        )


def _written(path: Path) -> Path:
    return path if path.suffix.lower() in _WRITTEN_SUFFIXES else path.with_suffix(".png")
