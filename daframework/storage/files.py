"""Files written whole or not at all, and lines of a run's log."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from daframework.errors import writing
from daframework.fingerprint import digest_bytes

_LONGEST_NAME = 255  # bytes, on nearly every file system
_LONGEST_LINE = 65_536  # bytes


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
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f".{digest_bytes([os.fsencode(path.name)])}.partial"
    return path.with_name(name)


def _sync(folder: Path) -> None:
    """Bring a rename in ``folder`` to the disk, where the system can."""
    with suppress(OSError):  # not every file system lets a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of ``text`` as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whose folder is made; a reader sees the file before or after, never half of it.

    Raises:
        RunError: it cannot be written; then no part of it is left.
    """
    with writing(path):
        write_whole(path, lambda file: file.write(content))


def log_entry(line: str | bytes) -> dict[str, Any] | None:
    """``stage``, ``step`` and ``values`` by name of a run's log's line; None for one that cannot be read.

    A value that is not a finite number becomes None: JSON has no word for it, but Python's.
    """
    try:
        entry = json.loads(line)
        stage, step = entry.pop("stage"), entry.pop("step")
        if not isinstance(stage, str) or not isinstance(step, int):
            return None
        numbers = {name: value for name, value in entry.items() if isinstance(value, int | float)}
        values = {name: value if isfinite(value) else None for name, value in numbers.items()}
        return {"stage": stage, "step": step, "values": values}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, OverflowError):
        return None


def last_entry(path: Path) -> dict[str, Any] | None:
    """The last line of the log at ``path``, as `log_entry` gives it; None where none can be read."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_LINE))
        return next(filter(None, map(log_entry, reversed(file.read().splitlines()))), None)
    return None


def append_line(path: Path, line: str) -> None:
    """Add ``line`` to the file at ``path``, less half a line that a full disk or a killed process left at its end.

    Raises:
        RunError: it cannot be written.
    """
    with writing(path), path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        if file.read() not in (b"", b"\n"):
            file.seek(max(0, end - _LONGEST_LINE))
            file.truncate(end - len(file.read().rpartition(b"\n")[2]))
        file.write(f"{line}\n".encode())
