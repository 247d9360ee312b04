"""Write a file whole or not at all."""

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

_LONGEST = 255  # bytes, on nearly every file system


def write_whole(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    previous: Path | None = None,
    shared: bool = False,
    synced: bool = True,
) -> None:
    """Let ``write`` fill a file beside ``path``, then rename it: a reader sees all of the old or the new, never half.

    Missing folders are made.

    Args:
        path: where the file will be.
        write: is handed the file, and writes into it.
        previous: where the file goes that was at ``path``; it is replaced unless given.
        shared: other processes may write ``path`` at the same time; else what a killed one left is written over.
        synced: the file is on the disk on return, and outlives a power cut. Without, it is as quick as the disk's
            cache: for one of very many files.

    Raises:
        OSError: it cannot be written; the file that was there is kept, and nothing is left of the new one.
    """
    partial = path.with_name(f".{uuid4().hex}.partial") if shared else partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        partial.replace(path)
        if synced:
            _sync(path.parent)
    finally:
        with suppress(OSError):  # usually gone by now; and where it cannot be removed, the first error says why
            partial.unlink()


def partial_path(path: Path) -> Path:
    """Where the file at ``path`` is written until it is whole: always the same, and no longer than a name may be."""
    name = f".{path.name}.partial"
    if len(os.fsencode(name)) > _LONGEST:
        name = f".{blake2b(os.fsencode(path.name), digest_size=16).hexdigest()}.partial"
    return path.with_name(name)


def _sync(folder: Path) -> None:
    """Bring a rename in ``folder`` to the disk, where the system can."""
    with suppress(OSError):  # not every file system lets a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
