"""How many threads of a CPU a network's operations keep busy."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import torch
from torch import nn

from daframework.cores import asked_threads

A_THREAD = 4e9
"""Multiplications and additions of one pass forward, of a whole batch, for each thread that is to share them.

Threads wait for one another after every operation. Where those are short, a second thread gains a quarter on a quiet
machine, and loses three to four times as much as soon as another process takes its core.
"""


@contextmanager
def keep_threads() -> Iterator[None]:
    """Afterwards torch computes with as many threads as before. Decorates what calls `use_threads`, so that no stage
    finds other threads where the one before it was skipped.
    """
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_threads(networks: Iterable[nn.Module], images: Sequence[int], device: torch.device) -> None:
    """Let torch compute on a CPU with as many of its threads as `threads_for` says."""
    torch.set_num_threads(threads_for(networks, images, device))


def threads_by_work(device: torch.device) -> bool:
    """Whether a network's work decides how many threads it gets: on a CPU of several, where the user set no number."""
    return device.type == "cpu" and asked_threads() is None and torch.get_num_threads() > 1


def threads_for(networks: Iterable[nn.Module], images: Sequence[int], device: torch.device) -> int:
    """How many of torch's threads the greatest of ``networks`` keeps busy on a CPU, 1 or more.

    ``images`` is the shape of a batch, (N, 3, H, W). The number follows from that, the networks and torch's threads
    alone, so that a run adds up in one order however busy the machine is. It is all of them where the user set
    ``OMP_NUM_THREADS``, and for a network that cannot be counted.
    """
    threads = torch.get_num_threads()
    if not threads_by_work(device):
        return threads
    counted = [operations(partial(_without_values, network), images) for network in networks]
    work = max(math.inf if one is None else one for one in counted)
    return int(min(threads, max(1, work / A_THREAD)))


def _without_values(network: nn.Module) -> nn.Module:
    return deepcopy(network).to("meta")


def operations(build: Callable[[], nn.Module], images: Sequence[int]) -> float | None:
    """Multiplications and additions of one pass forward of a batch of the shape ``images``, nothing of it computed.

    None for what cannot be counted, such as a network that looks at values, which the meta device does not have, or one
    that cannot be copied.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    try:
        with torch.device("meta"), torch.no_grad():
            network = build().eval()
            with counter:
                network(torch.zeros(*images))
    except Exception:  # whatever a network runs into that has no values
        return None
    return float(counter.get_total_flops())
