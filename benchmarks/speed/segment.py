"""Images a second in training and in scoring the task model: ``python benchmarks/speed/segment.py``.

`daframework.downstream.fit.fit` and `daframework.downstream.score.score`, as a run calls them, against loops as people
write them with PyTorch: single precision, a DataLoader, ``.item()`` after every step, a confusion matrix counted with
numpy. Same model, sizes and batch; rendered streets held in memory; blocks of steps in turn, and the medians of them.
"""

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from sys import maxsize
from typing import Any

import numpy as np
import torch
from attrs import evolve, frozen
from timing import (
    LENGTH,
    BlockClock,
    alternate,
    chosen_device,
    median,
    options,
    print_table,
    read_size,
    run,
    seconds_of,
    set_option,
    switches_as_torch_has_them,
    write,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from daframework.build import make_dataset, make_task
from daframework.compute.session import Session
from daframework.downstream.fit import fit
from daframework.downstream.score import score
from daframework.errors import StoppedError
from daframework.interfaces import IGNORE_INDEX, ImageDataset, Sample, Task
from daframework.recipes.read import locate, read
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, load_plugins
from daframework.runs.context import checked, stream
from daframework.runs.precision import for_task, open_device, precision_for

RECIPE = "semantic_cyclegan"


class PlainSet(Dataset[tuple[Tensor, Tensor]]):
    """What one writes for a start: an image as floats in [-1, 1] and its label, half of them mirrored if ``flip``."""

    def __init__(self, samples: Sequence[Sample], *, flip: bool) -> None:
        """Samples in memory."""
        self.samples, self.flip = samples, flip

    def __len__(self) -> int:
        """As many as there are."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """The image (3, H, W) and its label (H, W)."""
        sample = self.samples[index]
        assert sample.label is not None
        image, label = sample.image.float() / 127.5 - 1, sample.label.long()
        if self.flip and torch.rand(()) < 0.5:
            image, label = image.flip(-1), label.flip(-1)
        return image, label


def plain_steps(model: nn.Module, samples: Sequence[Sample], recipe: Recipe, device: torch.device) -> Iterator[float]:
    """Train ``model`` without end as people write it; each step's loss."""
    table = recipe.downstream
    loader = DataLoader(
        PlainSet(samples, flip=recipe.data.flip),
        batch_size=table.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=recipe.hardware.workers,
    )
    criterion = nn.CrossEntropyLoss(ignore_index=IGNORE_INDEX)
    optimizer = torch.optim.AdamW(model.parameters(), lr=table.lr, weight_decay=table.weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=table.steps)
    model.train()
    while True:
        for image, label in loader:
            image, label = image.to(device), label.to(device)
            optimizer.zero_grad()
            loss = criterion(model(image), label)
            loss.backward()
            optimizer.step()
            scheduler.step()
            yield loss.item()


@torch.no_grad()
def plain_confusion(
    model: nn.Module, samples: Sequence[Sample], num_classes: int, recipe: Recipe, device: torch.device
) -> Any:
    """Score ``model`` as people write it: counts by label and prediction, (num_classes, num_classes)."""
    loader = DataLoader(
        PlainSet(samples, flip=False), batch_size=recipe.downstream.batch_size, num_workers=recipe.hardware.workers
    )
    model.eval()
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for image, label in loader:
        guess, truth = model(image.to(device)).argmax(1).cpu().numpy(), label.numpy()
        kept = truth != IGNORE_INDEX
        pairs = num_classes * truth[kept] + guess[kept]
        counts += np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    return counts


@frozen(eq=False)
class Case:
    """What is measured: one size of images, of which both loops are given the same."""

    plugins: Plugins
    recipe: Recipe
    task: Task
    train: ImageDataset
    test: ImageDataset
    device: torch.device

    def session(self, clock: BlockClock, stopping: Callable[[], bool]) -> Session:
        """A session for the task model, as a run opens it."""
        session = Session(open_device(self.plugins, self.recipe)[0], clock, stopping)
        return for_task(session, self.recipe, precision_for(self.plugins, self.recipe, self.device))

    def fit(self, session: Session, steps: int) -> nn.Module:
        """The task's model after ``steps``; or StoppedError where the session asks to stop before."""
        recipe = evolve(self.recipe, downstream=evolve(self.recipe.downstream, steps=steps))
        crops, augment = stream(recipe, self.train, "task"), recipe.downstream.augment
        with tempfile.TemporaryDirectory() as folder:
            return fit(session, self.task, crops, recipe, "streets", Path(folder) / "fit", augment)


def open_case(plugins: Plugins, size: Sequence[int], asked: Namespace, device: torch.device) -> Case:
    """The recipe at ``size`` (height, width), with both sets in memory."""
    overrides = [
        f"source.size={list(size)}",
        f"source.train_images={asked.images}",
        f"source.test_images={asked.images}",
        f"data.crop_size={list(size)}",
        f"downstream.batch_size={asked.batch}",
        f"hardware.workers={asked.workers}",
        f"hardware.accelerator={device.type}",
    ]
    recipe = read(locate(plugins, RECIPE), [*overrides, *asked.overrides])
    train, test = (checked(recipe, make_dataset(plugins, recipe, "source", split)) for split in ("train", "test"))
    return Case(plugins, recipe, make_task(plugins, recipe, len(train.classes)), train, test, device)


def samples_of(dataset: ImageDataset) -> list[Sample]:
    """All of them; those that ``dataset`` keeps are drawn by this, before any clock starts."""
    return [dataset[index] for index in range(len(dataset))]


def time_fit(case: Case, *, first: int, block: int, rounds: int) -> dict[str, Any]:
    """Both training loops, in turn, in blocks of steps."""
    model = case.task.model().to(case.device)
    steps = plain_steps(model, samples_of(case.train), case.recipe, case.device)
    plain: list[float] = []

    def train_plainly() -> None:
        with switches_as_torch_has_them():
            plain.append(seconds_of(lambda: [next(steps) for _ in range(block)], case.device))

    clock = BlockClock(case.device, first=first, block=block, between=train_plainly)
    with suppress(StoppedError):
        case.fit(case.session(clock, lambda: len(clock.seconds) >= rounds), LENGTH[case.device.type])
    # The plain loop's own first block was not counted either.
    found = compared(block * case.recipe.downstream.batch_size, clock.seconds, plain[1:])
    return found | {"seconds_of_first_steps": clock.first_seconds}


def time_score(case: Case, *, rounds: int) -> dict[str, Any]:
    """Both ways of scoring the whole test set, in turn."""
    session = case.session(BlockClock(case.device, first=maxsize, block=1), lambda: False)
    ours, plain = case.fit(session, 1), case.task.model().to(case.device)  # one as training leaves it
    samples, batch_size = samples_of(case.test), case.recipe.downstream.batch_size

    def score_plainly() -> None:
        with switches_as_torch_has_them():
            plain_confusion(plain, samples, len(case.test.classes), case.recipe, case.device)

    works = {
        "ours": partial(score, session, case.task, ours, case.test, batch_size, "scoring"),
        "plain": score_plainly,
    }
    spent = alternate(works, rounds=rounds, device=case.device)
    return compared(len(samples), spent["ours"], spent["plain"])


def compared(images: int, ours: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """Images a second of both, by the medians of the seconds that ``images`` took."""
    rates = {"ours": images / median(ours), "plain": images / median(plain)}
    seconds = {"ours": list(ours), "plain": list(plain)}
    return {"images_per_second": rates, "ratio": rates["ours"] / rates["plain"], "seconds": seconds}


def measure(case: Case, asked: Namespace) -> dict[str, Any]:
    """Fit and score, and in which precision the model was trained."""
    return {
        "size": list(case.recipe.data.crop_size),
        "batch_size": case.recipe.downstream.batch_size,
        "precision": precision_for(case.plugins, case.recipe, case.device).task,
        "fit": time_fit(case, first=asked.first, block=asked.block, rounds=asked.rounds),
        "score": time_score(case, rounds=asked.rounds),
    }


def print_found(cases: Sequence[dict[str, Any]], rounds: int, device: torch.device) -> None:
    """The table."""
    print(f"\nimages a second of {RECIPE}'s task on {device.type}, medians of {rounds}; plain PyTorch in float32")
    rows = []
    for case in cases:
        for stage in ("fit", "score"):
            rates = case[stage]["images_per_second"]
            name = f"{stage} {case['size'][0]} x {case['size'][1]}, batch {case['batch_size']}"
            precision = case["precision"] if stage == "fit" else ""
            ratio = f"{case[stage]['ratio']:.2f} x"
            rows.append((name, precision, f"{rates['ours']:.1f}", f"{rates['plain']:.1f}", ratio))
    print_table(("", "trained in", "daframework", "plain PyTorch", "ratio"), rows)


def main() -> None:
    """Measure, write JSON if asked, print the table."""
    parser = options("Images a second in training and in scoring the task model.")
    parser.add_argument("--sizes", nargs="+", type=read_size, help="HEIGHTxWIDTH; 64x96 and 128x256, on a GPU 512x1024")
    parser.add_argument("--batch", type=int, default=8, help="images in a step")
    parser.add_argument("--images", type=int, default=64, help="images of the set, held in memory")
    parser.add_argument("--workers", type=int, default=0, help="processes that load")
    parser.add_argument("--block", type=int, default=5, help="steps that are timed together")
    parser.add_argument("--first", type=int, default=5, help="steps before the clock starts")
    parser.add_argument("--rounds", type=int, default=7, help="blocks of each, and passes over the test set")
    set_option(parser)
    asked = parser.parse_args()
    if asked.images < asked.batch:
        parser.error(f"--images {asked.images}: must be at least --batch, {asked.batch}")
    device, plugins = chosen_device(asked.device), load_plugins()
    sizes = asked.sizes or [(64, 96), (512, 1024) if device.type == "cuda" else (128, 256)]
    cases = [measure(open_case(plugins, size, asked, device), asked) for size in sizes]
    write({"recipe": RECIPE, "rounds": asked.rounds, "block": asked.block, "cases": cases}, device, asked.out)
    print_found(cases, asked.rounds, device)


if __name__ == "__main__":
    run(main)
