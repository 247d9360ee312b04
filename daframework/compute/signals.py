"""What signals have asked a run for; that they ask at all, the command line sees to."""

import signal
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
