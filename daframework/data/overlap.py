"""Read before it is needed and write after the next is begun: files are handled in threads beside the network."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], items: Iterable[T], *, threads: int, most: int) -> Generator[R]:
    """``function`` of each of ``items``, in their order, in ``threads`` threads while the caller does something else.

    While the caller has one result, at most ``most`` others wait or are being made: memory does not grow with their
    number. ``items`` are taken in the caller's thread. What a call raises comes in its turn, and what ``items`` raise
    comes after all that was begun before, so that neither depends on which thread is faster. Closing it drops what no
    thread has begun and waits for the rest. It pays where ``function`` lets other threads run, as coding and decoding
    images does.
    """
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in _submitted(pool, function, items):
                begun.append(future)
                if len(begun) > most:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def _submitted(pool: Executor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[Future[R]]:
    """A future for each of ``items``; what they raise is the last one's."""
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as error:
        failed = Future[R]()
        failed.set_exception(error)
        yield failed
