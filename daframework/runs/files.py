"""Small files of a run, written whole or not at all, and lines of its log."""

import os
from pathlib import Path

from daframework.errors import RunError
from daframework.whole_file import write_whole

_LONGEST_LINE = 65_536  # bytes


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of ``text`` as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whose folder is made; a reader sees the file before or after, never half of it.

    Raises:
        RunError: it cannot be written; then no part of it is left.
    """
    try:
        write_whole(path, lambda file: file.write(content))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


def append_line(path: Path, line: str) -> None:
    """Add ``line`` to the file at ``path``, less half a line that a full disk or a killed process left at its end.

    Raises:
        RunError: it cannot be written.
    """
    try:
        with path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            if file.read() not in (b"", b"\n"):
                file.seek(max(0, end - _LONGEST_LINE))
                file.truncate(end - len(file.read().rpartition(b"\n")[2]))
            file.write(f"{line}\n".encode())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
