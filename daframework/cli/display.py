"""Progress on the terminal: a live line where there is one, plain lines where output goes to a file or a pipe."""

from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from daframework.listener import Listener


class Display(Listener):
    """Shows stage, step, rate, time left and current losses, live in a terminal and in plain lines elsewhere.

    Use it as a context manager.
    """

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        """``console`` decides between the two; a ``transient`` bar is gone when it ends."""
        self.console = console
        named = TextColumn("{task.description}", markup=False)
        losses = TextColumn("{task.fields[losses]}", markup=False, style="dim")
        parts = (named, BarColumn(bar_width=24), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(), losses)
        self._progress = Progress(*parts, console=console, disable=not console.is_terminal, transient=transient)
        self._stage, self._total = "", 0
        self._task = self._progress.add_task("", visible=False, losses="")

    def __enter__(self) -> Self:
        """Start the bar."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def begin(self, stage: str, total: int, done: int) -> None:
        """A new line for a new stage."""
        self._stage, self._total = stage, total
        if self.console.is_terminal:
            self._task = self._progress.add_task(stage, total=total, completed=done, losses="")
        else:
            resumed = f", {done} done before" if done else ""
            self.console.print(f"{stage}: {total} steps{resumed}", markup=False, highlight=False)

    def advance(self, done: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done)

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Show the newest losses."""
        losses = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        losses = losses.replace("generator/", "G/").replace("discriminator_", "D ")
        if self.console.is_terminal:
            self._progress.update(self._task, losses=losses)
        else:
            line = escape(f"{self._stage} {step}/{self._total}  {losses}")
            self.console.print(line, highlight=False, soft_wrap=True)


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="dim")
