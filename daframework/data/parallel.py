"""Do the same with many files, in several processes; results come in order."""

import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from attrs import frozen
from torch.utils.data import DataLoader, Dataset

from daframework.cores import given_cores
from daframework.errors import DafError, RunError

T = TypeVar("T")
_CHUNK = 16  # indices handed to a process at a time: an interruption waits for no more than these
_MOST = 8  # processes, unless told: a disk feeds no more


def default_workers() -> int:
    """One process for each core that this one is given, 8 at most."""
    return min(given_cores(), _MOST)


def in_parallel(function: Callable[[int], T], indices: Sequence[int], *, workers: int | None) -> Iterator[T]:
    """``function`` of each of ``indices``, in their order, in ``workers`` processes: 0 for this process itself,
    None for `default_workers`.

    Few indices take fewer processes. Memory does not grow with their number. What ``function`` gives should be small.

    Raises:
        DafError: ``function`` did.
        RunError: a process was killed.
    """
    workers, enough = default_workers() if workers is None else workers, -(-len(indices) // _CHUNK)
    with warnings.catch_warnings():
        # More processes than cores are of use where files come over a network.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader: DataLoader[Any] = DataLoader(
            _Applied(function, indices),
            batch_size=_CHUNK,
            num_workers=0 if enough < 2 else min(workers, enough),
            collate_fn=list,
            worker_init_fn=leave_interrupts_to_the_parent,
            generator=torch.Generator(),  # its own, or it would draw from the global one
        )
        chunks = iter(loader)
    try:
        for chunk in until_killed(chunks):
            for result in chunk:
                if isinstance(result, DafError):
                    raise result
                yield result
    finally:
        del chunks  # or its processes would live for as long as anybody holds the error


def until_killed(loader: Iterable[Any]) -> Iterator[Any]:
    """What a `DataLoader` hands out.

    Raises:
        RunError: one of its processes was killed.
    """
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError("a process that read files was killed, perhaps for want of memory; use fewer workers") from error


@frozen(eq=False)
class _Applied(Dataset[Any]):
    function: Callable[[int], Any]
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Any:
        # An error is handed out, since one raised in a worker would lose its type.
        try:
            return self.function(self.indices[position])
        except DafError as error:
            return error


def leave_interrupts_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process of a terminal, and a scheduler's SIGTERM or SIGUSR1 every process of a job.

    The parent finishes its step and then ends its workers; where it must insist, its own SIGTERM is the second.
    """
    for number in (signal.SIGINT, getattr(signal, "SIGUSR1", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))
