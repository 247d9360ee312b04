"""Every random draw follows from the recipe's seed and a name, so that no two parts share a stream.

Draws that depend on a step are made from (seed, name, step) alone: resuming needs no saved state for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from daframework.fingerprint import digest_bytes


def derive(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for the stream called ``names``; another name gives an unrelated one."""
    return int(digest_bytes(["/".join(map(str, (seed, *names))).encode()], size=8), 16) >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU random generator at the start of the stream called ``names``."""
    return torch.Generator().manual_seed(derive(seed, *names))


@contextmanager
def global_seed(seed: int, *names: str | int) -> Iterator[None]:
    """Torch's global CPU generator at the start of a stream, and afterwards as it was: for initialising weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, *names))
        yield


def start_global(device: torch.device, seed: int, *names: str | int) -> None:
    """Set torch's global generators, of the CPU and of ``device``, to the start of a stream.

    As `torch.manual_seed` does, which takes half a millisecond for all the devices that there might be.
    """
    number = derive(seed, *names)
    torch.default_generator.manual_seed(number)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(number)
