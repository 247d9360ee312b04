"""Two parts of a step at the same time, each on half of a CPU's cores.

One operation of a small network is too short to keep several cores busy: two that do not depend on one another, each on
cores of its own, take less time than one after the other on all. What a part computes, forward and back, is a graph of
its own inside one node of the ordinary graph, where the slopes of both meet: the result is the same at every run.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, TypeVar

import torch
from attrs import frozen
from lightning_fabric import Fabric
from torch import Tensor

from daframework.build import Networks
from daframework.errors import PluginError
from daframework.tables import Recipe

T = TypeVar("T")
_LONG = 5e10
"""Weights of a generator times pixels of a batch, from which one operation keeps all cores busy by itself: there two at
once gain less than a twentieth of the time, and take a tenth more memory."""


@frozen(eq=False)
class Part:
    """``work(*inputs)`` gives tensors; ``weights`` are all that it uses and that may want slopes."""

    work: Callable[..., Sequence[Tensor]]
    inputs: Sequence[Tensor]
    weights: Sequence[Tensor]


def together(first: Part, second: Part) -> tuple[list[Tensor], list[Tensor]]:
    """What the work of both gives. They must share no weights, draw no random numbers, and write to nothing they share.

    Raises:
        PluginError: on the way back, slopes of slopes are asked for, which can only be taken inside a part.
        Exception: what a part raised, when both have ended; the first part's if both did.
    """
    counts: list[int] = []
    given = (tensor for part in (first, second) for tensor in (*part.inputs, *part.weights))
    made = list(_Together.apply((first, second), counts, *given))
    return made[: counts[0]], made[counts[0] :]


def allowed(networks: Networks, recipe: Recipe, fabric: Fabric, *, profiled: bool = False) -> bool:
    """Whether the two directions of a translation are computed together.

    Only where they are two, the cores are this process's alone, and operations are short. Not where a thread of its own
    would be in the way, of compiled code, of recomputed activations or of a profiler; nor beside a model in a loss,
    which needs all cores.
    """
    hardware, generators = recipe.hardware, networks.generators.values()
    weights = max((sum(weight.numel() for weight in one.parameters()) for one in generators), default=0)
    return (
        hardware.side_by_side == "auto"
        and fabric.device.type == "cpu"
        and torch.get_num_threads() > 1
        and fabric.world_size == 1
        and not profiled
        and len(generators) == len(networks.discriminators) == 2
        and weights * recipe.data.batch_size * math.prod(recipe.data.crop_size) < _LONG
        and hardware.compile != "always"
        and not hardware.checkpoint_activations
        and not any(term.loss.needs_source_model for term in networks.terms)
    )


@contextmanager
def half_of_the_cores(wanted: bool) -> Iterator[None]:
    """Inside, if ``wanted``, this thread computes on half of the cores and leaves the others to a second part.

    All that it computes, not `together` alone: cores that have helped with one operation go on looking for work for
    milliseconds, in which a second part would have to share them.
    """
    cores = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(max(1, cores // 2))
    try:
        yield
    finally:
        if wanted:
            torch.set_num_threads(cores)


class _Together(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: tuple[Part, Part], counts: list[int], *given: Tensor) -> tuple[Tensor, ...]:
        half, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

        def compute(part: Part) -> tuple[list[Tensor], list[Tensor]]:
            # A thread has switches of its own. `torch.autocast` would, at its end, drop the weights in half precision
            # that the other part has at hand.
            torch.set_autocast_enabled("cpu", half)
            torch.set_autocast_dtype("cpu", dtype)
            leaves = [one.detach().requires_grad_(one.requires_grad) for one in part.inputs]
            with torch.enable_grad():
                return [*leaves, *part.weights], list(part.work(*leaves))

        found = _both(lambda: compute(parts[0]), lambda: compute(parts[1]))
        counts += [len(made) for _, made in found]
        ctx.counts = [(len(used), len(made)) for used, made in found]
        # With these autograd lets go of the parts' graphs when it is done with this node, or keeps them if asked to.
        ctx.save_for_backward(*(tensor for used, made in found for tensor in (*used, *made)))
        ctx.set_materialize_grads(False)
        return tuple(one.detach() for _, made in found for one in made)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise PluginError(
                "a loss takes slopes of slopes through an image or a discriminator's output, as a gradient penalty "
                'does; that needs hardware.side_by_side = "never"'
            )
        saved, wanted = iter(ctx.saved_tensors), iter(slopes)

        def back(used: list[Tensor], made: list[Tensor], above: list[Tensor | None]) -> list[Tensor | None]:
            reached = [pair for pair in zip(made, above, strict=True) if pair[1] is not None and pair[0].requires_grad]
            asked = [one for one in used if one.requires_grad]
            if not reached or not asked:
                return [None] * len(used)
            outputs, start = zip(*reached, strict=True)
            found = iter(torch.autograd.grad(outputs, asked, start, retain_graph=True, allow_unused=True))
            return [next(found) if one.requires_grad else None for one in used]

        tasks = []
        for uses, makes in ctx.counts:
            used, made = [next(saved) for _ in range(uses)], [next(saved) for _ in range(makes)]
            tasks.append(partial(back, used, made, [next(wanted) for _ in range(makes)]))
        first, second = _both(*tasks)
        return None, None, *first, *second


def _both(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """What both give: the first in this thread, the second beside it on as many cores."""
    cores = torch.get_num_threads()

    def beside() -> T:
        if torch.get_num_threads() != cores:
            torch.set_num_threads(cores)
        return second()

    running = _second_thread().submit(beside)
    try:
        made = first()
    finally:
        wait([running])
    return made, running.result()


@cache
def _second_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="second part")
