"""Ctrl-C and SIGTERM ask a run to finish its step, save and leave; SIGUSR1 to save and go on.

Slurm sends SIGUSR1 ahead of the end if asked to (``--signal=USR1@120``). A second Ctrl-C leaves at once.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from daframework.compute.signals import SAVE, Signals
from daframework.errors import StoppedError


@contextmanager
def stop_on_signal(hint: str | None = None) -> Iterator[Signals]:
    """Inside, signals only ask: see `Signals`, which is handed out.

    What stops because they asked ends the command with their exit code: in a line that ends with ``hint`` or, without
    one, in silence.
    """
    asked = Signals()
    with handled(asked.take):
        try:
            yield asked
        except StoppedError as stopped:
            if hint is not None:
                click.echo(f"{stopped}; {hint}", err=True)
            sys.exit(asked.exit_code)


@contextmanager
def handled(take: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Inside, ``take`` gets the signals that ask to stop, and the one that asks to save."""
    numbers = [signal.SIGINT, signal.SIGTERM, *([] if SAVE is None else [SAVE])]
    before = {number: signal.signal(number, take) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
