"""Take the disk away from ``daf run`` at random moments, again and again: ``python tests/torture/disk.py``.

The run lies on a small file system of its own, which gets full, or read-only, or a second process wants its folder.
There must be one line of error that names file and reason; with the disk back, the same command goes on, and leaves
what an undisturbed run leaves, to the last bit. Mounting needs Linux and root; without, a line says so.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from kills import SETTINGS as OF_KILLS
from kills import command, differing, end, outcome

SETTINGS = OF_KILLS | {"data.cache": "true", "log.samples_every": 8}
SIZE_MB = 512
ROOM = (0, 4_096, 30_000, 200_000, 60_000_000)
"""Bytes that a full disk still takes: enough for some files and not for others."""
REASONS = {
    "full": ("No space left on device", "are free"),
    "read-only": ("Read-only file system",),
    "second process": ("is in use by process",),
}
PATIENCE = 300
"""Seconds after which a run that does not end has hung."""


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system in ``folder``."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def full(mount: Path, draw: random.Random) -> Iterator[None]:
    """No room inside, or hardly any."""
    room, filler = draw.choice(ROOM), mount / "filler"
    try:
        with filler.open("wb") as file:
            for _ in range(100):  # the run takes some, and gives some back, meanwhile
                if (free := shutil.disk_usage(mount).free) > room:
                    try:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free - room)
                    except OSError:
                        continue
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(mount: Path, _: random.Random) -> Iterator[None]:
    """Nothing can be opened for writing inside; what is open stays so."""
    subprocess.run(["mount", "--bind", str(mount), str(mount)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(mount)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


FAULTS: dict[str, Callable[[Path, random.Random], AbstractContextManager[None]]] = {
    "full": full,
    "read-only": read_only,
}


class Attempt:
    """The command at work, and what it says."""

    def __init__(self, recipe: str, out: Path, said: Path) -> None:
        """Start it; its errors and warnings go to the file ``said``."""
        self._said = said
        environment = os.environ | {"DAF_CACHE": str(out.parent / "cache")}
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                command(recipe, out, SETTINGS), stdout=subprocess.DEVNULL, stderr=file, env=environment
            )

    def code(self, seconds: float) -> int | None:
        """How it ended; None where it goes on after ``seconds``."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def errors(self) -> list[str]:
        """What it said, but for warnings."""
        lines = self._said.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if not line.startswith("warning: ")]


def disturb(fault: str, attempt: Attempt, again: Callable[[], Attempt], mount: Path, draw: random.Random) -> list[str]:
    """Disturb a run, wait for it, and return what is wrong with how it told."""
    told = [attempt]
    if fault in FAULTS:
        with FAULTS[fault](mount, draw):
            attempt.code(PATIENCE)
    else:
        told.append(again())
        for one in told:
            one.code(PATIENCE)
    problems = []
    for one in told:
        code, errors = one.process.poll(), one.errors()
        clear = len(errors) == 1 and errors[0].startswith("error: ") and str(mount) in errors[0]
        if code is None:
            problems.append(f"{fault}: hangs after {PATIENCE} s; said {errors}")
            one.process.kill()
        elif code != 0 and not (code == 1 and clear and any(reason in errors[0] for reason in REASONS[fault])):
            problems.append(f"{fault}: exit code {code}, said {errors}")
    if fault not in FAULTS and sum(one.process.wait() == 0 for one in told) == 0:
        problems.append(f"{fault}: both ended")
    return problems


def difference(wanted: dict[str, object], out: Path) -> list[str]:
    """What a finished run left otherwise than the undisturbed one, and lines of its log that are not whole."""
    found = [f"{name} differs from the undisturbed run's" for name in differing(wanted, outcome(out))]
    for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            json.loads(line)
        except ValueError:
            found.append(f"log.jsonl has the line {line!r}")
    return found


def torture(recipe: str, folder: Path, mount: Path, faults: int, seed: int) -> list[str]:
    """What went wrong over ``faults`` faults; nothing, if all is well."""
    draw, began = random.Random(seed), time.monotonic()
    whole = Attempt(recipe, mount / "whole", folder / "said")
    if whole.code(PATIENCE) != 0:
        return [f"the undisturbed run failed: {whole.errors()}"]
    length, wanted = time.monotonic() - began, outcome(mount / "whole")
    problems: list[str] = []
    done = number = 0
    while done < faults:
        out = mount / f"run{number}"
        number += 1
        shutil.rmtree(mount / "cache")
        before, began = done, time.monotonic()
        while True:
            attempt = Attempt(recipe, out, folder / "said")
            code = attempt.code(draw.uniform(0, length) if done < faults else PATIENCE)
            if code is not None or done >= faults:
                break
            done += 1
            fault = draw.choice(list(REASONS))
            again = partial(Attempt, recipe, out, folder / "said by the second")
            problems += [f"{out.name}, {problem}" for problem in disturb(fault, attempt, again, mount, draw)]
        if code != 0:
            attempt.process.kill()
            return [*problems, f"{out.name}: exit code {code}, said {attempt.errors()}"]
        if done == before:  # it came too late, on a machine that has less to do than at first
            length = time.monotonic() - began
        problems += [f"{out.name}: {problem}" for problem in difference(wanted, out)]
        shutil.rmtree(out)
        print(f"{done} faults, {number} runs, {len(problems)} problems", flush=True)
    return problems


def main() -> None:
    """Torture, and say what went wrong."""
    parser = argparse.ArgumentParser(description="Take the disk away from daf run at random moments.")
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", default="semantic_cyclegan")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mount = Path(folder) / "mount"
        mount.mkdir()
        if sys.platform != "linux" or os.geteuid() != 0:
            sys.exit("skipped: mounting needs Linux and root")
        with mounted(mount):
            problems = torture(asked.recipe, Path(folder), mount, asked.faults, asked.seed)
    end(problems, f"{asked.faults} faults", "each told in a line, and made good")


if __name__ == "__main__":
    main()
