"""What the benchmarks of this folder share: clocks for things in turn, memory, their options, and their last lines."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

from daframework.compute.environment import describe
from daframework.errors import DafError

Result = TypeVar("Result")
LENGTH = {"cpu": 1_000, "cuda": 100_000}
"""Steps of the run that a loop is timed in, which is then stopped: what is chosen by the length, such as whether to
compile, is chosen as for a run of the size that such a device is used for."""
_ALL_CORES = torch.get_num_threads()  # before any loop takes less


def synchronise(device: torch.device) -> None:
    """Wait until ``device`` has done all that it was given: a GPU is still at work when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that ``work`` takes until ``device`` has done it."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def alternate(
    works: Mapping[str, Callable[[], object]], *, rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each of ``works`` in each of ``rounds``, one after another: what slows the machine slows all alike.

    A round before them is not counted. Their order turns about, so that none always comes after the same other.
    """
    spent: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        names = list(works) if number % 2 else list(reversed(works))
        for name in names:
            seconds = seconds_of(works[name], device)
            if number:
                spent[name].append(seconds)
    return spent


def median(seconds: Sequence[float]) -> float:
    """The middle one, which a disturbance does not move."""
    return statistics.median(seconds)


class BlockClock:
    """A log for a real training loop: the seconds of each block of steps, without what is done between blocks."""

    def __init__(self, device: torch.device, *, first: int, block: int, between: Callable[[], object] | None = None):
        """``first`` steps are not counted; ``between`` is called, its time not counted, after each block."""
        self.device, self.first, self.block, self.between = device, first, block, between
        self.seconds: list[float] = []
        self.first_seconds = 0.0  # of the steps that are not counted: what is compiled or chosen once shows here
        self._start = time.perf_counter()

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage of ``total`` steps starts."""
        self._start = time.perf_counter()

    def advance(self, done: int) -> None:
        """``done`` steps are finished. A GPU is waited for at the end of a block alone, as it works ahead within."""
        counted = done - self.first
        if counted < 0 or counted % self.block:
            return
        synchronise(self.device)
        spent = time.perf_counter() - self._start
        if counted:
            self.seconds.append(spent)
        else:
            self.first_seconds = spent
        if self.between is not None:
            self.between()
            synchronise(self.device)
        self._start = time.perf_counter()

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Losses are not looked at."""

    @property
    def step_seconds(self) -> float:
        """The median of the blocks, in seconds a step."""
        return median(self.seconds) / self.block


@contextmanager
def switches_as_torch_has_them() -> Iterator[None]:
    """For a plain reference: torch's global switches as they are where nobody has touched them, whoever has."""
    cuda, cudnn, threads = torch.backends.cuda.matmul, torch.backends.cudnn, torch.get_num_threads()
    matmul, tf32, benchmark = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    reduced = cuda.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(_ALL_CORES)
    cudnn.allow_tf32, cudnn.benchmark, cuda.allow_bf16_reduced_precision_reduction = True, False, True
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)
        cudnn.allow_tf32, cudnn.benchmark, cuda.allow_bf16_reduced_precision_reduction = tf32, benchmark, reduced


def in_child(function: Callable[..., Result], *arguments: Any) -> Result:
    """What ``function`` returns in a new process, which starts with no memory of this one and leaves none here."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def resident_megabytes() -> float:
    """Megabytes that this process holds now, libraries included; 0 where the system does not tell."""
    return _status("VmRSS:")


def peak_megabytes(device: torch.device) -> float:
    """The most megabytes so far: of tensors on a GPU, of this whole process on a CPU; 0 where the system does not tell.

    On a CPU ask in a new process (`in_child`), and take `resident_megabytes` from before the work off it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _status("VmHWM:")


def _status(key: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


def options(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark: ``--device`` and ``--out``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument("--out", type=Path, help="where to write the numbers as JSON")
    return parser


def set_option(parser: argparse.ArgumentParser) -> None:
    """Let ``--set KEY=VALUE`` change the recipe, as ``daf run`` does; they come as ``overrides``."""
    shown = "a key of the recipe, as of daf run"
    parser.add_argument("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help=shown)


def read_size(text: str) -> tuple[int, int]:
    """``64x96`` -> (64, 96)."""
    height, width = text.split("x")
    return int(height), int(width)


def chosen_device(name: str) -> torch.device:
    """The device that ``--device`` means."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch sees no GPU here; use --device cpu")
    return torch.device(name)


def run(main: Callable[[], None]) -> None:
    """Call ``main``; what the user can mend, such as an option in ``--set``, is a line and no traceback."""
    try:
        main()
    except DafError as error:
        raise SystemExit(f"error: {error}") from error


def write(found: Mapping[str, Any], device: torch.device, out: Path | None) -> None:
    """Write what was ``found``, and where, to ``out`` if that was asked for."""
    if out is not None:
        text = json.dumps({**found, "environment": describe(device)}, indent=2)
        out.write_text(text + "\n", encoding="utf-8")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns under their ``header``: the first to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = [
            f"{cell:<{width}}" if not column else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), flush=True)
