"""One step of training against a plain CycleGAN loop: ``python benchmarks/speed/step.py``.

The real training loop and `reference.py` take turns in one process: blocks of steps, medians of their times. Then
each once more in a process of its own for its peak memory, a bare loop with the same networks and switches for what
the framework costs, and the step's multiplications and additions against the machine's own rate for a large matrix.

On a GPU the sizes are CycleGAN's: resnet_9blocks x 64 at 256 px, batch 1 and larger; on a CPU also those of the
recipe that a newcomer runs first.
"""

import argparse
import random
import sys
from typing import Any

import torch
from attrs import evolve
from lightning_fabric import Fabric
from loops import PAPER, RECIPE, WARM_UP, bare_steps, plain_steps, recipe, run_ours, take
from timing import (
    BlockClock,
    chosen_device,
    in_child,
    median,
    options,
    peak_megabytes,
    print_table,
    resident_megabytes,
    seconds_of,
    switches_as_torch_has_them,
    write,
)
from torch.utils.flop_counter import FlopCounterMode

from daframework.compute.device import MIXED
from daframework.recipes.tables import Recipe
from daframework.registry import load_plugins
from daframework.runs.precision import open_device


def peak_of_ours(made: Recipe) -> float:
    """Megabytes that training takes at most, in a process of its own."""
    device = chosen_device(made.hardware.accelerator)
    before = _before(device)
    run_ours(made, BlockClock(device, first=1, block=1), 2)
    return peak_megabytes(device) - before


def peak_of_plain(sizes: dict[str, Any], batch: int, device: str) -> float:
    """The same for the reference."""
    before = _before(torch.device(device))
    take(plain_steps(sizes, batch, torch.device(device)), 3)
    return peak_megabytes(torch.device(device)) - before


def _before(device: torch.device) -> float:
    """What the process holds before the work; libraries that load late are loaded first."""
    torch.nn.functional.conv2d(torch.zeros(1, 8, 8, 8, device=device), torch.zeros(8, 8, 3, 3, device=device))
    return 0.0 if device.type == "cuda" else resident_megabytes()


def operations(made: Recipe) -> float:
    """Multiplications and additions of a step, counted on the CPU in single precision at batch 1, times the batch."""
    one = evolve(made, data=evolve(made.data, batch_size=1))
    steps = bare_steps(one, Fabric(accelerator="cpu", devices=1))
    with FlopCounterMode(display=False) as counter:
        next(steps)
    return float(counter.get_total_flops()) * made.data.batch_size


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Multiplications and additions a second of a large product of two matrices: the machine's own rate."""
    side = 8192 if device.type == "cuda" else 2048
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    spent = [seconds_of(lambda: first @ second, device) for _ in range(8)]
    return 2 * side**3 / median(spent[2:])


