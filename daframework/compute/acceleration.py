"""How networks compute, beside their precision: compiled or not, and in which memory format.

What cannot be done is left, with one line that says so; nothing here changes a result by more than rounding.
"""

import logging
from collections.abc import Sequence
from functools import cache
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from daframework.errors import one_line, warn
from daframework.recipes.tables import HardwareTable

PAYS_FROM = {"cuda": 1_000}
"""Steps of a stage from which compiling, which takes a minute or two, has paid at its end, by kind of device.

On a CPU it brought nothing: nearly all of the time is spent in convolutions, which stay what they are.
"""
_SHOWN = 200  # characters of a compiler's error


def accelerate(
    networks: Sequence[nn.Module], hardware: HardwareTable, steps: int, device: torch.device
) -> torch.memory_format:
    """Set up ``networks``, in place, for a stage of ``steps``; the order in which their images should lie."""
    compiled = _compile(networks, hardware.compile, steps, device)
    wanted = hardware.channels_last == "always" and not _cannot_be_channels_last(device.type)
    if hardware.channels_last == "auto" and device.type == "cuda":
        # A norm over single images is computed channel by channel: uncompiled it copies to that order and back.
        wanted = compiled or any(isinstance(module, _BatchNorm) for one in networks for module in one.modules())
    if not wanted:
        return torch.contiguous_format
    for network in networks:
        network.to(memory_format=torch.channels_last)
    return torch.channels_last


@cache
def _cannot_be_channels_last(device: str) -> bool:
    """Whether channels_last would cost digits on ``device``; a line says so where it is asked for in vain.

    There torch's CPU kernels of batch and group norm sum in float32, one pixel after the other: what is left of an even
    surface is rounding, where contiguous images give 0.
    """
    if device == "cpu":
        warn("hardware.channels_last: images stay contiguous on a CPU, whose norms would lose digits on even surfaces")
    return device == "cpu"


def _compile(networks: Sequence[nn.Module], asked: str, steps: int, device: torch.device) -> bool:
    """Compile ``networks`` in place if that is asked for, or pays, and whether they are compiled now."""
    if asked == "never" or (asked == "auto" and steps < PAYS_FROM.get(device.type, steps + 1)):
        return False
    # On a machine with CUDA's tools and no GPU the compiler says so, which is no news to the user.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    if not _can_compile(device.type):
        return False
    # One that it stumbles over is left uncompiled, in whole or in part.
    torch._dynamo.config.suppress_errors = True
    for network in networks:
        network.compile()
    return True


def lay_out_like_weights(optimizer: Optimizer) -> None:
    """Give what ``optimizer`` keeps of each weight the weight's own order in memory.

    A fused update walks both as they lie, and a checkpoint of another machine may hold another order.
    """
    # Fabric's wrapper has a dictionary of its own, which may be that of before a checkpoint was loaded.
    state = getattr(optimizer, "optimizer", optimizer).state
    for weight, kept in state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                kept[name] = torch.empty_like(weight, dtype=value.dtype, requires_grad=False).copy_(value)


@cache
def _can_compile(device: str) -> bool:
    """Whether torch.compile works; a line says so where it does not, as without a C++ compiler or Triton."""
    number = torch.ones(8, device=device, requires_grad=True)
    try:
        torch.autograd.backward(torch.compile(torch.nn.functional.gelu)(number).sum())
    except Exception as error:  # whatever a compiler runs into
        problem = one_line(error, kind=True)[:_SHOWN]
        warn(f"torch.compile does not work here, so networks compute uncompiled and slower: {problem}")
        return False
    return True


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies matrices of bf16 (AVX512-BF16, which every one with AMX has too)."""
    supported: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(supported())


def bf16_factor(device: torch.device, rounds: int = 5) -> float:
    """How many times as long as in float32 a convolution takes in bf16 on ``device``; medians of ``rounds``."""
    medians = []
    for dtype in (torch.float32, torch.bfloat16):
        images, weight = (torch.ones(*shape, device=device, dtype=dtype) for shape in ((1, 32, 32, 32), (32, 32, 3, 3)))
        seconds = []
        for _ in range(rounds + 1):
            start = perf_counter()
            torch.nn.functional.conv2d(images, weight).sum().item()  # which waits for a GPU
            seconds.append(perf_counter() - start)
        medians.append(median(seconds[1:]))
    return medians[1] / medians[0]
