"""Run what ``daf check`` calls sound, and what it refuses: ``python tests/torture/sound.py``.

Every architecture of segmentation-models-pytorch with a few encoders, and the semantic discriminator with a few of
timm's, at several batches, crops and sizes of images. One step of every stage is taken and the test images are scored:
what is sound must run, and what is refused must not.
"""

import argparse
import copy
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from lightning_fabric import Fabric
from PIL import Image

from daframework.compute.session import Session
from daframework.errors import DafError, RecipeError
from daframework.listener import Listener
from daframework.recipes.read import parse
from daframework.registry import Plugins, load_plugins
from daframework.runs.check import check
from daframework.runs.stages import execute
from daframework.storage.run_folder import open_folder

FIXED = ("tu-swin_tiny_patch4_window7_224",)
ENCODERS = ("resnet18", "tu-convnext_atto", *FIXED, "tu-mobilenetv3_small_050", "mit_b0")
JUDGES: dict[str, tuple[dict[str, Any], ...]] = {
    "resnet18": ({},),
    "convnext_atto": ({},),
    "mambaout_femto": ({},),
    "mobilenetv3_small_050": ({},),
    "swin_tiny_patch4_window7_224": ({}, {"dynamic_img_size": True}),
    "vit_tiny_patch16_224": ({}, {"dynamic_img_size": True}, {"img_size": [64, 64]}),
}
SHALLOW = {"arch": "unet", "encoder": "resnet18", "arch_options": {"encoder_depth": 2, "decoder_channels": [8, 8]}}
CLASSES = {"classes": ["a", "b"], "ids": {"0": "a", "1": "b"}}
TABLES = {
    "name": "sound",
    "downstream": {"steps": 1, "oracle": False},
    "hardware": {"accelerator": "cpu", "precision": "32-true"},
}
GAN = {
    "generator": {"name": "resnet", "channels": 4, "blocks": 1},
    "losses": [{"name": "lsgan"}, {"name": "cycle"}, {"name": "semantic_discriminator"}],
    "translation": {"steps": 1},
}
WORD = {(True, True): "sound", (True, False): "DIED", (False, True): "REFUSED FOR NOTHING", (False, False): "refused"}


def images(folder: Path, sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """A set of pairs of noise of these heights and widths, one of each, as a recipe names it."""
    if not folder.exists():
        random = np.random.default_rng(0)
        for index, (height, width) in enumerate(sizes):
            for kind, high, shape in (("images", 256, (height, width, 3)), ("labels", 2, (height, width))):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                pixels = random.integers(0, high, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / kind / f"{index}.png")
    return {"name": "image_folder", "root": str(folder), **CLASSES}


def recipes(folder: Path, crop: int, batch: int, *, wide: bool) -> dict[str, Any]:
    """The tables that all recipes share: square crops, of square images or of wide ones of two sizes."""
    sizes = [(crop, crop * 10 // 7), (crop + 9, crop * 2)] if wide else [(crop, crop)]
    own = images(folder / f"images_{crop}_{wide}", sizes)
    tables = copy.deepcopy(TABLES) | {"source": own, "target": own}
    tables["data"] = {"crop_size": [crop, crop], "batch_size": batch}
    tables["downstream"]["batch_size"] = batch
    return tables


def task_recipes(
    archs: Sequence[str], encoders: Sequence[str], crops: Sequence[int], folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every architecture with every encoder, a name and the tables each."""
    for arch, encoder in product(archs, encoders):
        for crop, batch, wide in product([224] if encoder in FIXED else crops, [1, 2], [False, True]):
            task = {"name": "segmentation", "arch": arch, "encoder": encoder}
            what = f"{arch} {encoder} crop {crop} batch {batch} {'wide' if wide else 'square'}"
            yield what, recipes(folder, crop, batch, wide=wide) | {"task": task}


def judge_recipes(judges: Sequence[str], crops: Sequence[int], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The semantic discriminator with every encoder, a name and the tables each."""
    for encoder in judges:
        for options, crop, batch, wide in product(JUDGES[encoder], crops, [1, 2], [False, True]):
            judge = {"name": "semantic", "channels": 4, "decoder_channels": 4, "encoder": encoder}
            judge |= {"encoder_options": options} if options else {}
            tables = recipes(folder, crop, batch, wide=wide) | copy.deepcopy(GAN)
            what = f"semantic {encoder} {options or ''} crop {crop} batch {batch} {'wide' if wide else 'square'}"
            yield what, tables | {"discriminator": judge, "task": {"name": "segmentation", **SHALLOW}}


def judged(plugins: Plugins, tables: dict[str, Any]) -> tuple[bool, bool, str]:
    """Whether ``daf check`` calls a recipe sound, whether it runs, and what was said of either."""
    recipe = parse(tables, "sound")
    said: list[str] = []
    try:
        if missing := check(plugins, recipe, "sound"):
            raise SystemExit(f"the rig's own images are at fault: {missing}")
    except RecipeError as error:
        said += error.problems
    sound = not said
    session = Session(Fabric(accelerator="cpu", devices=1), Listener(), lambda: False)
    with tempfile.TemporaryDirectory() as folder:
        try:
            execute(session, plugins, recipe, open_folder(Path(folder) / "run", recipe))
        except Exception as error:
            fault = "" if isinstance(error, DafError) else "a fault of daframework: "
            return sound, False, " | ".join([*said, f"{fault}{type(error).__name__}: {error}"])
    return sound, True, " | ".join(said)


def main() -> None:
    """Judge every recipe, tell each whose check was wrong, and count."""
    parser = argparse.ArgumentParser(description="Run what daf check calls sound, and what it refuses.")
    parser.add_argument("--archs", nargs="*", default=sorted(smp.MODEL_ARCHITECTURES_MAPPING))
    parser.add_argument("--encoders", nargs="*", default=ENCODERS)
    parser.add_argument("--judges", nargs="*", default=list(JUDGES), help="encoders of the semantic discriminator")
    parser.add_argument("--crops", nargs="*", type=int, default=[32, 64], help="224 where the encoder wants it")
    parser.add_argument("--verbose", action="store_true", help="a line for each recipe")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    plugins, counts = load_plugins(), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = task_recipes(asked.archs, asked.encoders, asked.crops, folder)
        for what, tables in chain(tasks, judge_recipes(asked.judges, asked.crops, folder)):
            start = time.monotonic()
            sound, ran, said = judged(plugins, tables)
            counts[word := WORD[sound, ran]] += 1
            if asked.verbose or sound != ran:
                print(f"{word}: {what} ({time.monotonic() - start:.1f} s): {said}", flush=True)
    wrong = counts[WORD[True, False]] + counts[WORD[False, True]]
    print(
        f"{counts.total()} recipes: {counts['sound']} sound and ran, {counts['refused']} refused and did not, "
        f"{counts['DIED']} sound and died, {counts['REFUSED FOR NOTHING']} refused and ran"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
