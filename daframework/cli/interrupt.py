"""Ctrl-C and SIGTERM ask a run to finish its step, save and leave; a second Ctrl-C leaves at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Inside, the first signal only makes the function that is handed out return True."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
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
