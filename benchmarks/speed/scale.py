"""What a translation step costs as things grow: ``python benchmarks/speed/scale.py``.

The loop of a run, `daframework.adapt.loop.train`, with the recipe semantic_cyclegan on made-up PNGs: by image size, by
batch, by images in the set (which must cost nothing but opening it), and by loading processes. Each point is measured
in a process of its own, which tells its memory. A slope is that of the logarithms: 1 is in proportion, 0 is flat.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import asdict, evolve, frozen
from timing import (
    LENGTH,
    BlockClock,
    chosen_device,
    in_child,
    options,
    peak_megabytes,
    print_table,
    read_size,
    resident_megabytes,
    run,
    set_option,
    write,
)

from daframework.adapt.loop import train
from daframework.compute.session import Session
from daframework.data.decode import write_image, write_label
from daframework.data.unlabelled import Unlabelled
from daframework.errors import StoppedError
from daframework.networks import make_networks
from daframework.recipes.read import locate, parse, read_tables
from daframework.recipes.tables import Recipe
from daframework.registry import load_plugins
from daframework.runs.context import opened, stream
from daframework.runs.datasets import open_datasets
from daframework.runs.precision import open_device
from daframework.runs.translation import measure_domains

RECIPE = "semantic_cyclegan"
CLASSES = ["road", "sky", "tree", "car"]
GROWN = {"image size": "size", "batch": "batch", "images of the set": "images", "loading processes": "workers"}
COSTS = ("ms_per_step", "peak_megabytes", "seconds_to_open")
KINDS = 32  # different images of a set; the others are links to them


@frozen
class Point:
    """What is measured: ``size`` (height, width) of the images, a batch of each domain, images of a set, processes."""

    size: tuple[int, int]
    batch: int
    images: int
    workers: int

    def __str__(self) -> str:
        size = " x ".join(map(str, self.size))
        return f"{size}, batch {self.batch}, {self.images:,} images, {self.workers} loading processes"


def make_set(root: Path, images: int, size: Sequence[int]) -> None:
    """``images`` pairs of a PNG and its label, of coarse blocks under fine grain."""
    random = torch.Generator().manual_seed(0)
    for index in range(images):
        first = f"{index % KINDS}.png"
        for kind in ("images", "labels"):
            path = root / kind / f"{index}.png"
            if index >= KINDS:
                path.hardlink_to(root / kind / first)
                continue
            low, high = (40, 200) if kind == "images" else (0, len(CLASSES))
            coarse = torch.randint(low, high, (1, 3, 4, 6), generator=random).float()
            pixels = torch.nn.functional.interpolate(coarse, tuple(size))[0]
            if kind == "images":
                write_image(path, (pixels + torch.randint(0, 50, pixels.shape, generator=random)).to(torch.uint8))
            else:
                write_label(path, pixels[0].to(torch.uint8))


def recipe_at(point: Point, root: Path, overrides: Sequence[str], device: str) -> Recipe:
    """The recipe on the set in ``root``."""
    path = locate(load_plugins(), RECIPE)
    ids = {str(index): name for index, name in enumerate(CLASSES)}
    data = {"name": "image_folder", "root": str(root), "classes": CLASSES, "ids": ids}
    tables = read_tables(
        path,
        [
            f"data.crop_size={list(point.size)}",
            f"data.batch_size={point.batch}",
            f"hardware.workers={point.workers}",
            f"hardware.accelerator={device}",
            f"translation.steps={LENGTH[device]}",
            *overrides,
        ],
    )
    return parse(tables | {"source": data, "target": data}, str(path))


def measure(point: Point, root: Path, asked: Namespace, device: torch.device) -> dict[str, Any]:
    """Open the set in ``root`` and train until the clock has enough; to be called in a new process."""
    libraries = resident_megabytes()
    plugins, recipe = load_plugins(), recipe_at(point, root, asked.overrides, device.type)
    peak = 0.0
    clock = BlockClock(device, first=asked.first, block=asked.block)

    def enough() -> bool:
        nonlocal peak
        if len(clock.seconds) < asked.rounds or sum(clock.seconds) < asked.seconds:
            return False
        peak = peak_megabytes(device)
        return True

    session = Session(open_device(plugins, recipe)[0], clock, enough)
    start = time.perf_counter()
    datasets = open_datasets(plugins, recipe)
    source = opened(session, recipe, datasets.source, "source")
    target = Unlabelled(opened(session, recipe, datasets.target, "target", ()))
    seconds_to_open = time.perf_counter() - start
    networks = make_networks(plugins, recipe, len(source.classes))
    measure_domains(networks, source, target)
    seconds_to_prepare = time.perf_counter() - start - seconds_to_open
    streams = {"source": stream(recipe, source, "source"), "target": stream(recipe, target, "target")}
    with suppress(StoppedError), tempfile.TemporaryDirectory() as folder:
        train(session, networks, streams, recipe, Path(folder) / "translation", lambda step, translator: None)
    return {
        **asdict(point),
        "ms_per_step": clock.step_seconds * 1e3,
        "images_per_second": point.batch / clock.step_seconds,
        "peak_megabytes": peak - (libraries if device.type == "cpu" else 0),
        "seconds_to_open": seconds_to_open,
        "seconds_to_prepare": seconds_to_prepare,
        "seconds_of_first_steps": clock.first_seconds,
        "blocks": clock.seconds,
    }


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """The power of ``sizes`` that ``costs`` grow with, by least squares of the logarithms; None where there is none."""
    if len(sizes) < 2 or min(*sizes, *costs) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def measure_series(base: Point, asked: Namespace, device: torch.device) -> dict[str, dict[str, Any]]:
    """Each series with its points, of which one that two have in common is measured once, and its slopes."""
    wanted = {"size": asked.sizes, "batch": asked.batches, "images": asked.images, "workers": asked.workers}
    series = {name: [evolve(base, **{field: one}) for one in wanted[field]] for name, field in GROWN.items()}
    measured: dict[Point, dict[str, Any]] = {}
    for point in dict.fromkeys(point for points in series.values() for point in points):
        with tempfile.TemporaryDirectory() as folder:
            make_set(Path(folder), point.images, point.size)
            measured[point] = in_child(measure, point, Path(folder), asked, device)
        print(f"{point}: {measured[point]['ms_per_step']:.1f} ms", flush=True)
    found = {}
    for name, points in series.items():
        grown = [prod(value) if name == "image size" else value for value in (getattr(p, GROWN[name]) for p in points)]
        slopes = {cost: slope(grown, [measured[point][cost] for point in points]) for cost in COSTS}
        found[name] = {"points": [measured[point] for point in points], "slopes": slopes}
    return found


def rows_of(name: str, one: dict[str, Any]) -> list[tuple[str, ...]]:
    """A series as rows of the table: its points, and its slopes where it has any."""
    rows: list[tuple[str, ...]] = []
    for point in one["points"]:
        value = point[GROWN[name]]
        shown = " x ".join(map(str, value)) if name == "image size" else f"{value:,}"
        step, rate, peak = point["ms_per_step"], point["images_per_second"], point["peak_megabytes"]
        opening = point["seconds_to_open"]
        rows.append((f"{name} {shown}", f"{step:.1f}", f"{rate:.1f}", f"{peak:.0f}", f"{opening:.3f}"))
    step, peak, opening = ("" if one["slopes"][cost] is None else f"{one['slopes'][cost]:.2f}" for cost in COSTS)
    return [*rows, ("  slope", step, "", peak, opening)] if step else rows


def main() -> None:
    """Measure, write JSON if asked, print the table."""
    parser = options("What a translation step costs as things grow.")
    sizes = [(48, 64), (64, 96), (128, 128), (256, 256)]
    parser.add_argument("--sizes", nargs="*", type=read_size, default=sizes, help="HEIGHTxWIDTH, each")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 2, 4, 8], help="images of each domain in a step")
    parser.add_argument("--images", nargs="*", type=int, default=[100, 1000, 10_000], help="images of the set")
    parser.add_argument("--workers", nargs="*", type=int, default=[0, 1, 2], help="processes that load each domain")
    parser.add_argument("--base", type=read_size, default=(64, 96), help="image size where another thing grows")
    parser.add_argument("--block", type=int, help="steps that are timed together; 1, on a GPU 10")
    parser.add_argument("--first", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each point, at least")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each point is timed, at least")
    set_option(parser)
    asked = parser.parse_args()
    device = chosen_device(asked.device)
    asked.block = asked.block or (10 if device.type == "cuda" else 1)
    base = Point(size=asked.base, batch=4, images=100, workers=0)
    series = measure_series(base, asked, device)
    write({"recipe": RECIPE, "block": asked.block, "series": series}, device, asked.out)
    print(f"\na step of {RECIPE} on {device.type}; where another thing grows: {base}")
    rows = [row for name, one in series.items() for row in rows_of(name, one)]
    print_table(("", "ms/step", "images/s", "peak MB", "open s"), rows)


if __name__ == "__main__":
    run(main)
