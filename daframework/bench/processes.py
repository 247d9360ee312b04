"""Run the cells of a suite, each in a process of its own: a crash or a kill for memory costs one cell."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from daframework.bench.plan import Cell, Plan
from daframework.bench.share import givers, receive
from daframework.bench.status import State, status
from daframework.errors import DafError, RunError
from daframework.session import StoppedError

_POLL_SECONDS = 0.2
_TAIL_BYTES = 4096


class View(Protocol):
    """Where the runs of a suite are shown."""

    def started(self, cell: Cell) -> None:
        """A cell's process begins."""

    def says(self, cell: Cell, line: str) -> None:
        """The last line that a running cell printed."""

    def ended(self, cell: Cell, seconds: float, failure: str | None) -> None:
        """A cell's process has ended after ``seconds``; ``failure`` says why, where it is not finished."""


@frozen
class Slots:
    """How many runs go on at once, and what each may use.

    ``threads`` are those of the CPU for each run, ``devices`` the GPUs to deal out, as CUDA_VISIBLE_DEVICES names them.
    """

    jobs: int
    threads: int
    devices: tuple[str, ...] = ()


@define(eq=False)
class _Running:
    cell: Cell
    process: "subprocess.Popen[bytes]"
    slot: int
    began: float = field(factory=time.monotonic)


def choose_slots(jobs: int | None, devices: int, cores: int) -> Slots:
    """One run a GPU; without a GPU one run a core, up to 8, since these small networks gain little from more threads.

    ``jobs`` sets another number, ``devices`` is how many GPUs this process sees, ``cores`` what the machine has.
    """
    chosen = jobs or devices or min(cores, 8)
    # Where the environment shows some GPUs only, a number would mean another one than it does here.
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(devices)) if shown is None else shown.split(",")[:devices]
    return Slots(chosen, max(1, cores // chosen), tuple(names))


def run_cells(
    plan: Plan, cells: Sequence[Cell], slots: Slots, view: View, stopping: Callable[[], bool]
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
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                failure = _failure(one.cell, one.process.returncode, last_line(log_file(plan, one.cell)))
                if failure is not None:
                    failures[one.cell.name] = failure
                view.ended(one.cell, time.monotonic() - one.began, failure)
            if stopping():
                raise StoppedError(f"stopped with {len(waiting) + len(running)} of {len(cells)} runs left")
            busy = {one.slot for one in running}
            for slot in (slot for slot in range(slots.jobs) if slot not in busy):
                cell = _next(plan, waiting, [one.cell for one in running])
                if cell is None:
                    break
                waiting.remove(cell)
                try:
                    receive(plan, cell)
                    running.append(_Running(cell, _start(plan, cell, slots, slot), slot))
                    view.started(cell)
                except DafError as error:
                    failures[cell.name] = str(error)
                    view.ended(cell, 0.0, str(error))
            for one in running:
                view.says(one.cell, last_line(log_file(plan, one.cell)))
            time.sleep(_POLL_SECONDS)
    finally:
        _end(running)
    return failures


def log_file(plan: Plan, cell: Cell) -> Path:
    """What the cell's process printed, the newest attempt last."""
    return plan.out / "logs" / f"{cell.name}.txt"


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty; an empty one where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")


def _next(plan: Plan, waiting: Iterable[Cell], running: Iterable[Cell]) -> Cell | None:
    """The first waiting cell that does not wait for what another one makes."""
    unfinished = [*waiting, *running]
    return next((cell for cell in waiting if not any(one in unfinished for one in givers(plan, cell))), None)


def _start(plan: Plan, cell: Cell, slots: Slots, slot: int) -> "subprocess.Popen[bytes]":
    # -P: a file called like a module in the working directory must not be imported in its place.
    command = [sys.executable, "-P", "-m", "daframework", "run", str(cell.folder.recipe)]
    command += ["--out", str(cell.folder.path), "--until-stdin-closes"]
    environment = os.environ | {"OMP_NUM_THREADS": str(slots.threads), "PYTHONUNBUFFERED": "1"}
    if slots.devices:
        environment["CUDA_VISIBLE_DEVICES"] = slots.devices[slot % len(slots.devices)]
    log = log_file(plan, cell)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # What an earlier attempt said last must not be taken for the reason why this one failed.
            output.write(f"daf bench: {cell.name} begins, {datetime.now(UTC).isoformat(timespec='seconds')}\n".encode())
            output.flush()
            # A group of its own: Ctrl-C in a terminal reaches this process alone, which passes it on once. The pipe is
            # never written to: it closes when this process ends, however it ends, and the run ends with it.
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, process_group=0
            )
    except OSError as error:
        raise RunError(f"the run {cell.name} cannot be started: {error}") from error


def _failure(cell: Cell, code: int, said: str) -> str | None:
    """Why a cell whose process ended with ``code``, and ``said`` last, is not finished; None where it is."""
    if status(cell).state is State.DONE:
        return None
    if code == -signal.SIGKILL:
        return "killed from outside, as for want of memory; lower batch_size, crop_size or --jobs, and run again"
    if code < 0:
        return f"killed by signal {-code} ({signal.Signals(-code).name}); its log says more"
    if said.startswith("error: "):
        return said.removeprefix("error: ")
    return f"ended with exit code {code}"


def _end(running: Sequence[_Running]) -> None:
    """Ask what still runs to save and leave, and wait for it."""
    for one in running:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
    for one in running:
        one.process.wait()
