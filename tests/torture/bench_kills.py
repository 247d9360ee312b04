"""Kill ``daf bench`` at random moments until it is done: ``python tests/torture/bench_kills.py``.

The suite goes on with the same command. Its table must be that of a bench that nobody disturbed, cell by cell, with no
process left behind.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kills import differing, end

SETTINGS = ("translation.steps=40", "downstream.steps=30", "hardware.precision=32-true", "bootstrap=200")
_COSTS = ("minutes", "images_per_second", "seconds", "environment")
"""What a table tells of time and place, which may be another each time."""
_BOUND = 60  # seconds in which the runs of a bench that was killed must have ended


def start(suite: str, out: Path, options: list[str]) -> "subprocess.Popen[bytes]":
    """Give the command that a user would, and give again."""
    command = [sys.executable, "-m", "daframework", "bench", suite, "--out", str(out), *options]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def descendants(process: int) -> Iterator[int]:
    """The processes that ``process`` has started, and those that they have."""
    with suppress(OSError):  # it has just ended
        for child in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split():
            yield int(child)
            yield from descendants(int(child))


def kill(process: "subprocess.Popen[bytes]", *, runs_too: bool) -> bool:
    """Kill the bench's group, and each of its runs at the same moment or not; whether all of them have ended then."""
    started = list(descendants(process.pid))
    for victim in started if runs_too else []:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + _BOUND
    while any(Path(f"/proc/{one}").exists() for one in started):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def cells(out: Path) -> dict[str, Any]:
    """Every value of the table by its path, but what things cost."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(value, dict | list):
            yield path, value
            return
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in _COSTS:
                yield from walk(inner, f"{path}/{key}")

    tables = json.loads((out / "table.json").read_text(encoding="utf-8"))["tables"]
    return dict(walk({f"{table['task']}/{row['method']}": row for table in tables for row in table["rows"]}, ""))


def torture(suite: str, folder: Path, options: list[str], kills: int, seed: int) -> list[str]:
    """What went wrong over ``kills`` kills; nothing, if all is well."""
    draw = random.Random(seed)
    began = time.monotonic()
    if start(suite, folder / "whole", options).wait() != 0:
        return [f"the undisturbed bench failed: {(folder / 'whole.log').read_text(encoding='utf-8')[-2000:]}"]
    length = time.monotonic() - began
    print(f"undisturbed: {length:.0f} s", flush=True)
    problems = []
    for number in range(kills):
        process = start(suite, folder / "killed", options)
        with suppress(subprocess.TimeoutExpired):
            # So that the kills are spread over the whole of it, and there is something left for the last one.
            process.wait(draw.uniform(0, 2 * length / (kills + 1)))
        if not kill(process, runs_too=draw.random() < 0.5):
            problems.append(f"kill {number}: a run outlived the bench")
        print(f"{number + 1} kills, {len(problems)} problems", flush=True)
    if start(suite, folder / "killed", options).wait() != 0:
        return [*problems, f"the bench failed: {(folder / 'killed.log').read_text(encoding='utf-8')[-2000:]}"]
    wanted, got = cells(folder / "whole"), cells(folder / "killed")
    problems += [f"{name}: {got.get(name)} instead of {wanted.get(name)}" for name in differing(wanted, got)]
    print(f"{len(wanted)} cells of the table compared", flush=True)
    return problems


def main() -> None:
    """Torture, and say what went wrong."""
    parser = argparse.ArgumentParser(description="Kill daf bench at random moments.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suite", default="streets")
    parser.add_argument("--seeds", default="0,1", help="the suite's")
    parser.add_argument(
        "--set", dest="settings", action="append", help="a key of the suite; small budgets unless given"
    )
    asked = parser.parse_args()
    options = ["--seeds", asked.seeds]
    options += [part for one in asked.settings or SETTINGS for part in ("--set", one)]
    with tempfile.TemporaryDirectory() as folder:
        problems = torture(asked.suite, Path(folder), options, asked.kills, asked.seed)
    end(problems, f"{asked.kills} kills", "the same table")


if __name__ == "__main__":
    main()
