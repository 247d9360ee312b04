"""Ctrl-C and SIGTERM ask a run to finish its step, save and leave; SIGUSR1 to save and go on.

Slurm sends SIGUSR1 ahead of the end if asked to (``--signal=USR1@120``). A second Ctrl-C leaves at once.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SAVE = getattr(signal, "SIGUSR1", None)  # not everywhere


class Signals:
    """What signals have asked for so far."""

    def __init__(self) -> None:
        """Nothing."""
        self.signal: int | None = None
        self._save = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def saving(self) -> bool:
        """Whether to save and go on; asked once for each time that it was."""
        asked, self._save = self._save, False
        return asked

    @property
    def exit_code(self) -> int:
        """Of a process that a signal stopped, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    def stop(self, number: int) -> None:
        """Ask to stop, as the signal ``number`` would."""
        self.signal = self.signal or number

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; the second that asks to stop interrupts at once."""
        if number == _SAVE:
            self._save = True
        elif self.signal is None:
            self.signal = number
        else:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signal() -> Iterator[Signals]:
    """Inside, signals only ask: see `Signals`, which is handed out."""
    asked = Signals()
    with handled(asked.take):
        yield asked


@contextmanager
def handled(take: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Inside, ``take`` gets the signals that ask to stop, and the one that asks to save."""
    numbers = [signal.SIGINT, signal.SIGTERM, *([] if _SAVE is None else [_SAVE])]
    before = {number: signal.signal(number, take) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_stdin() -> None:
    """From now on, end this process at once when its standard input closes: when the one that started it is gone.

    A process killed outright cannot tell those it started; but its end of a pipe to them closes.
    """

    descriptor = sys.stdin.fileno()

    def wait() -> None:
        # Not through sys.stdin: a thread that waits in its buffer would keep Python from ending in good order.
        while os.read(descriptor, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
