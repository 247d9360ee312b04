"""One image with its exact label from a scene and a look."""

from random import Random

import numpy as np
from attrs import frozen

from daf_streets.camera import Camera, photograph
from daf_streets.paint import Paint, paint
from daf_streets.raster import Bytes, Floats, pick, rasterise
from daf_streets.scene import Scene
from daf_streets.shapes import tabulate


@frozen
class Appearance:
    """How a scene is shown. ``samples`` is the number of samples along each side of a pixel."""

    paint: Paint
    camera: Camera | None
    samples: int


def render(scene: Scene, appearance: Appearance, height: int, width: int, rng: Random) -> tuple[Bytes, Bytes]:
    """An image (3, height, width) and its label (height, width): each pixel's label is one class, never a blend."""
    n = appearance.samples
    table = tabulate(scene.shapes)
    pixels = rasterise(scene, table, height * n, width * n)
    image = paint(scene, table, pixels, appearance.paint, rng, height * n, width * n)
    label: Bytes = pick(table.label, pixels.shape).reshape(height * n, width * n)
    if n == 2:
        image, label = box_reduce(image), most_frequent(label)
    if appearance.camera is not None:
        image = photograph(image, appearance.camera, rng)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), label


def box_reduce(image: Floats) -> Floats:
    """Means of 2 x 2 pixels: (3, 2H, 2W) to (3, H, W)."""
    rows = image[:, 0::2] + image[:, 1::2]
    mean: Floats = (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return mean


def most_frequent(label: Bytes) -> Bytes:
    """The value that fills most of each 2 x 2 pixels, (2H, 2W) to (H, W); of several, the first in reading order."""
    a, b, c, d = (np.ascontiguousarray(label[y::2, x::2]) for y in (0, 1) for x in (0, 1))
    first_wins = (a == b) | (a == c) | (a == d) | ((b != c) & (b != d) & (c != d))
    return np.where(first_wins, a, np.where((b == c) | (b == d), b, c))
