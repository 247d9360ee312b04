"""Walk the folders below one, links included, without going round in circles."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from daframework.errors import DataError


def walk(base: Path) -> Iterator[tuple[Path, list[str]]]:
    """``base`` and every folder below it, each with the names of its files; the order is the file system's.

    Hidden files and folders, those whose names begin with a dot, are passed over: macOS's ``._a.png`` is no picture.
    Links to folders are followed, save those that lead back to a folder they lie in.

    Raises:
        DataError: a folder may not be listed: its files would be missing in silence.
    """
    around = {base: frozenset([_identity(base)])}
    for start, folders, files in os.walk(base, followlinks=True, onerror=_complain):
        parent = Path(start)
        above = around.pop(parent)
        inside = {name: _identity(parent / name) for name in folders if not name.startswith(".")}
        folders[:] = [name for name, identity in inside.items() if identity not in above]
        around |= {parent / name: above | {inside[name]} for name in folders}
        yield parent, [name for name in files if not name.startswith(".")]


def _identity(folder: Path) -> tuple[int, int]:
    """What makes it the same folder under whatever name."""
    try:
        status = folder.stat()
    except OSError as error:
        _complain(error)
    return status.st_dev, status.st_ino


def _complain(error: OSError) -> NoReturn:
    what = f"{error.filename}: cannot be listed ({error.strerror})"
    raise DataError(f"{what}; allow it with chmod, or take the folder away") from error
