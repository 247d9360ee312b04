"""What many runs are shown as: one live view in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console, RenderableType
from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from daframework.errors import visible
from daframework.suites.estimate import duration
from daframework.suites.work import Work

QUIET = Console(quiet=True, force_terminal=False)  # else what others print would go to it


class BenchView(Progress):
    """Runs done, running and left, and how long is left. Use it as a context manager."""

    def __init__(
        self, console: Console, names: Sequence[str], done: int, left: Callable[[], dict[str, float | None]], jobs: int
    ) -> None:
        """Those called ``names`` are to be run, ``jobs`` at a time, and ``done`` were before; ``left`` tells how many
        seconds each unfinished one still needs, None where nobody knows.
        """
        self._total, self._done, self._failed = len(names) + done, done, 0
        self._left, self._jobs = left, jobs
        self._names = set(names)
        self._running: dict[str, TaskID] = {}
        self._until = self._estimate()
        super().__init__(
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[line]}", markup=False, style="dim", table_column=Column(ratio=1, no_wrap=True)),
            console=console,
            refresh_per_second=2,
            transient=True,
            expand=True,
            redirect_stdout=False,  # which stays as it is: on a cluster, what Ray prints there is thrown away
            disable=not console.is_terminal,
        )

    def started(self, work: Work) -> None:
        """A run begins."""
        self._running[work.name] = self.add_task(work.name, line="")
        self._say(f"{work.name}: begins")

    def says(self, work: Work, line: str) -> None:
        """What a running one printed last."""
        if work.name in self._running:
            self.update(self._running[work.name], line=visible(line))

    def ended(self, work: Work, seconds: float, failure: str | None) -> None:
        """A run has ended after ``seconds``; ``failure`` says why, where it is not finished."""
        if work.name in self._running:
            self.remove_task(self._running.pop(work.name))
        self._names.discard(work.name)
        self._done += failure is None
        self._failed += failure is not None
        self._until = self._estimate()
        how = f"failed after {duration(seconds)}: {failure}" if failure else f"done in {duration(seconds)}"
        self._say(f"{work.name}: {how}; {self._summary()}")

    def _estimate(self) -> float | None:
        """When everything will have ended, by `time.monotonic`; None while something was never measured."""
        left = [seconds for name, seconds in self._left().items() if name in self._names]
        known = [seconds for seconds in left if seconds is not None]
        return time.monotonic() + sum(known) / self._jobs if len(known) == len(left) else None

    def _summary(self) -> str:
        waiting = self._total - self._done - self._failed - len(self._running)
        counts = f"{self._done} of {self._total} runs done, {len(self._running)} running, {waiting} left"
        failed = f", {self._failed} failed" if self._failed else ""
        if self._until is None:
            return f"{counts}{failed}, time left not known yet"
        return f"{counts}{failed}, about {duration(max(0.0, self._until - time.monotonic()))} left"

    def _say(self, line: str) -> None:
        if not self.console.is_terminal:
            self.console.print(visible(line), markup=False, highlight=False, soft_wrap=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """How far all of them are, above those that run."""
        return Text(self._summary()), self.make_tasks_table(self.tasks)
