"""Kill ``daf run`` at random moments until it is done, again and again: ``python tests/torture/kills.py``.

A moment is a line of the run's log and up to a second more, so that a slow host is no other than a fast one. Every
run goes on with the same command. Its weights, scores and results must be those of a run that nobody disturbed, to
the last bit, with no process and no half-written file left behind.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import torch

SETTINGS = {
    "source.train_images": 12,
    "target.train_images": 12,
    "target.test_images": 6,
    "translation.steps": 24,
    "downstream.steps": 16,
    "log.every": 1,
    "log.checkpoint_every": 4,
    "hardware.workers": 1,
    "hardware.precision": "32-true",
}


def command(recipe: str, out: Path, settings: Mapping[str, object] = SETTINGS) -> list[str]:
    """The command that a user would give, and give again."""
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "daframework", "run", recipe, "--out", str(out), *options]


def start(recipe: str, out: Path) -> subprocess.Popen[bytes]:
    """Start it as a process group of its own."""
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(command(recipe, out), stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """End the whole group at once, as a terminal does, or only the run itself, as for want of memory."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()


def lines(out: Path) -> int:
    """How many lines the log of a run has."""
    log = out / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def reaches(process: subprocess.Popen[bytes], out: Path, line: int) -> bool:
    """Wait until the log of the run has so many lines; False where the run ends before."""
    while lines(out) < line:
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


def left_over(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process of the group is still there."""
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def bits(value: object) -> object:
    """What a checkpoint holds, to be compared bit for bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return [(key, bits(inner)) for key, inner in value.items()]
    return [bits(inner) for inner in value] if isinstance(value, list | tuple) else repr(value)


def outcome(folder: Path) -> dict[str, object]:
    """All that a run leaves and that must not depend on when it was killed, by file."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".pt":
            found[name] = bits(torch.load(path, weights_only=True))
        elif name == "results.json":
            results = json.loads(path.read_text(encoding="utf-8"))
            found[name] = {key: value for key, value in results.items() if key not in ("seconds", "environment")}
        elif path.suffix in (".png", ".npy"):
            found[name] = path.read_bytes()
        elif path.is_file() and name not in ("seconds.json", "environment.json", "log.jsonl", ".lock"):
            found[name] = path.read_bytes() if name.endswith((".toml", ".json")) else "left over"
    return found


def differing(wanted: Mapping[str, object], got: Mapping[str, object]) -> list[str]:
    """The names under which two outcomes do not hold the same."""
    return [name for name in sorted(wanted.keys() | got.keys()) if wanted.get(name) != got.get(name)]


def end(problems: Sequence[str], tried: str, well: str) -> NoReturn:
    """Print ``problems``, and after what was ``tried`` that all is ``well``, or FAILED; exit code 1 if it is not."""
    for problem in problems:
        print(problem)
    print(f"{tried}: {'FAILED' if problems else well}")
    sys.exit(bool(problems))


def torture(recipe: str, folder: Path, kills: int, seed: int) -> list[str]:
    """What went wrong over ``kills`` kills; nothing, if all is well."""
    draw = random.Random(seed)
    whole = start(recipe, folder / "whole")
    if whole.wait() != 0:
        return [f"the undisturbed run failed; see {folder / 'whole.log'}"]
    length = lines(folder / "whole")
    wanted = outcome(folder / "whole")
    problems, done, number = [], 0, 0
    while done < kills:
        out = folder / f"run{number}"
        number += 1
        while True:
            # The longer a run has been on, the less is left: a line anywhere in what a whole run writes.
            line = lines(out) + draw.randrange(length)
            process = start(recipe, out)
            try:
                # What has no lines, as scoring, comes after the last line of what has.
                code = process.wait(draw.uniform(0, 1) if done < kills and reaches(process, out, line) else None)
            except subprocess.TimeoutExpired:
                kill(process, group=draw.random() < 0.5)
                done += 1
                continue
            finally:
                if process.poll() is not None and left_over(process):
                    problems.append(f"{out.name}: a process outlived the run")
                    kill(process, group=True)
            break
        if code != 0:
            problems.append(f"{out.name}: exit code {code}; see {folder / f'{out.name}.log'}")
            break
        names = differing(wanted, outcome(out))
        problems += [f"{out.name}: {name} differs from the undisturbed run's" for name in names]
        print(f"{done} kills, {number} runs, {len(problems)} problems", flush=True)
    return problems


def main() -> None:
    """Torture, and say what went wrong."""
    parser = argparse.ArgumentParser(description="Kill daf run at random moments.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", default="semantic_cyclegan")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = torture(asked.recipe, Path(folder), asked.kills, asked.seed)
    end(problems, f"{asked.kills} kills", "all as if nobody had disturbed them")


if __name__ == "__main__":
    main()
