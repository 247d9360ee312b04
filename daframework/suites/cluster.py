"""Carry out runs on a Ray cluster, whose nodes share their folder.

Each run is a Ray task that starts the same process as on one machine. A run whose node or worker died begins anew on
another, and goes on from its last checkpoint.
"""

import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import ray
from attrs import frozen

import daframework
from daframework.errors import RunError, warn
from daframework.storage.lock import held
from daframework.suites import launch
from daframework.suites.launch import last_line
from daframework.suites.work import Ending, Job, Work

_TRIES = 4
# What another machine has just written, or a lock that it held as it died, may show late on a network file system.
_PATIENCE_SECONDS = 90
_CONNECT_SECONDS = 10
_RUNS_A_NODE = 8


@frozen
class Needs:
    """What Ray sets aside for each run: CPUs, and a GPU, a part of one or none. ``places`` runs fit on the cluster."""

    cpus: int
    gpus: float
    places: int


def choose_needs(nodes: Sequence[Mapping[str, float]], jobs: int | None) -> Needs:
    """One run a GPU; without a GPU one run a CPU, or an eighth of the CPUs of the smallest node that has more.

    ``nodes`` are Ray's resources of each, ``jobs`` the runs that are to go on at once: as many CPUs as then fit.

    Raises:
        RunError: no node has a CPU or a GPU.
    """
    with_gpus = [(int(node["GPU"]), int(node.get("CPU", 0))) for node in nodes if node.get("GPU", 0) >= 1]
    if with_gpus:
        total = sum(gpus for gpus, _ in with_gpus)
        runs_a_gpu = math.ceil((jobs or total) / total)
        cpus = min(cpus // (gpus * runs_a_gpu) for gpus, cpus in with_gpus)
        # Ray counts ten-thousandths; rounded up, the last run would not fit.
        return Needs(cpus, math.floor(10_000 / runs_a_gpu) / 10_000, total * runs_a_gpu)
    cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if not cores:
        raise RunError("no node of the Ray cluster has a CPU or a GPU for tasks; add one, or start one with --num-cpus")

    def places(cpus: int) -> int:
        return sum(node // cpus for node in cores)

    if jobs is None:
        cpus = max(1, min(cores) // _RUNS_A_NODE)
    else:
        cpus = max((cpus for cpus in range(1, max(cores) + 1) if places(cpus) >= jobs), default=1)
    return Needs(cpus, 0.0, places(cpus))


@contextmanager
def ray_cluster(address: str | None, jobs: int | None) -> Iterator["RayCluster"]:
    """Connect to the cluster at ``address``, or to the one found; without any, start one of this machine for as long.

    Ray finds one by RAY_ADDRESS, or where one runs on this machine. What still runs inside when this ends is ended.

    Raises:
        RunError: the cluster cannot be reached or has nothing to run on.
    """
    given = address or os.environ.get("RAY_ADDRESS", "")
    if "://" in given:
        instead = "start daf on a node of the cluster, with --on ray or ray:HOST:PORT, or by ray job submit"
        raise RunError(f"Ray Client (ray://) is not supported: {instead}")
    handler = signal.getsignal(signal.SIGTERM)
    # Ray tells at length on standard output which nodes died, and tables alone belong there.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            _connect(given or None)
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own
            needs = choose_needs([node["Resources"] for node in ray.nodes() if node["Alive"]], jobs)
            # Tried again by this program alone, since Ray would not wait for the run's folder.
            remote = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=0, scheduling_strategy="SPREAD")
            yield RayCluster(needs, jobs or sys.maxsize, remote(launch.run_on_node))
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, handler)  # also where connecting failed


def _connect(address: str | None) -> None:
    host, _, port = (address or "").rpartition(":")
    try:
        if port.isdecimal():  # Ray would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RunError(f"no Ray cluster at {address or 'hand'}: {_first_line(error)}") from error
    # A node that lacks daframework, or this version of it, must get as far as saying so.
    ray.cloudpickle.register_pickle_by_value(launch)


@frozen(eq=False)
class RayCluster:
    """The nodes of a Ray cluster, as an `Executor`.

    Up to ``jobs`` are handed over at once; those that find no place wait in Ray, where an autoscaler sees them.
    """

    needs: Needs
    jobs: int
    task: Any
    poll_seconds = 1.0  # so that thousands of runs do not load the shared folder with looking

    @property
    def places(self) -> int:
        """How many fit on the cluster as it was, if no fewer were asked for."""
        return min(self.jobs, self.needs.places)

    def submit(self, work: Work, log: Path, slot: int) -> Job:
        """Hand a run to Ray, whatever its slot: Ray knows which GPU is free.

        Raises:
            OSError: its recipe cannot be read.
        """
        recipe = work.folder.recipe.absolute()
        request = {
            "name": work.name,
            "recipe": recipe,
            "content": recipe.read_bytes(),
            "folder": work.folder.path.absolute(),
            "log": log.absolute(),
            "working": Path.cwd(),
            "version": daframework.__version__,
            "threads": max(1, self.needs.cpus),
        }
        return _Task(work, self.task.options(name=work.name), request)


class _Task:
    """A `Job` on some node of the cluster."""

    def __init__(self, work: Work, task: Any, request: dict[str, Any]) -> None:
        self._work, self._task, self._request = work, task, request
        self._log: Path = request["log"]
        self._tries = 0
        self._lost: float | None = None
        self._finished: float | None = None
        self._submit()

    def _submit(self) -> None:
        self._lost, self._tries = None, self._tries + 1
        self._before = _size(self._log)
        self._reference = self._task.remote(**self._request)

    @property
    def begun(self) -> bool:
        return _size(self._log) > self._before

    def ending(self) -> Ending | None:
        if self._lost is not None:
            if _is_free(self._work.folder.path) or time.monotonic() - self._lost > _PATIENCE_SECONDS:
                self._submit()
            return None
        if not ray.wait([self._reference], timeout=0)[0]:
            return None
        try:
            code, said = ray.get(self._reference)
        except ray.exceptions.OutOfMemoryError:
            return Ending(-signal.SIGKILL, "")
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
            if self._tries == _TRIES:
                return Ending(1, f"error: its node or worker died, {_TRIES} times; the last time: {_first_line(error)}")
            warn(f"{self._work.name}: its node or worker died; it goes on elsewhere from its last checkpoint")
            self._lost = time.monotonic()
            return None
        except ray.exceptions.RayError as error:
            return Ending(1, f"error: {_first_line(getattr(error, 'cause', None) or error)}")
        return None if code == 0 and self._unseen() else Ending(code, said)

    def _unseen(self) -> bool:
        """Whether a node has finished the run, and its results may still show here."""
        if self._finished is None:
            self._finished = time.monotonic()
        late = time.monotonic() - self._finished > _PATIENCE_SECONDS
        return not late and not self._work.folder.results.exists()

    def says(self) -> str:
        with suppress(OSError), self._log.open("rb") as file:
            file.seek(self._before)
            _, _, node = file.readline().decode(errors="replace").rpartition(", on ")
            return f"{node.strip()}: {last_line(self._log)}"
        return ""

    def stop(self) -> None:
        if self._lost is None:
            ray.cancel(self._reference)

    def wait(self) -> None:
        if self._lost is None:
            ray.wait([self._reference])


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _is_free(folder: Path) -> bool:
    """Whether no process, of a node that is only cut off, still runs in ``folder``."""
    with suppress(RunError), held(folder):
        return True
    return False


def _first_line(error: BaseException) -> str:
    """What an error of Ray says first."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
