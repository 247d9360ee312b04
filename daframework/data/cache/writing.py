"""Fill the cache: several processes decode, check and resize, each of them whole shards."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any

import torch
from attrs import define
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from daframework.compute.session import Session
from daframework.data.cache.layout import cache_root, describe, gigabytes
from daframework.data.cache.shards import IMAGES, MORE_ROOM, CachePart, Shard, ShardWriter, filling
from daframework.data.checked import check_sample, labels_of, resize_sample
from daframework.data.parallel import leave_interrupts_to_the_parent, until_killed
from daframework.data.spread import evenly_spread
from daframework.errors import DafError, DataError, StoppedError
from daframework.interfaces import ImageDataset, LabelType
from daframework.label_types import labels_folder

_FAULTS = 20  # faulty files after which the rest is no longer looked at
_ABANDONED = 3600.0  # seconds after which a file that nobody writes to was left by a process that was killed
_MEASURED = 5  # images decoded to tell how large the others are
_AHEAD = 16  # images a process may be ahead of the slowest


def build(
    session: Session,
    dataset: ImageDataset,
    parts: Sequence[tuple[CachePart, Sequence[Shard | None]]],
    *,
    name: str,
    resize: Sequence[int] | None,
    workers: int,
    types: Sequence[LabelType],
) -> None:
    """Make the shards that are None of each part, in ``workers`` processes; ``name`` says which set it is, and
    ``types`` which labels its parts hold.

    All faulty files are named at once, and the shards without any are kept. Another process may build the same.

    Raises:
        StoppedError: the user asked to stop; finished shards are kept.
        DataError: a file cannot be used, or there is no room.
    """
    missing = ([part for part, shards in parts if shards[number] is None] for number in range(parts[0][0].shards))
    todo = [(number, wanted) for number, wanted in enumerate(missing) if wanted]
    _make_folders([part for part, _ in parts], name, resize)
    _check_room(dataset, todo, name, resize)
    left = sum(len(wanted[0].entries(number)) for number, wanted in todo)
    total, faults = len(dataset), list[str]()
    session.log.begin(f"caching {name}", total, total - left)
    loader: DataLoader[Any] = DataLoader(
        _Builder(dataset, resize, todo, types),
        batch_size=None,
        num_workers=min(workers, len(todo)),
        prefetch_factor=_AHEAD,
        worker_init_fn=leave_interrupts_to_the_parent,
        generator=torch.Generator(),  # its own, or it would draw from the global one
    )
    for done, fault in enumerate(until_killed(loader), start=total - left + 1):
        if isinstance(fault, DataError):
            raise fault
        if fault is not None:
            faults.append(fault)
        if len(faults) == _FAULTS:
            faults.append(f"caching {name} ends here: {_FAULTS} files cannot be used")
            break
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {total} images of {name} were cached")
    if faults:
        raise DataError("\n".join(dict.fromkeys(faults)))  # some are the same line for every file


@define(eq=False)
class _Builder(IterableDataset[str | DataError | None]):
    """Writes shards, and hands out for each image None, or what is wrong with it; a `DataError` ends it all."""

    dataset: ImageDataset
    resize: Sequence[int] | None
    todo: Sequence[tuple[int, Sequence[CachePart]]]
    types: Sequence[LabelType]

    def __iter__(self) -> Iterator[str | DataError | None]:
        worker = get_worker_info()
        assert worker is not None, "built in processes, which an interruption does not reach"
        for number, parts in self.todo[worker.id :: worker.num_workers]:
            try:
                yield from self._shard(number, parts)
            except DataError as error:
                yield error
                return

    def _shard(self, number: int, parts: Sequence[CachePart]) -> Iterator[str | None]:
        kinds, whole = {part.kind for part in parts}, True
        types = [one for one in self.types if labels_folder(one.name) in kinds]
        with ExitStack() as stack:
            writers = [(part, stack.enter_context(closing(ShardWriter(part, number)))) for part in parts]
            for index in parts[0].entries(number):
                try:
                    sample = self.dataset[index] if types else self.dataset.unlabelled(index)
                    check_sample(sample, len(self.dataset.classes), types)
                except DafError as error:
                    whole = False
                    yield str(error)
                    continue
                if whole:
                    sample = resize_sample(sample, self.resize, types)
                    labels = zip(types, labels_of(sample, types), strict=True)
                    pixels = {IMAGES: sample.image} | {labels_folder(one.name): label for one, label in labels}
                    for part, writer in writers:
                        writer.add(pixels[part.kind], sample.name)
                yield None
            for _, writer in writers if whole else ():
                writer.finish()


def _make_folders(parts: Sequence[CachePart], name: str, resize: Sequence[int] | None) -> None:
    """Make the folders, and throw away what killed processes left there."""
    for part in parts:
        with filling(part.folder):
            describe(part, name, resize)
        for path in part.folder.glob(".*"):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - _ABANDONED:
                    path.unlink()


def _check_room(
    dataset: ImageDataset, todo: Sequence[tuple[int, Sequence[CachePart]]], name: str, resize: Sequence[int] | None
) -> None:
    """Refuse before an hour is spent, and before the disk is full for everybody else."""
    sizes = [tuple(resize)] if resize is not None else []
    for index in evenly_spread(len(dataset), _MEASURED) if resize is None else ():
        with suppress(DafError):  # it is named when its turn comes
            sizes.append(tuple(dataset.unlabelled(index).image.shape[-2:]))
    area = sum(height * width for height, width in sizes) / max(1, len(sizes))
    needed = area * sum(part.planes * len(part.entries(number)) for number, parts in todo for part in parts)
    free = shutil.disk_usage(cache_root()).free
    if needed > free:
        lacks = f"{name} needs about {gigabytes(needed)} more, and {gigabytes(free)} are free"
        raise DataError(f"cache {cache_root()}: {lacks}; {MORE_ROOM}, or lower data.resize")
