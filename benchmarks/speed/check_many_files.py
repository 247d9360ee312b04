"""How ``daf data check`` bears many files: ``python benchmarks/speed/check_many_files.py [files] [workers]``.

100,000 files of a few pixels (hard links of 64 different ones, and as many labels): the time to the first line and to
the second, which tells how many files were found; peak memory of the command, and of it with all its processes; and the
time a dataset takes to open. Made as they are, nearly all images are there twice, and each is a line.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = 64
SIZE = (32, 48)  # height, width in pixels
CHECK = [sys.executable, "-c", "from daframework.cli import main; main()", "data", "check", "image_folder"]
CLASSES = ["road", "sky"]
OPTIONS = ["--set", 'classes=["road", "sky"]', "--set", 'ids={"0" = "road", "1" = "sky"}']


def make(folder: Path, files: int) -> None:
    """``files`` pairs of an image and its label, 1,000 to a sub-folder."""
    random = np.random.default_rng(0)
    for kind in ("images", "labels"):
        for first in range(0, files, 1000):
            (folder / kind / f"{first // 1000:04d}").mkdir(parents=True)
    for index in range(min(KINDS, files)):
        for kind, high, shape in (("images", 256, (*SIZE, 3)), ("labels", 2, SIZE)):
            pixels = random.integers(0, high, shape).astype(np.uint8)
            Image.fromarray(pixels).save(_file(folder, kind, index))
    for index in range(KINDS, files):
        for kind in ("images", "labels"):
            _file(folder, kind, index).hardlink_to(_file(folder, kind, index % KINDS))


def _file(folder: Path, kind: str, index: int) -> Path:
    return folder / kind / f"{index // 1000:04d}" / f"{index:06d}.png"


def check(folder: Path, workers: int) -> None:
    """Run the command on ``folder`` and print what it took."""
    start = time.perf_counter()
    command = [*CHECK, str(folder), *OPTIONS, "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
    peak = [0.0, 0.0, 0.0]
    threading.Thread(target=_watch, args=(process.pid, peak), daemon=True).start()
    assert process.stdout is not None
    said, lines, last = [], 0, ""
    for line in process.stdout:
        if len(said) < 2:
            said.append(time.perf_counter() - start)
        lines, last = lines + 1, line.strip() or last
    process.wait()
    print(f"first line after {said[0]:.1f} s, second after {said[1]:.1f} s, {lines:,} lines in all")
    print(
        f"peak memory: {peak[0]:.0f} MB the command, {peak[1]:.0f} MB of it its own; {peak[2]:.0f} MB with {workers} "
        f"processes; importing torch alone takes {_torch_alone():.0f} MB"
    )
    print(f"whole check: {time.perf_counter() - start:.1f} s; {last}")


def _watch(process: int, peak: list[float]) -> None:
    """Peaks in MB: of the command, of what is its own (not pages of libraries), and of it with all it started.

    What several processes share counts once in the last.
    """
    while Path(f"/proc/{process}").exists():
        try:
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        except OSError:
            children = []
        peak[0] = max(peak[0], _megabytes(process, "status", "VmRSS:"))
        peak[1] = max(peak[1], _megabytes(process, "status", "RssAnon:"))
        peak[2] = max(peak[2], sum(_megabytes(one, "smaps_rollup", "Pss:") for one in (process, *map(int, children))))
        time.sleep(0.1)


def _megabytes(process: int, file: str, key: str) -> float:
    try:
        lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


def _torch_alone() -> float:
    script = "import torch; print(next(line for line in open('/proc/self/status') if line.startswith('VmRSS:')))"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[1]) / 1024


def open_time(folder: Path) -> None:
    """Print the seconds that a dataset takes to list its files, and to give its first image with its label."""
    from daf_driving.image_folder import ImageFolder

    start = time.perf_counter()
    dataset = ImageFolder(root=str(folder), split="train", classes=CLASSES, ids={"0": "road", "1": "sky"})
    listed = time.perf_counter() - start
    dataset[0]
    first = time.perf_counter() - start
    print(f"dataset of {len(dataset):,}: listed in {listed:.2f} s, first pair after {first:.2f} s")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    files = arguments[0] if arguments else 100_000
    workers = arguments[1] if len(arguments) > 1 else min(8, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), files)
        check(Path(name), workers)
        open_time(Path(name))
