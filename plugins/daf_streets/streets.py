"""Street scenes as a dataset: any image can be made on its own, from its seed, look, split and index alone."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import Literal

import numpy as np

from daf_streets.classes import CLASSES, PALETTE
from daf_streets.looks import LOOKS
from daf_streets.render import render
from daf_streets.scene import sample_scene
from daframework.dataset_interface import ImageDataset, Sample
from daframework.fingerprint import digest

SMALLEST = 32


class Streets(ImageDataset):
    """Rendered street scenes with exact classes, CamVid's, and depth, in two looks: data without a download.

    Each image is drawn when it is asked for. Depth is (H, W) float32, metres along the optical axis, 0 in the sky.

    Args:
        look: ``"game"`` (clean, saturated, flat) or ``"camera"`` (textured, lit, blurred, noisy; narrower streets).
        split: ``"train"`` or ``"test"``; the two never share a scene.
        size: height and width in pixels, each at least 32.
        train_images: how many images the split ``"train"`` has.
        test_images: how many images the split ``"test"`` has.
        seed: another seed is another city.
    """

    classes = CLASSES
    palette = PALETTE
    labels = ("semantic", "depth")

    def __init__(
        self,
        *,
        look: Literal["game", "camera"],
        split: str,
        size: Sequence[int] = (64, 96),
        train_images: int = 600,
        test_images: int = 150,
        seed: int = 0,
    ) -> None:
        """Keep the options.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        if len(size) != 2 or min(size) < SMALLEST:
            raise ValueError(f"size must be [height, width] in pixels, each at least {SMALLEST}, got {size!r}")
        self.look, self.split, self.seed = look, split, seed
        self.height, self.width = size
        self.images = train_images if split == "train" else test_images
        if self.images < 1:
            raise ValueError(f"{split}_images must be at least 1, got {self.images}")

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.images:
            raise IndexError(f"index {index} of {self.images} images")
        key = f"{self.seed}/{self.look}/{self.split}/{index}"
        layout, appearance = LOOKS[self.look]
        scene = sample_scene(Random(f"scene/{key}"), layout)
        image, label, depth = render(scene, appearance, self.height, self.width, Random(f"light/{key}"))
        name = f"{self.split}_{index:06d}"
        return Sample(image, label, name, {"depth": depth})

    def fingerprint(self, *, labels: bool) -> str:
        """Of the options, the looks and the code that draws; images and labels come of the same draws."""
        return digest(_painters(), self.look, self.split, self.seed, self.height, self.width)


@cache
def _painters() -> str:
    """A digest of this package's code and looks: another version draws other pictures."""
    package = files("daf_streets")
    drawing = (*package.iterdir(), *package.joinpath("look_files").iterdir())
    found = sorted((file for file in drawing if file.name.endswith((".py", ".toml"))), key=str)
    return digest(np.__version__, [file.read_text(encoding="utf-8") for file in found])
