"""How far a command is with its files: a bar in a terminal, a plain line now and then elsewhere."""

import time

from rich.console import Console
from rich.text import Text

from daframework.cli.display import Display
from daframework.errors import visible

_EVERY = 10.0  # seconds between two plain lines
_STYLES = {"error": "bold red", "warning": "yellow"}


class FileProgress(Display):
    """Shows how many files are done, and prints lines without disturbing that."""

    def __init__(self, console: Console) -> None:
        """``console`` decides between the bar and plain lines."""
        super().__init__(console, transient=True)
        self._said = 0.0

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """``total`` files of a set come now, in place of those before."""
        self._stage, self._total, self._said = visible(stage), total, time.monotonic()
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(self._stage, total=total, losses="")
        if not self.console.is_terminal:
            self.say(f"{stage}: {total:,} files")

    def advance(self, done: int) -> None:
        """``done`` of them are finished."""
        super().advance(done)
        if not self.console.is_terminal and time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            self.say(f"{self._stage}: {done:,} of {self._total:,}")

    def say(self, line: str, level: str = "") -> None:
        """A line of its own, as it is: ``level`` "error" or "warning" goes before it."""
        text = Text.assemble((f"{level}: " if level else "", _STYLES.get(level, "")), visible(line))
        self.console.print(text, soft_wrap=True, highlight=False)
