"""Write small files whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from daframework.errors import RunError


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of ``text`` as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whose folder is made; a reader sees the file before or after, never half of it.

    Raises:
        RunError: it cannot be written; then no part of it is left.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):  # where it cannot be removed either, the first error says why
            partial.unlink()
        raise RunError(f"{path} cannot be written: {error.strerror}") from error
