"""The folder that caches lie in: where it is, what it holds, and how to be rid of it."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from daframework.data.cache.shards import CachePart
from daframework.errors import DataError
from daframework.storage.files import write_whole

_ABOUT = "about.json"
_NAME = re.compile(r"(images|labels(_\w+)?)-[0-9a-f]{32}")


def cache_root() -> Path:
    """The folder that DAF_CACHE names; or ``daframework`` in XDG_CACHE_HOME, or in ``~/.cache``."""
    if named := os.environ.get("DAF_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daframework"


@frozen
class Listing:
    """A cache on disk.

    ``used`` is when it was last opened, in seconds since 1970; ``stored`` of ``count`` images or labels are there.
    """

    folder: Path
    dataset: str
    kind: str
    count: int
    stored: int
    resize: tuple[int, ...] | None
    size: int
    used: float


def describe(part: CachePart, dataset: str, resize: Sequence[int] | None) -> None:
    """Make the folder of a cache, and note in it what it is of, for people to read.

    Raises:
        OSError: it cannot be written.
    """
    path = part.folder / _ABOUT
    about = {"dataset": dataset, "kind": part.kind, "count": part.count, "resize": resize}
    if not path.exists():
        write_whole(path, lambda file: file.write(json.dumps(about).encode()), shared=True, synced=False)


def note_use(part: CachePart) -> None:
    """Note that a cache is used now, if its folder may be written to."""
    with suppress(OSError):
        os.utime(part.folder / _ABOUT)


def list_caches() -> list[Listing]:
    """Every cache in the folder, finished or not; the one used last comes first."""
    root = cache_root()
    folders = root.iterdir() if root.is_dir() else ()
    # By name and by what they hold: DAF_CACHE may name a folder with other things in it.
    found = (_listing(one) for one in folders if _NAME.fullmatch(one.name) and (one / _ABOUT).is_file())
    return sorted(found, key=lambda one: -one.used)


def _listing(folder: Path) -> Listing:
    kind, _, key = folder.name.partition("-")
    try:
        about: dict[str, Any] = json.loads((folder / _ABOUT).read_bytes())
        part = CachePart(folder, key, about["count"], kind)
        files = {path.name: path.stat().st_size for path in folder.iterdir()}
        stored = sum(len(part.entries(number)) for number in range(part.shards) if f"{number:05d}.json" in files)
        used = (folder / _ABOUT).stat().st_mtime
        resize = None if about["resize"] is None else tuple(about["resize"])
        return Listing(folder, str(about["dataset"]), part.kind, part.count, stored, resize, sum(files.values()), used)
    except (OSError, ValueError, TypeError, KeyError):
        return Listing(folder, "damaged", kind, 0, 0, None, 0, 0.0)


def remove_cache(folder: Path) -> None:
    """Delete a cache.

    Raises:
        DataError: a file in it cannot be deleted.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be deleted ({error.strerror})") from error


def gigabytes(size: float) -> str:
    """A number of bytes for people to read, in GB of 10**9 bytes."""
    return f"{size / 1e9:.1f} GB" if size >= 5e7 else f"{size / 1e6:.1f} MB"
