"""Watch a long ``daf run`` from outside: ``python tests/torture/long_run.py --steps 20000``.

After its first thousand steps a stage must take no more memory, hold no more files open, and write as much log per step
as before. Needs Linux, which says these things in /proc.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs
from kills import command, end

RECIPE = "semantic_cyclegan"
SETTINGS = {
    "source.train_images": 12,
    "target.train_images": 12,
    "target.test_images": 6,
    "source.size": [32, 48],
    "target.size": [32, 48],
    "data.crop_size": [16, 16],
    "data.batch_size": 1,
    "generator.channels": 4,
    "generator.blocks": 1,
    "discriminator.channels": 4,
    "discriminator.decoder_channels": 4,
    "downstream.batch_size": 1,
    "downstream.oracle": "false",
    "task.arch_options.encoder_depth": 3,
    "log.every": 20,
    "log.checkpoint_every": 250,
    "log.samples_every": 500,
    "hardware.accelerator": "'cpu'",
    "hardware.compile": "'never'",
    "hardware.workers": 1,
}
SETTLED = 1_000
"""Steps after which nothing may grow."""
GROWTH = 1.02
"""What "no more" allows for memory."""
DIGITS = 1.05
"""The same for the log, whose numbers have a digit more or less."""
UNDER_WAY = 8
"""Descriptors that come and go: each batch on its way from a worker holds one at both ends."""
PAUSE = 0.2
"""Seconds between two looks."""


@attrs.define
class Window:
    """What was seen while a stage did some of its steps. Memory in bytes; descriptors are those always open."""

    stage: str
    step: int
    memory: int = 0
    workers: int = 0
    descriptors: int = sys.maxsize
    log: int = 0


def watch(process: subprocess.Popen[bytes], log: Path, steps: int, every: int) -> list[Window]:
    """A window for every ``every`` steps of each stage, until the process ends."""
    windows: list[Window] = []
    print(
        f"{'stage':28} {'from step':>9} {'MB':>7} {'workers MB':>10} {'files open':>10} {'log B/step':>10}", flush=True
    )
    while process.poll() is None:
        stage, step, size = told(log)
        if stage and step < length(stage, steps):
            begin = step // every * every
            if not windows or (windows[-1].stage, windows[-1].step) != (stage, begin):
                if windows:
                    print(row(windows, every), flush=True)
                windows.append(Window(stage, begin))
            look(process.pid, windows[-1])
            windows[-1].log = size
        time.sleep(PAUSE)
    return windows


def length(stage: str, steps: int) -> int:
    """How many steps a stage has where the translation has ``steps``."""
    return steps if stage == "translation" else steps // 4


def told(log: Path) -> tuple[str, int, int]:
    """The stage and step of the log's last whole line, and the log's size; no stage where there is none."""
    if not log.exists():
        return "", 0, 0
    content = log.read_bytes()
    lines = content.splitlines(keepends=True)
    whole = [line for line in lines[-2:] if line.endswith(b"\n")]
    if not whole:
        return "", 0, 0
    last = json.loads(whole[-1])
    return last["stage"], last["step"], len(content)


def look(pid: int, window: Window) -> None:
    """Add what the process and those it started take now; one that has just ended takes nothing."""
    try:
        window.memory = max(window.memory, resident(pid))
        children = descendants(pid)
        window.workers = max(window.workers, sum(map(resident, children)))
        window.descriptors = min(window.descriptors, sum(map(descriptors, (pid, *children))))
    except (FileNotFoundError, ProcessLookupError):
        pass


def resident(pid: int) -> int:
    """Bytes of a process that are in memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descendants(pid: int) -> list[int]:
    """The processes that it started, and those that they did."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text(encoding="utf-8").split():
            found += [int(child), *descendants(int(child))]
    return found


def descriptors(pid: int) -> int:
    """Files, pipes and sockets that it has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def row(windows: list[Window], every: int) -> str:
    """The last of the windows as a line."""
    last, rate = windows[-1], log_rate(windows, len(windows) - 1, every)
    wrote = "" if rate is None else f"{rate:.1f}"
    return (
        f"{last.stage:28} {last.step:9,} {last.memory / 1e6:7.1f} {last.workers / 1e6:10.1f} "
        f"{last.descriptors:10} {wrote:>10}"
    )


def log_rate(windows: list[Window], place: int, every: int) -> float | None:
    """Bytes of log a step in a window that follows on another of its stage."""
    if place == 0 or windows[place - 1].stage != windows[place].stage:
        return None
    return (windows[place].log - windows[place - 1].log) / every


def problems(windows: list[Window], every: int) -> list[str]:
    """What grew after a stage had settled: each of its windows is held against the first after `SETTLED` steps."""
    found = []
    for stage in dict.fromkeys(window.stage for window in windows):
        places = [place for place, one in enumerate(windows) if one.stage == stage and one.step >= SETTLED]
        if len(places) < 2:
            continue
        first, *later = places
        before = windows[first]
        for what, allowed in (
            ("memory", before.memory * GROWTH),
            ("workers", before.workers * GROWTH),
            ("descriptors", before.descriptors + UNDER_WAY),
        ):
            most = max(getattr(windows[place], what) for place in later)
            if most > allowed:
                found.append(f"{stage}: {what} {getattr(before, what):,} after {before.step:,} steps, later {most:,}")
        rates = [rate for place in (first, *later) if (rate := log_rate(windows, place, every)) is not None]
        if rates and max(rates) > DIGITS * rates[0]:
            found.append(f"{stage}: {rates[0]:.1f} bytes of log a step, later {max(rates):.1f}")
    return found


def main() -> None:
    """Run, watch, and say what grew."""
    parser = argparse.ArgumentParser(description="Watch memory, open files and log of a long run.")
    parser.add_argument("--steps", type=int, default=20_000, help="of the translation; the task model takes a quarter")
    asked = parser.parse_args()
    settings = SETTINGS | {"translation.steps": asked.steps, "downstream.steps": length("task", asked.steps)}
    every = max(SETTLED // 2, asked.steps // 20)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        with (Path(folder) / "output.log").open("wb") as output:
            process = subprocess.Popen(command(RECIPE, out, settings), stdout=output, stderr=output)
            windows = watch(process, out / "log.jsonl", asked.steps, every)
        if process.returncode != 0:
            said = (Path(folder) / "output.log").read_text(encoding="utf-8").splitlines()[-5:]
            sys.exit("\n".join([f"the run failed with exit code {process.returncode}", *said]))
    end(problems(windows, every), f"{asked.steps:,} steps", "nothing grows")


if __name__ == "__main__":
    main()
