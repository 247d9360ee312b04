"""What the processes of one run, its ranks, tell one another. In a run of one process each of these does nothing.

All ranks must call them, in one order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from daframework.errors import StoppedError

T = TypeVar("T")


PATIENCE = timedelta(days=7)
"""How long ranks wait for one another: one of them may decode and cache a whole set meanwhile."""
_by_itself = False


def count_ranks() -> int:
    """How many processes compute together."""
    return dist.get_world_size() if not _by_itself and dist.is_available() and dist.is_initialized() else 1


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process computes as if there were no others, as where one rank tries what all will train."""
    global _by_itself
    before, _by_itself = _by_itself, True
    try:
        yield
    finally:
        _by_itself = before


def from_first(make: Callable[[], T]) -> T:
    """What ``make`` gives in the first rank, which alone calls it, in all of them.

    For what is read from a disk: two machines that share one need not see the same files at the same moment. Tensors
    must be on the CPU.

    Raises:
        StoppedError: the first was asked to stop meanwhile, in all of them.
    """
    if count_ranks() == 1:
        return make()
    made: list[T | StoppedError | None] = [None]
    if dist.get_rank() == 0:
        try:
            made = [make()]
        except StoppedError as stopped:
            made = [stopped]
    dist.broadcast_object_list(made, src=0, group=_on_cpu())
    (given,) = made
    if isinstance(given, StoppedError):
        raise given
    return given  # type: ignore[return-value]


def any_rank(*said: bool) -> tuple[bool, ...]:
    """Whether any rank said so, for each of ``said``: what one decides, all do at the same step."""
    if count_ranks() == 1:
        return said
    flags = torch.tensor(said, dtype=torch.uint8)
    dist.all_reduce(flags, dist.ReduceOp.MAX, group=_on_cpu())
    return tuple(bool(flag) for flag in flags.tolist())


def mean_over_ranks(value: Tensor) -> Tensor:
    """Every rank's ``value``, of one shape, averaged, without a gradient.

    A loss that divides by a number which differs between ranks, such as the labelled pixels of its images, divides by
    this mean of it: then the mean of the ranks' losses, and of their gradients, is that of all their images together.
    """
    ranks = count_ranks()
    if ranks == 1:
        return value
    total = value.detach().to(torch.promote_types(value.dtype, torch.float32), copy=True)
    dist.all_reduce(total)
    return total / ranks


def mean_with_own_gradient(value: Tensor) -> Tensor:
    """`mean_over_ranks`, with the gradient of this rank's ``value``.

    A loss that is made of such means alone, as a ratio of sums is, has the gradient for all images together in the mean
    of the ranks' gradients.
    """
    return mean_over_ranks(value.detach()) + (value - value.detach())


def all_batches(share: Tensor) -> Tensor:
    """The batch (ranks * N, ...) of which every rank holds a ``share`` (N, ...), in the order of the ranks."""
    if count_ranks() == 1:
        return share
    shares = [torch.empty_like(share) for _ in range(count_ranks())]
    dist.all_gather(shares, share.contiguous())
    return torch.cat(shares)


def own_share(batch: Tensor) -> Tensor:
    """This rank's share (N, ...) of a batch (ranks * N, ...) of all ranks."""
    return batch if count_ranks() == 1 else batch.chunk(count_ranks())[dist.get_rank()]


@cache
def _on_cpu() -> Any:
    """A group of all ranks that talks without their devices; None for the default one, where that does."""
    if dist.get_backend() == dist.Backend.GLOO:
        return None
    return dist.new_group(backend="gloo", timeout=PATIENCE)
