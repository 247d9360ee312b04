"""One image with its exact labels, classes and depth, from a scene and a look."""

from random import Random

import numpy as np
from attrs import frozen

from daf_streets.camera import Camera, photograph
from daf_streets.classes import SKY
from daf_streets.leaning import lean
from daf_streets.paint import Paint, paint
from daf_streets.raster import Bytes, Floats, rasterise
from daf_streets.scene import Scene
from daf_streets.shapes import tabulate


@frozen
class Appearance:
    """How a scene is shown. ``samples`` is the number of samples along each side of a pixel."""

    paint: Paint
    camera: Camera | None
    samples: int


def render(scene: Scene, appearance: Appearance, height: int, width: int, rng: Random) -> tuple[Bytes, Bytes, Floats]:
    """An image (3, height, width), its classes and its depth, (height, width) each, of which no pixel is a blend.

    Depth is in metres along the optical axis, through the middle of the first sample that has the pixel's class; 0 in
    the sky.
    """
    n = appearance.samples
    table = tabulate(scene.shapes)
    pixels = rasterise(scene, table, height * n, width * n)
    image = paint(scene, table, pixels, appearance.paint, rng, height * n, width * n)
    label = table.label[pixels.shape].reshape(height * n, width * n)
    depth = lean(scene, table, pixels, height * n, width * n).reshape(height * n, width * n)
    if n == 2:
        image = box_reduce(image)
        label, depth = most_frequent(label, depth)
    np.copyto(depth, 0, where=label == SKY)
    if appearance.camera is not None:
        image = photograph(image, appearance.camera, rng)
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8), label, depth


def box_reduce(image: Floats) -> Floats:
    """Means of 2 x 2 pixels: (3, 2H, 2W) to (3, H, W)."""
    rows = image[:, 0::2] + image[:, 1::2]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)


def most_frequent(label: Bytes, depth: Floats) -> tuple[Bytes, Floats]:
    """The value that fills most of each 2 x 2 pixels, (2H, 2W) to (H, W); of several, the first in reading order.

    And the depth of the first pixel that has it.
    """
    labels, depths = (np.stack([one[y::2, x::2] for y in (0, 1) for x in (0, 1)]) for one in (label, depth))
    votes = (labels[:, None] == labels).sum(1, dtype=np.uint8)
    winner = votes.argmax(0)[None]
    return np.take_along_axis(labels, winner, 0)[0], np.take_along_axis(depths, winner, 0)[0]
