"""Run a plugin's code so that it does not disturb what runs around it, and see how long it takes."""

import builtins
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

_SHARED = frozenset(
    {
        "PIL",
        "attr",
        "attrs",
        "cattrs",
        "click",
        "daframework",
        "filelock",
        "kornia",
        "lightning_fabric",
        "matplotlib",
        "numpy",
        "pluggy",
        "rich",
        "segmentation_models_pytorch",
        "timm",
        "tomli_w",
        "torch",
        "torchvision",
    }
)
"""What daframework itself needs. Who imports it first is not slow for that."""


SLOW = 1.0
"""Seconds that a plugin may take for itself before the user is told."""


@contextmanager
def guarded(plugin: str, where: str, remedy: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Inside, what is printed goes to standard error; at the end, the working directory is what it was.

    ``warn`` is told in a line where ``plugin`` went to another one, or took more than `SLOW` seconds ``where``, which
    the ``remedy`` follows. Imports of what daframework needs itself, such as torch, do not count.
    """
    here = _working_directory()
    plain_import = builtins.__import__
    shared = 0.0

    def timed_import(name: str, *arguments: Any, **options: Any) -> Any:
        nonlocal shared
        if name.partition(".")[0] not in _SHARED:
            return plain_import(name, *arguments, **options)
        builtins.__import__ = plain_import  # what it imports in turn is in its own time
        begun = time.monotonic()
        try:
            return plain_import(name, *arguments, **options)
        finally:
            shared += time.monotonic() - begun
            builtins.__import__ = timed_import

    builtins.__import__ = timed_import
    begun = time.monotonic()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        builtins.__import__ = plain_import
        seconds = time.monotonic() - begun - shared
        if seconds > SLOW:
            warn(f"{plugin} took {seconds:.1f} s {where}; {remedy}")
        if here is not None and _working_directory() != here:
            os.chdir(here)
            warn(f"{plugin} went to another working directory; it was brought back")


def _working_directory() -> Path | None:
    """None where it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None
