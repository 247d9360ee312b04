"""What a run costs beside other work: ``python benchmarks/speed/busy.py --other /path/to/another/bin/python``.

`daf run` of a recipe as whole processes, quiet and beside processes that keep a core busy each. With ``--other`` the
Python of another environment, in which another commit of daframework is installed, runs the same recipe, in turn with
this one, so that what slows the machine slows both. Wall seconds, CPU seconds of the run and of all that it starts, and
the wall seconds of each stage as its results.json tells them. Nothing of it computes on a GPU.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from timing import median, options, print_table, run, set_option, write

SPIN = "while True: pass"
Runs = dict[str, dict[str, list[dict[str, Any]]]]
"""By number of busy processes and by Python, what `measure_run` found of each run."""


@contextmanager
def busy(processes: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that each keep a core busy."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield spinning
    finally:
        for one in spinning:
            one.kill()
            one.wait()


def measure_run(python: str, recipe: str, settings: Sequence[str]) -> dict[str, Any]:
    """``wall`` and ``cpu`` seconds of one run, and the seconds of its ``stages``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        changes = [part for setting in ("hardware.accelerator=cpu", *settings) for part in ("--set", setting)]
        command = [python, "-m", "daframework", "run", recipe, "--out", str(out), *changes]
        with (Path(folder) / "said").open("w+") as said:
            start = perf_counter()
            process = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
            _, status, used = os.wait4(process.pid, 0)
            wall = perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}: {said.read().strip()}")
        stages = json.loads((out / "results.json").read_text(encoding="utf-8"))["seconds"]
        return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "stages": stages}


def measure(pythons: dict[str, str], recipe: str, settings: Sequence[str], loads: Sequence[int], rounds: int) -> Runs:
    """Every run of each of ``pythons`` beside each number of busy processes, in turn."""
    found: Runs = {str(load): {name: [] for name in pythons} for load in loads}
    for load in loads:
        for number in range(rounds):
            # Their order turns about, so that none always comes after the same other.
            for name in list(pythons) if number % 2 == 0 else reversed(pythons):
                with busy(load):
                    found[str(load)][name].append(measure_run(pythons[name], recipe, settings))
    return found


def print_found(found: Runs, rounds: int) -> None:
    """A line for each number of busy processes and each Python: medians, and how this one stands to the other."""
    rows = []
    for load, runs in found.items():
        middle = {
            name: {key: median([one[key] for one in ran]) for key in ("wall", "cpu")} for name, ran in runs.items()
        }
        for name, ran in runs.items():
            stages = {stage: median([one["stages"].get(stage, 0.0) for one in ran]) for stage in ran[0]["stages"]}
            longest = sorted(stages.items(), key=lambda stage: -stage[1])[:3]
            against = [
                f"{middle[name][key] / middle['other'][key]:.2f} x" if name == "this" and "other" in middle else ""
                for key in ("wall", "cpu")
            ]
            told = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in longest)
            rows.append((load, name, f"{middle[name]['wall']:.1f}", f"{middle[name]['cpu']:.1f}", *against, told))
    print(f"\nmedians of {rounds} runs, in turn")
    print_table(("busy", "python", "wall s", "CPU s", "wall to other", "CPU to other", "longest stages, wall s"), rows)


def main() -> None:
    """Measure, write JSON if asked, print the table."""
    parser = options("What a run costs beside other work.")
    parser.add_argument("--recipe", default="semantic_cyclegan", help="name of a shipped recipe, or a file")
    parser.add_argument("--other", help="the Python of another environment, to be compared with this one")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="processes that run beside")
    parser.add_argument("--rounds", type=int, default=3, help="how often each run is made")
    set_option(parser)
    asked = parser.parse_args()
    recipe = str(Path(asked.recipe).resolve()) if Path(asked.recipe).exists() else asked.recipe
    pythons = {"this": sys.executable} | ({"other": asked.other} if asked.other else {})
    found = measure(pythons, recipe, asked.overrides, asked.busy, asked.rounds)
    write({"rounds": asked.rounds, "recipe": asked.recipe, "busy": found}, torch.device("cpu"), asked.out)
    print_found(found, asked.rounds)


if __name__ == "__main__":
    run(main)
