"""Carry out many runs, each in a process of its own: a crash or a kill for memory costs one of them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic

from attrs import define, field, frozen

from daframework.errors import DafError, StoppedError
from daframework.suites.bench_folder import LOGS
from daframework.suites.bench_view import BenchView
from daframework.suites.launch import last_line, launch
from daframework.suites.plan import Cell, Plan
from daframework.suites.share import givers, receive
from daframework.suites.status import State, status
from daframework.suites.work import Ending, Executor, Job, Queue, W, Work


@frozen
class Slots:
    """This machine: how many runs go on at once, and what each may use.

    ``threads`` are those of the CPU for each run, ``devices`` the GPUs to deal out, as CUDA_VISIBLE_DEVICES names them.
    """

    jobs: int
    threads: int
    devices: tuple[str, ...] = ()
    poll_seconds = 0.2  # looking at a process here costs nothing

    @property
    def places(self) -> int:
        """One for each job."""
        return self.jobs

    def submit(self, work: Work, log: Path, slot: int) -> Job:
        """Begin a run on the GPU of ``slot``.

        Raises:
            OSError: it cannot be started.
        """
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
        return _Process(launch(work.name, work.folder.recipe, work.folder.path, log, environment), log)


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
        self.process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        self.process.wait()


@define(eq=False)
class _Running(Generic[W]):
    work: W
    job: Job
    slot: int
    since: float = field(factory=time.monotonic)
    shown: bool = False

    def show(self, view: BenchView) -> None:
        if not self.shown and self.job.begun:
            self.shown, self.since = True, time.monotonic()
            view.started(self.work)
        if self.shown:
            view.says(self.work, self.job.says())


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
    plan: Plan, cells: Sequence[Cell], executor: Executor, view: BenchView, stopping: Callable[[], bool]
) -> dict[str, str]:
    """Run ``cells`` in order, several at once, and return why each that failed did, by the cell's name.

    A cell waits for the runs that train what it shares, where they are among ``cells``.

    Raises:
        StoppedError: the user asked to stop; the runs have saved what they had.
    """
    queue = _Cells(plan, list(cells))
    carry_out(queue, plan.out, executor, view, stopping)
    return queue.failures


def carry_out(queue: Queue[W], out: Path, executor: Executor, view: BenchView, stopping: Callable[[], bool]) -> None:
    """Carry out the runs of ``queue``, several at once; their logs lie in ``out``.

    Raises:
        StoppedError: the user asked to stop; the runs have saved what they had.
    """
    running = list[_Running[W]]()
    total = queue.left
    try:
        while queue.left or running:
            for one, ending in [(one, ending) for one in running if (ending := one.job.ending()) is not None]:
                running.remove(one)
                failure = _failure(one.work, ending)
                view.ended(one.work, time.monotonic() - one.since, failure)
                queue.ended(one.work, failure)
            if stopping():
                raise StoppedError(f"stopped with {queue.left + len(running)} of {total} runs left")
            busy = {one.slot for one in running}
            for slot in (slot for slot in range(executor.jobs) if slot not in busy):
                work = queue.take([one.work for one in running])
                if work is None:
                    break
                try:
                    queue.prepare(work)
                    running.append(_Running(work, executor.submit(work, out / LOGS / f"{work.name}.txt", slot), slot))
                except (DafError, OSError) as error:
                    view.ended(work, 0.0, str(error))
                    queue.ended(work, str(error))
            for one in running:
                one.show(view)
            time.sleep(executor.poll_seconds)
    finally:
        for one in running:
            one.job.stop()
        for one in running:
            one.job.wait()


@define(eq=False)
class _Cells:
    """The cells of a suite as a `Queue`: ``waiting``, and why those that failed did."""

    plan: Plan
    waiting: list[Cell]
    failures: dict[str, str] = field(factory=dict)

    @property
    def left(self) -> int:
        return len(self.waiting)

    def take(self, running: Sequence[Cell]) -> Cell | None:
        """The first cell that does not wait for what another one makes."""
        unfinished = {one.name for one in (*self.waiting, *running)}
        for cell in self.waiting:
            if not any(one.name in unfinished for one in givers(self.plan, cell)):
                self.waiting.remove(cell)
                return cell
        return None

    def prepare(self, work: Cell) -> None:
        receive(self.plan, work)

    def ended(self, work: Cell, failure: str | None) -> None:
        if failure is not None:
            self.failures[work.name] = failure


def _failure(work: Work, ending: Ending) -> str | None:
    """Why a run whose process has ended is not finished; None where it is."""
    if status(work).state is State.DONE:
        return None
    code, said = ending.code, ending.said
    if code == -signal.SIGKILL:
        return "killed from outside, as for want of memory; lower batch_size, crop_size or --jobs, and run again"
    if code < 0:
        return f"killed by signal {-code} ({signal.Signals(-code).name}); its log says more"
    if said.startswith("error: "):
        return said.removeprefix("error: ")
    return f"ended with exit code {code}"
