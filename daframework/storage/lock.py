"""One process at a time in a folder: the operating system holds the lock, and drops it when the process ends."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from daframework.errors import RunError
from daframework.storage.files import write_text

LOCK, HOLDER = ".lock", ".lock_holder.json"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, no other process may hold ``folder``, which is made. What a dead process held is free.

    Raises:
        RunError: another process holds it, or it cannot be written.
    """
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        who = _told(holder)[0]
        raise RunError(f"{folder} is in use by {who}; wait, stop it, or give another folder with --out") from None
    except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
        raise RunError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    try:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        mine = {"process": os.getpid(), "machine": socket.gethostname(), "since": since}
        write_text(holder, json.dumps(mine) + "\n")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def in_use(folder: Path) -> str | None:
    """Who holds ``folder``, as its holder told, without touching the lock; None where nobody does any more."""
    said, held_still = _told(folder / HOLDER)
    return said if held_still else None


def _told(holder: Path) -> tuple[str, bool]:
    """Who holds it, as far as it told, and whether that one may still be there."""
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        told = json.loads(holder.read_text(encoding="utf-8"))
        here = told["machine"] == socket.gethostname()
        said = f"process {told['process']} on {told['machine']} since {told['since']}"
        return said, not here or _is_alive(int(told["process"]))
    return "another process", False


def _is_alive(process: int) -> bool:
    """Whether there is such a process on this machine; where the system cannot be asked, it is taken for alive."""
    if os.name == "posix":  # elsewhere, os.kill would end it
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
    return True
