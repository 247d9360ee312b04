"""The cache on disk: every image decoded and resized once, for all stages, processes and runs.

A cache is keyed by what it is made of. Images: the dataset's fingerprint of them, their number, the size they are
brought to, and the version of the format. Labels: the same with the fingerprint of the labels, which covers the ids'
meaning, and the classes. So another mapping shares the images, and a target's labels can be added when they may be
read: until then no label is looked for.
"""

from collections.abc import Sequence
from typing import Literal

from daframework.compute.session import Session
from daframework.data.cache.cached import Cached, Stored
from daframework.data.cache.layout import note_use, part_folder
from daframework.data.cache.shards import CachePart, DamagedError, Shard
from daframework.data.cache.writing import build
from daframework.errors import DataError, StoppedError, warn
from daframework.fingerprint import digest
from daframework.interfaces import ImageDataset

FORMAT = 1
"""Raise it when the same files would become other pixels, or lie otherwise on the disk."""


def find_parts(dataset: ImageDataset, resize: Sequence[int] | None, *, labels: bool) -> list[CachePart] | None:
    """Where the images of a set, and its labels if ``labels``, are or will be; None where it has no fingerprint.

    Raises:
        DataError: a file is missing.
    """
    parts = []
    kinds: tuple[Literal["images", "labels"], ...] = ("images", "labels") if labels else ("images",)
    for kind in kinds:
        found = dataset.fingerprint(labels=kind == "labels")
        if found is None:
            return None
        classes = list(dataset.classes) if kind == "labels" else None
        key = digest(FORMAT, kind, found, len(dataset), None if resize is None else list(resize), classes)
        parts.append(CachePart(part_folder(kind, key), key, len(dataset), kind))
    return parts


def open_cached(
    session: Session, dataset: ImageDataset, *, name: str, resize: Sequence[int] | None, workers: int, labels: bool
) -> Cached | None:
    """``dataset`` checked, resized to ``resize`` and out of the cache; None where it has no fingerprint.

    What is missing of the cache, cut off or changed is made first, by ``workers`` processes. ``name`` says in messages
    which set it is. Labels are read only if ``labels``.

    Raises:
        StoppedError: the user asked to stop; what is finished is kept.
        DataError: a file cannot be read or used, with a line for each of them; or the cache cannot be written.
    """
    parts = find_parts(dataset, resize, labels=labels)
    if parts is None:
        warn(f"{name} is not cached on disk, since its dataset gives no fingerprint; it is read each time")
        return None
    found = [_read(session, part, name) for part in parts] if session.fabric.local_rank == 0 else []
    if any(None in shards for shards in found):
        build(session, dataset, list(zip(parts, found, strict=True)), name=name, resize=resize, workers=workers)
        found = []
    session.fabric.barrier()
    found = found or [_read(session, part, name) for part in parts]
    stored = [_stored(part, shards) for part, shards in zip(parts, found, strict=True)]
    for part in parts:
        note_use(part)
    return Cached(stored[0], stored[1] if labels else None, dataset.classes, dataset.palette)


def _stored(part: CachePart, shards: Sequence[Shard | None]) -> Stored:
    whole = [shard for shard in shards if shard is not None]
    if len(whole) < part.shards:
        raise DataError(f"cache {part.folder}: was deleted or changed while it was opened; run again")
    return Stored(part, whole)


def _read(session: Session, part: CachePart, name: str) -> list[Shard | None]:
    """Every shard of a part, None where it is missing or, which is told, not what was written."""
    shards: list[Shard | None] = []
    for number in range(part.shards):
        try:
            shards.append(part.read(number))
        except DamagedError as damage:
            shards.append(None)
            _tell(name, damage)
    unsure = [number for number, shard in enumerate(shards) if shard is not None and not part.is_known(number, shard)]
    if unsure:
        session.log.begin(f"checking the cache of {name}", len(unsure), 0)
    for done, number in enumerate(unsure, start=1):
        shard = shards[number]
        assert shard is not None
        try:
            part.verify(number, shard)
        except DamagedError as damage:
            shards[number] = None
            _tell(name, damage)
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {len(unsure)} parts of the cache of {name} were checked")
    return shards


def _tell(name: str, damage: DamagedError) -> None:
    warn(f"the cache of {name}: {damage}; that part of it is made anew")
