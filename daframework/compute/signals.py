"""What signals have asked a run for, which its command line handles; and the end of the process that started it."""

import os
import signal
import sys
import threading
from types import FrameType

SAVE = getattr(signal, "SIGUSR1", None)
"""The signal that asks to save and go on; not every system has it."""


class Signals:
    """What signals have asked for so far: to stop, as a `Session` is told by calling it, or to save."""

    def __init__(self) -> None:
        """Nothing."""
        self.signal: int | None = None
        self._save = self._taken = False

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
        """Ask to stop, as another process was by the signal ``number``; this one may still be sent its own."""
        self.signal = self.signal or number

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; the second that asks to stop interrupts at once."""
        if number == SAVE:
            self._save = True
        elif not self._taken:
            self._taken = True
            self.stop(number)
        else:
            raise KeyboardInterrupt


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
