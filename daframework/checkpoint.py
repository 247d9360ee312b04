"""Files that training goes on from. They hold tensors and plain values only, and are written whole or not at all."""

import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from daframework.errors import RunError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dictionaries) to ``path``; a reader never sees half a file.

    Raises:
        RunError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):  # usually not there; and where it cannot be removed, the first error says why
            partial.unlink()
        raise RunError(f"checkpoint {path} cannot be written: {error}; the one before it is kept") from error


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What was saved, on ``device``; None if there is no such file. Nothing in the file is executed.

    Raises:
        RunError: the file is damaged, or asks for code to be run.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(f"checkpoint {path} is damaged or holds more than weights; delete it to begin again") from error
    except Exception as error:  # a damaged file makes torch raise almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"checkpoint {path} cannot be read ({reason}); delete it to begin again") from error
    if not isinstance(state, dict):
        raise RunError(f"checkpoint {path} holds no training state; delete it to begin again")
    return state
