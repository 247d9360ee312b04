"""Images a second from file to file through a generator: ``python benchmarks/speed/translate.py``.

`translate_set` and `translate_folder` with CycleGAN's ResNet of 9 blocks and 64 channels, against what the test scripts
of public repositories do with the same weights: open an image, translate it alone in float32, save it as PNG, then the
next. All read the same PNG files, photo-like ones made in a temporary folder, and write PNG files. In turn, medians.
The last column is the mean difference from the plain way's images; half a grey level of it is that public code cuts
the fraction off where daframework rounds.
"""

import tempfile
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from sys import maxsize
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from reference import ResNetGenerator
from timing import (
    BlockClock,
    alternate,
    chosen_device,
    median,
    options,
    print_table,
    read_size,
    run,
    switches_as_torch_has_them,
    write,
)
from torch import nn

from daf_cyclegan.resnet import ResNet
from daframework.adapt.translate import translate_folder, translate_set
from daframework.compute.acceleration import cpu_has_bf16
from daframework.compute.session import Session
from daframework.data.decode import read_image
from daframework.interfaces import ImageDataset, Sample

BATCH = 8  # of translate_set: downstream.batch_size, unless a recipe says otherwise
BARS = {"cpu": 1.3, "cuda": 5.0}
IMAGES = {"cpu": 4, "cuda": 256}  # of 256 x 256; of larger ones as many fewer, but two
ROUNDS = {"cpu": 3, "cuda": 5}
SIZES = ((256, 256), (512, 1024))  # height, width
WAYS = ("one at a time", "translate_set", "translate_folder")


class Files(ImageDataset):
    """Image files without labels."""

    classes, palette = ("anything",), ((0, 0, 0),)

    def __init__(self, folder: Path) -> None:
        """All files in ``folder``, by name."""
        self.paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        """As many as there are."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """The image, decoded at each call."""
        return Sample(read_image(self.paths[index]), None, self.paths[index].name)


def make_images(folder: Path, size: tuple[int, int], count: int) -> None:
    """``count`` PNG files of ``size``: smooth shapes under the grain of a sensor."""
    folder.mkdir()
    height, width = size
    for index in range(count):
        random = np.random.default_rng(index)
        image = random.normal(128, 2, (height, width, 3))
        for cells, strength in ((2, 60), (8, 40), (32, 15)):
            coarse = random.uniform(0, 255, (cells, cells * width // height, 3)).astype(np.uint8)
            smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            image += (np.asarray(smooth) / 127.5 - 1) * strength
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{index:04d}.png")


@torch.no_grad()
def translate_plainly(network: nn.Module, images: Path, out: Path, device: torch.device) -> None:
    """One image at a time, each step after the other, as public code does it."""
    out.mkdir(exist_ok=True)
    with switches_as_torch_has_them():
        for path in sorted(images.iterdir()):
            pixels = np.asarray(Image.open(path).convert("RGB"))
            image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float().div(255).sub(0.5).div(0.5)
            translated = network(image.unsqueeze(0).to(device))[0].cpu().float().numpy()
            written = ((translated.transpose(1, 2, 0) + 1) / 2.0 * 255.0).astype(np.uint8)
            Image.fromarray(written).save(out / path.name)


def same_weights(generator: ResNet, network: nn.Module) -> None:
    """Give ``network`` the weights of ``generator``: their layers come in one order."""
    with torch.no_grad():
        for given, own in zip(generator.parameters(), network.parameters(), strict=True):
            own.copy_(given)


def difference(first: Path, second: Path) -> float:
    """Mean absolute difference of the images in two folders, in grey levels of 0 to 255."""
    pairs = zip(sorted(first.iterdir()), sorted(second.iterdir()), strict=True)
    return float(np.mean([np.abs(read_image(a) - read_image(b).astype(float)).mean() for a, b in pairs]))


def measure(size: tuple[int, int], asked: Namespace, device: torch.device) -> dict[str, Any]:
    """Time the three ways on images of ``size``."""
    count = asked.images or IMAGES[device.type]
    count = max(2, min(count, count * 256 * 256 // (size[0] * size[1])))
    fast = cpu_has_bf16() if device.type == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    precision = asked.precision or ("bf16-mixed" if fast else "32-true")
    session = Session(
        Fabric(accelerator=device.type, devices=1, precision=precision),
        BlockClock(device, first=maxsize, block=1),
        lambda: False,
    )
    torch.manual_seed(0)
    generator = ResNet().to(device).eval()
    network = ResNetGenerator(64, 9, "transposed", "paint").to(device).eval()
    same_weights(generator, network)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        images, plain, folder = root / "images", root / "plain", root / "folder"
        make_images(images, size, count)
        sets = iter(range(maxsize))

        def as_set() -> None:
            translate_set(session, generator, Files(images), root / f"set{next(sets)}", batch_size=BATCH, seed=0)

        works = {
            WAYS[0]: partial(translate_plainly, network, images, plain, device),
            WAYS[1]: as_set,
            WAYS[2]: partial(translate_folder, session, generator, images, folder, overwrite=True, seed=0),
        }
        torch.backends.cudnn.benchmark = True  # as a run has it
        spent = alternate(works, rounds=asked.rounds or ROUNDS[device.type], device=device)
        differs = [difference(plain, root / "set0" / "images"), difference(plain, folder)]
    rates = {way: count / median(seconds) for way, seconds in spent.items()}
    return {
        "size": list(size),
        "images": count,
        "precision": precision,
        "images_per_second": rates,
        "ratios": {way: rates[way] / rates[WAYS[0]] for way in WAYS[1:]},
        "grey_levels_from_plain": dict(zip(WAYS[1:], differs, strict=True)),
        "seconds": spent,
    }


def print_found(cases: Sequence[dict[str, Any]], device: torch.device) -> None:
    """The table."""
    bar = BARS[device.type]
    print(f"\nimages a second from PNG to PNG on {device.type}, resnet of 9 blocks x 64; the plain way in 32 bits")
    rows = []
    for case in cases:
        height, width = case["size"]
        for way in WAYS:
            row = [f"{width} x {height}, {case['images']} images, {way}", f"{case['images_per_second'][way]:.2f}"]
            if way in case["ratios"]:
                ratio, held = case["ratios"][way], "held" if case["ratios"][way] >= bar else "MISSED"
                row += [case["precision"], f"{ratio:.2f} x", f">= {bar} x", held]
                row.append(f"{case['grey_levels_from_plain'][way]:.2f}")
            else:
                row += ["32-true", "", "", "", ""]
            rows.append(row)
    print_table(("", "images/s", "precision", "ratio", "bar", "", "differs by /255"), rows)


def main() -> None:
    """Measure, write JSON if asked, print the table."""
    parser = options("Images a second from file to file through a generator.")
    parser.add_argument("--sizes", nargs="+", type=read_size, default=SIZES, help="HEIGHTxWIDTH")
    parser.add_argument("--images", type=int, help="how many of 256 x 256; of larger ones as many fewer, but two")
    parser.add_argument("--rounds", type=int, help="how often each way is timed")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), help="bf16 where the hardware has it")
    asked = parser.parse_args()
    device = chosen_device(asked.device)
    cases = [measure(size, asked, device) for size in asked.sizes]
    write({"batch_size": BATCH, "cases": cases}, device, asked.out)
    print_found(cases, device)


if __name__ == "__main__":
    run(main)
