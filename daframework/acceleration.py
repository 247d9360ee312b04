"""How networks compute, beside their number format: compiled or not, and in which order images lie in memory.

What cannot be done is left, with one line that says so; nothing here changes a result by more than rounding.
"""

import logging
from collections.abc import Sequence
from functools import cache

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from daframework.session import warn
from daframework.tables import HardwareTable

PAYS_FROM = {"cuda": 1_000}
"""Steps of a stage from which compiling, which takes a minute or two, has paid at its end, by kind of device.

On a CPU it brought nothing: nearly all of the time is spent in convolutions, which stay what they are.
"""


def accelerate(
    networks: Sequence[nn.Module], hardware: HardwareTable, steps: int, device: torch.device
) -> torch.memory_format:
    """Prepare ``networks``, in place, for a stage of ``steps``; the order in which their images should lie."""
    compiled = _compile(networks, hardware.compile, steps, device)
    wanted = hardware.channels_last == "always"
    if hardware.channels_last == "auto" and device.type == "cuda":
        # A norm over single images is computed channel by channel: uncompiled it copies to that order and back.
        wanted = compiled or any(isinstance(module, _BatchNorm) for one in networks for module in one.modules())
    if not wanted:
        return torch.contiguous_format
    for network in networks:
        network.to(memory_format=torch.channels_last)
    return torch.channels_last


def _compile(networks: Sequence[nn.Module], asked: str, steps: int, device: torch.device) -> bool:
    """Compile ``networks`` in place if that is asked for, or pays, and whether they are compiled now."""
    if asked == "never" or (asked == "auto" and steps < PAYS_FROM.get(device.type, steps + 1)):
        return False
    # On a machine with CUDA's tools and no GPU the compiler says so, which is no news to the user.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    problem = _compiler_problem(device.type)
    if problem is not None:
        warn(f"torch.compile does not work here, so networks compute uncompiled and slower: {problem}")
        return False
    # One that it stumbles over is left uncompiled, in whole or in part.
    torch._dynamo.config.suppress_errors = True
    for network in networks:
        network.compile(mode="reduce-overhead" if asked == "cuda_graphs" else "default")
    return True


@cache
def _compiler_problem(device: str) -> str | None:
    """What is in the way, in a line: there may be no C++ compiler, or no Triton."""
    number = torch.ones(8, device=device, requires_grad=True)
    try:
        torch.autograd.backward(torch.compile(torch.nn.functional.gelu)(number).sum())
    except Exception as error:  # whatever a compiler runs into
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    return None