def compare(sizes: dict[str, Any], made: Recipe, block: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Our loop and the reference in turn, at the recipe's batch and at batch 1; seconds a step."""
    batch = made.data.batch_size
    with switches_as_torch_has_them():
        plain = {size: plain_steps(sizes, size, device) for size in sorted({1, batch})}
        for steps in plain.values():
            take(steps, 1)
    spent: dict[int, list[float]] = {size: [] for size in plain}

    def between() -> None:
        with switches_as_torch_has_them():
            for size, steps in plain.items():
                spent[size].append(seconds_of(lambda steps=steps: take(steps, block), device) / block)

    clock = BlockClock(device, first=WARM_UP, block=block, between=between)
    precision = run_ours(made, clock, rounds)
    ours = clock.step_seconds
    return {
        "method": made.name,
        "size": sizes["size"],
        "batch": batch,
        "precision": precision,
        "seconds": ours,
        "seconds_of_first_steps": clock.first_seconds,
        "reference_seconds": {str(size): median(found) for size, found in spent.items()},
        "times_reference_same_batch": median(spent[batch]) / ours,
        "times_reference_batch_1": batch * median(spent[1]) / ours,
    }


def overhead(made: Recipe, block: int, rounds: int, device: torch.device) -> float:
    """How much longer a step of our loop takes than of a bare one, as a share; blocks in turn."""
    bare = bare_steps(made, open_device(load_plugins(), made)[0])
    spent: list[float] = []
    clock = BlockClock(
        device, first=WARM_UP, block=block, between=lambda: spent.append(seconds_of(lambda: take(bare, block), device))
    )
    run_ours(made, clock, rounds)
    # The best block of each: another process can only make a block longer, and a first one chooses its kernels.
    return min(clock.seconds) / min(spent) - 1


def main() -> None:
    """Measure, write JSON if asked, print the tables."""
    parser = options("A step of training against a plain CycleGAN loop.")
    parser.add_argument("--sizes", choices=("recipe", "paper", "all"), default="all", help="which networks")
    parser.add_argument("--batches", type=int, nargs="+", help="batch sizes with the paper's networks; on a GPU 1 4 8")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of steps that the medians are of")
    parser.add_argument(
        "--block", type=int, help="steps in a block; 20 on a GPU, on a CPU 10 small ones or 1 large one"
    )
    parser.add_argument("--compile", default="auto", choices=("auto", "always", "never"))
    parser.add_argument("--channels-last", default="auto", choices=("auto", "always", "never"))
    parser.add_argument("--precision", default="auto", choices=("auto", "32-true", "bf16-mixed"))
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure peak memory too")
    asked = parser.parse_args()
    device = chosen_device(asked.device)
    random.seed(0)
    gpu = device.type == "cuda"
    hardware = {"compile": asked.compile, "channels_last": asked.channels_last, "precision": asked.precision}
    found: list[dict[str, Any]] = []
    for name, sizes in (("recipe", RECIPE), ("paper", PAPER)):
        if asked.sizes not in (name, "all"):
            continue
        small = name == "recipe"
        block = asked.block or (20 if gpu else 10 if small else 1)
        for batch in [4] if small else asked.batches or ([1, 4, 8] if gpu else [1]):
            for method in ("cyclegan", "semantic_cyclegan"):
                made = recipe(sizes, method, batch, device.type, hardware)
                entry = {"networks": name} | compare(sizes, made, block, asked.rounds, device)
                entry["operations"] = operations(made)
                if method == "cyclegan":
                    entry["overhead"] = overhead(made, block, asked.rounds, device)
                if method == "cyclegan" and asked.memory:
                    entry["peak_megabytes"] = in_child(peak_of_ours, made)
                    entry["reference_peak_megabytes"] = in_child(peak_of_plain, sizes, batch, device.type)
                found.append(entry)
                print(f"measured {name} networks, {method}, batch {batch}", file=sys.stderr, flush=True)
    # No other: where a CPU has no bf16, a product in it takes minutes.
    kinds = {entry["precision"]: "bfloat16" if entry["precision"] == MIXED else "float32" for entry in found}
    rates = {kind: matrix_rate(device, getattr(torch, kind)) for kind in sorted(set(kinds.values()))}
    for entry in found:
        entry["share_of_matrix_rate"] = entry["operations"] / entry["seconds"] / rates[kinds[entry["precision"]]]
    write({"steps": found, "matrix_operations_per_second": rates}, device, asked.out)
    print_table(
        [
            "networks, method, batch, precision",
            "ms/step",
            "images/s",
            "x ref",
            "x ref b1",
            "of rate",
            "MB",
            "ref MB",
            "loop",
        ],
        [_row(entry) for entry in found],
    )
    print("x ref: images/s against the plain loop at the same batch; x ref b1: against it at batch 1")
    print("of rate: operations against the rate of a large matrix product; loop: time over a bare loop's")
    _print_semantic(found)


def _row(entry: dict[str, Any]) -> list[str]:
    memory = [entry.get("peak_megabytes"), entry.get("reference_peak_megabytes")]
    return [
        f"{entry['networks']}, {entry['method']}, {entry['batch']}, {entry['precision']}",
        f"{entry['seconds'] * 1000:.1f}",
        f"{entry['batch'] / entry['seconds']:.2f}",
        f"{entry['times_reference_same_batch']:.2f}",
        f"{entry['times_reference_batch_1']:.2f}",
        f"{entry['share_of_matrix_rate']:.1%}",
        *("-" if one is None else f"{one:.0f}" for one in memory),
        f"{entry['overhead']:+.1%}" if "overhead" in entry else "-",
    ]


def _print_semantic(found: list[dict[str, Any]]) -> None:
    """What the semantic heads add to a step, for each pair of entries."""
    for one in found:
        for other in found:
            same = all(one[key] == other[key] for key in ("networks", "batch"))
            if same and (one["method"], other["method"]) == ("cyclegan", "semantic_cyclegan"):
                ratio = other["seconds"] / one["seconds"]
                print(
                    f"semantic_cyclegan / cyclegan, {one['networks']}, batch {one['batch']}: {ratio:.2f} x", flush=True
                )


if __name__ == "__main__":
    main()
