"""Training crops a second, decoded from PNG and out of the cache: ``python benchmarks/speed/load.py``.

Photo-like images of GTA5's size, 1914 x 1052, are made in a temporary folder with labels of 19 classes, and crops of
512 x 256 are loaded with the same number of processes in three ways, one after another: as a plain PyTorch dataset
does it with Pillow, by daframework from the files, and by daframework out of its cache. All three crop image and label
alike, mirror half of them, and hand over floats in [-1, 1] and int64 labels on the CPU.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from daf_driving.image_folder import ImageFolder
from daframework.cli.display import Display
from daframework.compute.environment import describe
from daframework.compute.session import Session
from daframework.data.cache.open import open_cached
from daframework.data.checked import Checked
from daframework.data.decode import write_label
from daframework.data.parallel import in_parallel
from daframework.data.stream import TrainingStream, to_float, training_batches
from daframework.interfaces import ImageDataset

HEIGHT, WIDTH = 1052, 1914
CROP = (256, 512)  # height, width
CLASSES = 19
BATCH = 8
FIRST = 4  # batches before the clock starts, while processes start


def make_pair(root: Path, index: int) -> int:
    """Write an image and its label; the size of the image's file in bytes.

    Smooth shapes of several sizes under the grain of a sensor: what makes a photograph's PNG large.
    """
    random = np.random.default_rng(index)
    layers = [_smooth(random, cells) * weight for cells, weight in ((4, 90), (16, 50), (64, 25), (256, 12))]
    image = np.sum(layers, axis=0) + 128 + random.normal(0, 2, (HEIGHT, WIDTH, 3))
    path = root / "images" / f"{index:05d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    classes = (layers[0][..., 0] + layers[1][..., 0] + 140) / 280 * CLASSES
    write_label(root / "labels" / path.name, torch.from_numpy(classes.clip(0, CLASSES - 1).astype(np.uint8)))
    return path.stat().st_size


def _smooth(random: np.random.Generator, cells: int) -> Any:
    """Noise between -1 and 1 of ``cells`` waves across, (H, W, 3)."""
    coarse = random.uniform(-1, 1, (max(2, cells * HEIGHT // WIDTH), cells, 3)).astype(np.float32)
    planes = [Image.fromarray(coarse[..., i]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for i in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


class Plain(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What one writes for a start: open both files, crop, mirror."""

    def __init__(self, root: Path) -> None:
        """The images in ``root``, by name."""
        self.images = sorted((root / "images").iterdir())
        self.labels = [root / "labels" / path.name for path in self.images]

    def __len__(self) -> int:
        """Without end, as far as a benchmark goes."""
        return 10**9

    def __getitem__(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A crop of an image drawn at random, (3, h, w), and of its label, (h, w), both uint8."""
        random = Random(position)
        index = random.randrange(len(self.images))
        with Image.open(self.images[index]) as file:
            image = np.asarray(file.convert("RGB"))
        with Image.open(self.labels[index]) as file:
            label = np.asarray(file)
        top, left = random.randint(0, image.shape[0] - CROP[0]), random.randint(0, image.shape[1] - CROP[1])
        rows, columns = slice(top, top + CROP[0]), slice(left, left + CROP[1])
        image, label = image[rows, columns], label[rows, columns]
        if random.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(label.copy())


def plain_batches(root: Path, workers: int) -> Iterator[Any]:
    """Batches of the plain dataset, as a training loop takes them."""
    for image, label in DataLoader(Plain(root), batch_size=BATCH, num_workers=workers):
        yield to_float(image), label.long()


def our_batches(dataset: ImageDataset, workers: int) -> Iterator[Any]:
    """Batches as a run takes them."""
    stream = TrainingStream(dataset, CROP, flip=True, seed=0, name="source")
    cpu = torch.device("cpu")
    return training_batches(stream, batch_size=BATCH, steps=range(10**8), rank=0, ranks=1, workers=workers, device=cpu)


def crops_per_second(batches: Iterator[Any], seconds: float) -> float:
    """How many crops come in a second, over ``seconds`` of them, once the first batches are there."""
    for _ in range(FIRST):
        next(batches)
    start, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds:
        next(batches)
        count += BATCH
    return count / spent


def measure(root: Path, images: int, workers: int, seconds: float) -> dict[str, Any]:
    """Make the files in ``root``, and time the three loaders on them."""
    sizes = list(in_parallel(partial(make_pair, root), range(images), workers=workers))
    names = [f"class {index}" for index in range(CLASSES)]
    ids = {str(index): name for index, name in enumerate(names)}
    dataset = ImageFolder(split="train", root=str(root), classes=names, ids=ids)
    found: dict[str, Any] = {"images": images, "workers": workers, "batch_size": BATCH, "crop": CROP}
    found["megabytes_per_png"] = round(sum(sizes) / len(sizes) / 1e6, 2)
    found["crops_per_second"] = rates = {}
    rates["plain PyTorch, PNG"] = crops_per_second(plain_batches(root, workers), seconds)
    rates["daframework, PNG"] = crops_per_second(our_batches(Checked(dataset), workers), seconds)
    session = Session(Fabric(accelerator="cpu", devices=1), Display(Console(stderr=True)), lambda: False)
    start = time.perf_counter()
    cached = open_cached(session, dataset, name="images", resize=None, workers=max(1, workers), labels=True)
    assert cached is not None, "files have a fingerprint"
    found["seconds_to_build"] = round(time.perf_counter() - start, 1)
    found["cache_gigabytes"] = round(sum(one.size for one in cached.stored) / 1e9, 2)
    rates["daframework, cache"] = crops_per_second(our_batches(cached, workers), seconds)
    return found


def main() -> None:
    """Measure, write JSON if asked, print the table."""
    parser = argparse.ArgumentParser(description="Training crops a second, decoded from PNG and out of the cache.")
    parser.add_argument("--images", type=int, default=200, help="how many to make; 12 MB of disk each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that load")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each loader is timed")
    parser.add_argument("--out", type=Path, help="where to write the numbers as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # what the loaders leave over, in a program that does nothing else
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAF_CACHE"] = str(Path(folder) / "cache")
        found = measure(Path(folder) / "set", asked.images, asked.workers, asked.seconds)
    found["environment"] = describe(torch.device("cpu"))
    if asked.out is not None:
        asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    rates = found["crops_per_second"]
    print(
        f"{asked.images} images of {WIDTH} x {HEIGHT}, {found['megabytes_per_png']} MB as PNG; crops of "
        f"{CROP[1]} x {CROP[0]} with labels, batches of {BATCH}, {asked.workers} processes; the cache took "
        f"{found['seconds_to_build']} s and {found['cache_gigabytes']} GB"
    )
    slowest = rates["daframework, PNG"]
    for name, rate in rates.items():
        print(f"{name:20s} {rate:8.1f} crops/s {rate / slowest:6.1f} x")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
