"""What several processes gain, stage by stage: ``python benchmarks/speed/ranks.py``.

``daf run`` of a recipe with each number of processes of one machine, each a device, and as many images a step in each:
twice the processes train on twice the images, and translate and score half of a set. With perfect scaling a training
stage takes as long as with one, and the others a half. On a CPU every process has as many threads, however many there
are, so that what is measured is what they cost one another.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from timing import chosen_device, options, print_table, run, set_option, write

from daframework.build import make_task
from daframework.errors import RunError
from daframework.networks import make_networks
from daframework.recipes.read import locate, read
from daframework.registry import load_plugins

RECIPE = "semantic_cyclegan"
SHARED_OUT = ("translating", "scoring", "content preservation")
"""Stages in which the processes share a set out; in all others each has images of its own in every step."""


def seconds_of_stages(processes: int, threads: int, overrides: Sequence[str]) -> dict[str, float]:
    """What each stage of a run from nothing takes, by its name in results.json.

    Raises:
        RunError: the run failed.
    """
    settings = [part for one in overrides for part in ("--set", one)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "daframework", "run", RECIPE, "--out", f"{folder}/run", *settings]
        command += ["--devices", str(processes)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RunError(f"the run of {processes} processes failed: {done.stderr.strip()}")
        results = json.loads(Path(folder, "run", "results.json").read_text(encoding="utf-8"))
    return dict(results["seconds"])


def megabytes_a_step(overrides: Sequence[str]) -> dict[str, float]:
    """Gradients that every process hands to the others in a training step, as float32, by stage."""
    plugins = load_plugins()
    recipe = read(locate(plugins, RECIPE), overrides)
    networks = make_networks(plugins, recipe, 11)
    trained = [*networks.generators.values(), *networks.discriminators.values()]
    task = make_task(plugins, recipe, 11).model()
    return {"translation": sum(map(_megabytes, trained)), "training": _megabytes(task)}


def _megabytes(network: torch.nn.Module) -> float:
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad) * 4 / 1e6


def efficiency(stage: str, alone: float, together: float, processes: int) -> float:
    """Work done in a second by each of ``processes``, as a share of what one alone does."""
    return alone / together / (processes if stage in SHARED_OUT else 1)


def main() -> None:
    """Measure, write JSON if asked, print the table."""
    parser = options("What several processes gain, stage by stage.")
    parser.add_argument("--processes", nargs="*", type=int, help="numbers of processes; 1 and 2, on GPUs 1, 2, 4 ...")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process on a CPU")
    set_option(parser)
    asked = parser.parse_args()
    device = chosen_device(asked.device)
    most = torch.cuda.device_count() if device.type == "cuda" else 2
    numbers = asked.processes or [2**power for power in range(most.bit_length())]
    overrides = [f"hardware.accelerator={device.type}", *asked.overrides]
    found: dict[int, dict[str, float]] = {}
    for number in numbers:
        found[number] = seconds_of_stages(number, asked.threads, overrides)
        print(f"{number}: {found[number]}", flush=True)
    gradients = megabytes_a_step(overrides)
    content: dict[str, Any] = {
        "recipe": RECIPE,
        "overrides": overrides,
        "seconds": found,
        "megabytes_a_step": gradients,
    }
    write(content, device, asked.out)
    print(f"\n{RECIPE} on {device.type}; gradients of a step, in MB: {gradients}")
    first = numbers[0]
    rows = [
        (
            stage,
            *(f"{found[number][stage]:.1f}" for number in numbers),
            *(f"{efficiency(stage, alone, found[number][stage], number // first):.0%}" for number in numbers[1:]),
        )
        for stage, alone in found[first].items()
        if all(found[number].get(stage) for number in numbers)
    ]
    header = ("stage", *(f"{number}: s" for number in numbers), *(f"{number}: efficiency" for number in numbers[1:]))
    print_table(header, rows)


if __name__ == "__main__":
    run(main)
