"""Run the cells of a suite, each in a process of its own: a crash or a kill for memory costs one cell."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from attrs import define, field, frozen

from daframework.compute.session import StoppedError
from daframework.errors import DafError, RunError
from daframework.suites.launch import last_line, launch
from daframework.suites.plan import Cell, Plan
from daframework.suites.share import givers, receive
from daframework.suites.status import State, status


class Screen:
    """Where the runs of a suite are shown, as a context manager; this one shows nothing."""

    def __init__(
        self, cells: Sequence[Cell], done: int, left: Callable[[], dict[str, float | None]], jobs: int
    ) -> None:
        """``cells`` are to be run, ``jobs`` at a time, and ``done`` were before; ``left`` tells the seconds that each
        unfinished one still needs, None where nobody knows.
        """

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def started(self, cell: Cell) -> None:
        """A cell's process begins."""

    def says(self, cell: Cell, line: str) -> None:
        """The last line that a running cell printed."""

    def ended(self, cell: Cell, seconds: float, failure: str | None) -> None:
        """A cell's process has ended after ``seconds``; ``failure`` says why, where it is not finished."""


@frozen
class Ending:
    """How a process ended: its exit code, a signal's number below zero, and the last line that it printed."""

    code: int
    said: str


class Job(Protocol):
    """The process of one cell, wherever it runs."""

    @property
    def begun(self) -> bool:
        """Whether it runs, or has run; until then it waits for a place."""

    def ending(self) -> Ending | None:
        """How it ended; None before."""

    def says(self) -> str:
        """The last line that it printed."""

    def stop(self) -> None:
        """Ask it to save and end."""

    def wait(self) -> None:
        """Return when it has ended."""


class Executor(Protocol):
    """Where the processes of cells run."""

    @property
    def jobs(self) -> int:
        """How many cells it takes at once; not all need have a place."""

    @property
    def places(self) -> int:
        """About how many runs go on at once."""

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two looks at its jobs."""

    def submit(self, plan: Plan, cell: Cell, slot: int) -> Job:
        """Begin a cell; ``slot``, below ``jobs``, is that of no other job that still runs.

        Raises:
            DafError: it cannot be started.
        """


@frozen
class Slots:
    """This machine: how many runs go on at once, and what each may use.

    ``threads`` are those of the CPU for each run, ``devices`` the GPUs to deal out, as CUDA_VISIBLE_DEVICES names them.
    """

    jobs: int
    threads: int
    devices: tuple[str, ...] = ()

    @property
    def places(self) -> int:
        """One for each job."""
        return self.jobs

    @property
    def poll_seconds(self) -> float:
        """Looking at a process here costs nothing."""
        return 0.2

    def submit(self, plan: Plan, cell: Cell, slot: int) -> Job:
        """Begin a cell on the GPU of ``slot``.

        Raises:
            RunError: it cannot be started.
        """
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
        log = log_file(plan, cell)
        try:
            process = launch(cell.name, cell.folder.recipe, cell.folder.path, log, environment)
        except OSError as error:
            raise RunError(f"the run {cell.name} cannot be started: {error}") from error
        return _Process(process, log)


@frozen(eq=False)
class _Process:
    """A `Job` on this machine."""

    process: "subprocess.Popen[bytes]"
    log: Path
    begun: bool = True

    def ending(self) -> Ending | None:
        code = self.process.poll()
        return None if code is None else Ending(code, self.says())

    def says(self) -> str:
        return last_line(self.log)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        self.process.wait()


@define(eq=False)
class _Running:
    cell: Cell
    job: Job
    slot: int
    since: float = field(factory=time.monotonic)
    shown: bool = False

    def show(self, view: Screen) -> None:
        if not self.shown and self.job.begun:
            self.shown, self.since = True, time.monotonic()
            view.started(self.cell)
        if self.shown:
            view.says(self.cell, self.job.says())


def choose_slots(jobs: int | None, devices: int, cores: int, threads: int | None = None) -> Slots:
    """One run a GPU; without a GPU one run a core, up to 8, since these small networks gain little from more threads.

    ``jobs`` sets another number, ``devices`` is how many GPUs this process sees, ``cores`` what it is given. A run has
    its share of them as threads, unless the user set how many ``threads``.
    """
    chosen = jobs or devices or min(cores, 8)
    # Where the environment shows some GPUs only, a number would mean another one than it does here.
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(devices)) if shown is None else shown.split(",")[:devices]
    return Slots(chosen, threads or max(1, cores // chosen), tuple(names))


def run_cells(
    plan: Plan, cells: Sequence[Cell], executor: Executor, view: Screen, stopping: Callable[[], bool]
) -> dict[str, str]:
    """Run ``cells`` in order, several at once, and return why each that failed did, by the cell's name.

    A cell waits for the runs that train what it shares, where they are among ``cells``.

    Raises:
        StoppedError: the user asked to stop; the runs have saved what they had.
    """
    waiting, running = list(cells), list[_Running]()
    failures: dict[str, str] = {}
    try:
        while waiting or running:
            for one, ending in [(one, ending) for one in running if (ending := one.job.ending()) is not None]:
                running.remove(one)
                failure = _failure(one.cell, ending)
                if failure is not None:
                    failures[one.cell.name] = failure
                view.ended(one.cell, time.monotonic() - one.since, failure)
            if stopping():
                raise StoppedError(f"stopped with {len(waiting) + len(running)} of {len(cells)} runs left")
            busy = {one.slot for one in running}
            for slot in (slot for slot in range(executor.jobs) if slot not in busy):
                cell = _next(plan, waiting, [one.cell for one in running])
                if cell is None:
                    break
                waiting.remove(cell)
                try:
                    receive(plan, cell)
                    running.append(_Running(cell, executor.submit(plan, cell, slot), slot))
                except DafError as error:
                    failures[cell.name] = str(error)
                    view.ended(cell, 0.0, str(error))
            for one in running:
                one.show(view)
            time.sleep(executor.poll_seconds)
    finally:
        for one in running:
            one.job.stop()
        for one in running:
            one.job.wait()
    return failures


def log_file(plan: Plan, cell: Cell) -> Path:
    """What the cell's process printed, the newest attempt last."""
    return plan.out / "logs" / f"{cell.name}.txt"


def _next(plan: Plan, waiting: Iterable[Cell], running: Iterable[Cell]) -> Cell | None:
    """The first waiting cell that does not wait for what another one makes."""
    unfinished = [*waiting, *running]
    return next((cell for cell in waiting if not any(one in unfinished for one in givers(plan, cell))), None)


def _failure(cell: Cell, ending: Ending) -> str | None:
    """Why a cell whose process has ended is not finished; None where it is."""
    if status(cell).state is State.DONE:
        return None
    code, said = ending.code, ending.said
    if code == -signal.SIGKILL:
        return "killed from outside, as for want of memory; lower batch_size, crop_size or --jobs, and run again"
    if code < 0:
        return f"killed by signal {-code} ({signal.Signals(-code).name}); its log says more"
    if said.startswith("error: "):
        return said.removeprefix("error: ")
    return f"ended with exit code {code}"
