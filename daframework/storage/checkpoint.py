"""Files that training goes on from. They hold tensors and plain values only, and are written whole or not at all.

Each carries its name, by which a file in another's place is told, and the checksums that every zip file has: torch
writes them, and does not look at them when it reads.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from daframework.errors import RunError, one_line, warn
from daframework.storage.files import write_whole

_NAME = "checkpoint"


def save(path: Path, state: Mapping[str, Any], *, keep_previous: bool = False) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dictionaries) to ``path``; a reader never sees half a file.

    With ``keep_previous`` the file that was there stays beside it, and is what `load` takes where the new one is
    damaged; without it the one that an earlier call left is deleted.

    Raises:
        RunError: it cannot be written.
    """
    previous = _previous(path)
    kept = previous if keep_previous else None
    try:
        write_whole(path, lambda file: torch.save({**state, _NAME: _name(path)}, file), previous=kept)
        if not keep_previous:
            previous.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        raise RunError(f"checkpoint {path} cannot be written: {_reason(error)}; the one before it is kept") from error


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What was saved, on ``device``; None if there is no such file. Nothing in the file is executed.

    Where it is damaged, what was kept before it takes its place, and a line says so.

    Raises:
        RunError: the file is damaged, or asks for code to be run, and none was kept.
    """
    previous = _previous(path)
    if not path.exists():
        # Between the two renames of `save` there is only the older one.
        return _read(previous, device) if previous.exists() else None
    try:
        return _read(path, device)
    except RunError as error:
        if not previous.exists():
            raise
        state = _read(previous, device)
        warn(f"{str(error).partition(';')[0]}; going on from the one before it")
        # Or the next to be saved would put the damaged one in the place of the good one.
        previous.replace(path)
        return state


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    again = "delete it to begin again, or the whole folder of the run if that is finished"
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        with ZipFile(path) as archive:
            damaged = archive.testzip() is not None
    except (MemoryError, torch.OutOfMemoryError):
        raise  # nothing is wrong with the file
    except pickle.UnpicklingError as error:
        raise RunError(f"checkpoint {path} is damaged or holds more than weights; {again}") from error
    except OSError as error:
        raise RunError(f"checkpoint {path} cannot be read: {_reason(error)}") from error
    except Exception as error:  # a damaged file makes torch raise almost anything, with a paragraph of its own
        raise RunError(f"checkpoint {path} is damaged, cut short or no checkpoint at all; {again}") from error
    if not isinstance(state, dict):
        raise RunError(f"checkpoint {path} holds no training state; {again}")
    state.pop("digest", None)  # those of earlier versions have one, and no name
    if damaged or state.pop(_NAME, _name(path)) != _name(path):
        raise RunError(f"checkpoint {path} is damaged: its content is not what was saved; {again}")
    return state


def _reason(error: BaseException) -> str:
    """Where the disk is full, torch ends with an error of its own, which does not say so."""
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else one_line(cause)


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _name(path: Path) -> str:
    """What a checkpoint is called, also where it is the one kept before."""
    return path.stem.removesuffix(".previous")
