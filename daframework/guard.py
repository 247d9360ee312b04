"""Run a plugin's code so that it does not disturb what runs around it, and tell where it is slow."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

SLOW = 1.0
"""Seconds that a plugin may take to be imported before the user is told."""


@contextmanager
def told_if_slow(plugin: str, remedy: str, warn: Callable[[str], None]) -> Iterator[None]:
    """``warn`` in a line if ``plugin`` took more than `SLOW` seconds to be imported inside; the ``remedy`` follows.

    Not where it was the first to import torch, whose seconds are not its own.
    """
    begun, before = time.monotonic(), "torch" in sys.modules
    yield
    seconds = time.monotonic() - begun
    if seconds > SLOW and before == ("torch" in sys.modules):
        warn(f"{plugin} took {seconds:.1f} s to be imported, at every command; {remedy}")


@contextmanager
def guarded(plugin: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Inside, what is printed goes to standard error; at the end, the working directory is what it was.

    ``warn`` is told in a line where ``plugin`` went to another one.
    """
    here = _working_directory()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if here is not None and _working_directory() != here:
            os.chdir(here)
            warn(f"{plugin} went to another working directory; it was brought back")


def _working_directory() -> Path | None:
    """None where it was deleted."""
    with suppress(OSError):
        return Path.cwd()
    return None
