"""How far a command is with its files: a bar in a terminal, a plain line now and then elsewhere."""

import time

from rich.console import Console
from rich.progress import TimeRemainingColumn
from rich.text import Text

from daframework.cli.display import Bar
from daframework.errors import visible

_EVERY = 10.0  # seconds between two plain lines
_STYLES = {"error": "bold red", "warning": "yellow"}


class FileProgress(Bar):
    """Shows how many files are done, and prints lines without disturbing that."""

    def __init__(self, console: Console) -> None:
        """``console`` decides between the bar and plain lines."""
        super().__init__(console, TimeRemainingColumn(), transient=True)
        self._what, self._said = "", 0.0

    def begin(self, what: str, total: int) -> None:
        """``total`` files of ``what`` come now."""
        self._what, self._total, self._said = visible(what), total, time.monotonic()
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(self._what, total=total)
        if not self.console.is_terminal:
            self.say(f"{what}: {total:,} files")

    def advance(self, done: int) -> None:
        """``done`` of them are finished."""
        self._progress.update(self._task, completed=done)
        if not self.console.is_terminal and time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            self.say(f"{self._what}: {done:,} of {self._total:,}")

    def say(self, line: str, level: str = "") -> None:
        """A line of its own, as it is: ``level`` "error" or "warning" goes before it."""
        text = Text.assemble((f"{level}: " if level else "", _STYLES.get(level, "")), visible(line))
        self.console.print(text, soft_wrap=True, highlight=False)
