"""The cache on disk: every image decoded and resized once, for all stages, processes and runs.

A cache is keyed by what it is made of. Images: the dataset's fingerprint of them, their number, the size they are
brought to, and the version of the format. Labels: the same with the fingerprint of the labels, which covers the ids'
meaning, and the classes or the type. So another mapping shares the images, and a target's labels can be added when they
may be read: until then no label is looked for.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from daframework.compute.ranks import any_rank
from daframework.compute.session import Session
from daframework.data.cache.cached import Cached, Stored
from daframework.data.cache.layout import cache_root, note_use
from daframework.data.cache.shards import IMAGES, CachePart, DamagedError, Shard
from daframework.data.cache.writing import build
from daframework.errors import StoppedError, warn
from daframework.fingerprint import digest
from daframework.interfaces import ImageDataset, LabelType
from daframework.label_types import labels_folder

FORMAT = 1
"""Raise it when the same files would become other pixels, or lie otherwise on the disk."""


def find_parts(
    dataset: ImageDataset, resize: Sequence[int] | None, types: Sequence[LabelType]
) -> list[CachePart] | None:
    """Where the images of a set, and its labels of ``types``, are or will be; None where it has no fingerprint.

    Raises:
        DataError: a file is missing.
    """
    parts = []
    for one in (None, *types):
        found = dataset.fingerprint(labels=one is not None)
        if found is None:
            return None
        kind = IMAGES if one is None else labels_folder(one.name)
        classes = list(dataset.classes) if one is not None and one.of_classes else None
        key = digest(FORMAT, kind, found, len(dataset), None if resize is None else list(resize), classes)
        dtype = torch.uint8 if one is None or one.dtype is None else one.dtype
        parts.append(CachePart(cache_root() / f"{kind}-{key}", key, len(dataset), kind, dtype))
    return parts


def remove_cached(dataset: ImageDataset, resize: Sequence[int] | None, types: Sequence[LabelType]) -> None:
    """Delete from the disk what the cache has of a set, whoever put it there. What is mapped can still be read."""
    for part in find_parts(dataset, resize, types) or ():
        shutil.rmtree(part.folder, ignore_errors=True)


def open_cached(
    session: Session,
    dataset: ImageDataset,
    *,
    name: str,
    resize: Sequence[int] | None,
    workers: int,
    types: Sequence[LabelType],
) -> Cached | None:
    """``dataset`` checked, resized to ``resize`` and out of the cache; None where it cannot be kept there.

    What is missing of the cache, cut off or changed is made first, by ``workers`` processes. ``name`` says in messages
    which set it is. Labels are read only of ``types``.

    Raises:
        StoppedError: the user asked to stop; what is finished is kept.
        DataError: a file cannot be read or used, with a line for each of them; or the cache cannot be written.
    """
    for one in types:
        if one.dtype is None:
            warn(f"{name} is not cached on disk, since labels of the type '{one.name}' cannot be; it is read each time")
            return None
    parts = find_parts(dataset, resize, types)
    if parts is None:
        warn(f"{name} is not cached on disk, since its dataset gives no fingerprint; it is read each time")
        return None
    found, stopped = list[list[Shard | None]](), None
    if session.fabric.local_rank == 0:
        try:
            found = [_read(session, part, name) for part in parts]
            if any(None in shards for shards in found):
                whole = list(zip(parts, found, strict=True))
                build(session, dataset, whole, name=name, resize=resize, workers=workers, types=types)
                found = []
        except StoppedError as error:
            stopped = error
    if any(any_rank(stopped is not None)):  # each waits here for the one that builds, and stops with it
        raise stopped or StoppedError(f"stopped while {name} was cached")
    found = found or [_read(session, part, name) for part in parts]
    stored = [Stored(part, shards) for part, shards in zip(parts, found, strict=True)]
    for part in parts:
        note_use(part)
    labels = {one.name: kept for one, kept in zip(types, stored[1:], strict=True)}
    return Cached(stored[0], labels, dataset.classes, dataset.palette)


def _read(session: Session, part: CachePart, name: str) -> list[Shard | None]:
    """Every shard of a part, None where it is missing or, which is told, not what was written."""
    shards: list[Shard | None] = [None] * part.shards
    for number in range(part.shards):
        with _damage_told(name):
            shards[number] = part.read(number)
    unsure = [shard for shard in shards if shard is not None and not part.is_known(shard)]
    if unsure:
        session.log.begin(f"checking the cache of {name}", len(unsure), 0)
    for done, shard in enumerate(unsure, start=1):
        shards[shard.number] = None
        with _damage_told(name):
            part.verify(shard)
            shards[shard.number] = shard
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {len(unsure)} parts of the cache of {name} were checked")
    return shards


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
    try:
        yield
    except DamagedError as damage:
        warn(f"the cache of {name}: {damage}; that part of it is made anew")
