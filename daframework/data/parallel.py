"""Do the same with many files, in several processes; results come in order."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from threading import Thread
from traceback import extract_tb
from typing import Any, TypeVar

from daframework.cores import given_cores
from daframework.errors import DafError, RunError

T = TypeVar("T")
_CHUNK = 16  # indices handed to a process at a time: an interruption waits for no more than these
_MOST = 8  # processes, unless told: a disk feeds no more
_GRACE = 30  # seconds that a process which reads files outlives a SIGTERM: a scheduler waits no longer either
_KILLED = "a process that read files was killed, perhaps for want of memory; use fewer workers"


def default_workers() -> int:
    """One process for each core that this one is given, 8 at most."""
    return min(given_cores(), _MOST)


def in_parallel(
    function: Callable[[int], T],
    indices: Sequence[int],
    *,
    workers: int | None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[T]:
    """``function`` of each of ``indices``, in their order, in ``workers`` processes: 0 for this process itself,
    None for `default_workers`. Ends early once ``stopping``, asked after each, says so.

    Few indices take fewer processes. Memory hardly grows with their number. What ``function`` gives should be small.

    Raises:
        DafError: ``function`` did.
        RunError: a process was killed.
    """
    workers, enough = default_workers() if workers is None else workers, -(-len(indices) // _CHUNK)
    if not workers or enough < 2:
        for index in indices:
            yield function(index)
            if stopping():
                return
        return
    pool = ProcessPoolExecutor(min(workers, enough), initializer=_begin, initargs=(function,))
    try:
        for result in pool.map(_apply, indices, chunksize=_CHUNK):
            if isinstance(result, DafError):
                raise result
            yield result
            if stopping():
                return
    except BrokenProcessPool as error:
        raise RunError(_KILLED) from error
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[[int], Any]  # of a process that reads files: handed over once, since it may hold 100,000 names


def _begin(function: Callable[[int], Any]) -> None:
    global _function
    _function = function
    leave_interrupts_to_the_parent()
    Thread(target=_end_with_the_parent, daemon=True).start()
    if "torch" in sys.modules:
        # A process has one core; and OpenMP's threads, if this one's parent has had any, hang in its children.
        sys.modules["torch"].set_num_threads(1)


def _end_with_the_parent() -> None:
    # What kills the parent outright leaves its children waiting for more to do. A signal is for the main thread, which
    # sleeps through one that the system hands to this.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _apply(index: int) -> Any:
    # An error is handed out, so that what was made before it in the same chunk comes first.
    try:
        return _function(index)
    except DafError as error:
        return error
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        error.add_note(f"line {place.lineno} of {place.filename}")  # the traceback stays in this process
        raise


def until_killed(loader: Iterable[Any]) -> Iterator[Any]:
    """What torch's ``DataLoader`` hands out.

    Raises:
        RunError: one of its processes was killed.
    """
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(_KILLED) from error


def leave_interrupts_to_the_parent(worker: int = 0) -> None:
    """Ctrl-C reaches every process of a terminal, and a scheduler's SIGTERM or SIGUSR1 every process of a job.

    The parent finishes its step and then ends its workers; where it must insist, its own SIGTERM is the second. That of
    a pool which has lost a process is the only one: it ends the others a while later.
    """

    def outlive(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        signal.alarm(_GRACE)

    for number in (signal.SIGINT, getattr(signal, "SIGUSR1", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, outlive)
