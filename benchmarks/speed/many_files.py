"""A cached set of very many files: how soon its loader starts, and what its processes hold over an epoch.

``python benchmarks/speed/many_files.py [files]`` makes 100,000 tiny images and labels, a minute's work.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console

from daf_driving.image_folder import ImageFolder
from daframework.cli.display import Display
from daframework.compute.session import Session
from daframework.data.cache.open import open_cached
from daframework.data.decode import write_image, write_label
from daframework.data.stream import TrainingStream, training_batches

SIDE, BATCH = 8, 100


def make(root: Path, files: int) -> None:
    """``files`` pairs, all alike: it is their number that counts."""
    write_image(root / "images" / "0.png", torch.zeros(3, SIDE, SIDE, dtype=torch.uint8))
    write_label(root / "labels" / "0.png", torch.zeros(SIDE, SIDE, dtype=torch.uint8))
    for kind in ("images", "labels"):
        content = (root / kind / "0.png").read_bytes()
        for index in range(1, files):
            (root / kind / f"{index}.png").write_bytes(content)


def private_megabytes(process: int) -> float:
    """What a process holds of its own: neither files that are mapped nor what it shares with its parent."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean"))) / 1024


def children() -> list[int]:
    """The processes that this one has started and that still run."""
    here = os.getpid()
    return [int(one) for one in Path(f"/proc/{here}/task/{here}/children").read_text(encoding="ascii").split()]


def main() -> None:
    """Print the seconds until the first batch, without the cache and with it, and the memory of the processes."""
    files = int(sys.argv[1]) if len(sys.argv) == 2 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAF_CACHE"] = str(Path(folder) / "cache")
        make(Path(folder) / "set", files)
        session = Session(Fabric(accelerator="cpu", devices=1), Display(Console(stderr=True)), lambda: False)
        for what in ("building", "opening"):
            start = time.perf_counter()
            ids = {"0": "all"}
            dataset = ImageFolder(split="train", root=str(Path(folder) / "set"), classes=["all"], ids=ids)
            listed = time.perf_counter() - start
            cached = open_cached(session, dataset, name="files", resize=None, workers=2, labels=True)
            assert cached is not None, "files have a fingerprint"
            opened = time.perf_counter() - start
            stream = TrainingStream(cached, (SIDE, SIDE), flip=True, seed=0, name="source")
            batches = training_batches(
                stream,
                batch_size=BATCH,
                steps=range(2 * files // BATCH),
                rank=0,
                ranks=1,
                workers=2,
                device=torch.device("cpu"),
            )
            next(batches)
            first = time.perf_counter() - start
            print(f"{what} {files:,} files: listed {listed:.1f} s, opened {opened:.1f} s, first batch {first:.1f} s")
        workers = children()
        for tenth in range(11):
            megabytes = ", ".join(f"{private_megabytes(worker):.1f}" for worker in workers)
            print(f"epoch {tenth / 10:.1f}: the loading processes hold {megabytes} MB of their own")
            for _ in range(files // BATCH // 10 if tenth < 10 else 0):
                next(batches)


if __name__ == "__main__":
    main()
