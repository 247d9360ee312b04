"""The vocabulary of a scene: flat outlines in the world, each with a class, a part and a plane to lie in.

World coordinates are metres: x to the right of the camera, y up from the ground, z ahead of the camera.

Planes and parts are plain numbers: a scene names a thousand of them, and Python 3.11 calls a function for every mention
of an enum's member.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]


class Plane:
    """How a shape lies in the world, which gives every pixel of it a depth and a place on the surface."""

    SKY = 0  # at infinity
    GROUND = 1  # y = 0
    SIDE = 2  # x = offset, along the street
    FRONT = 3  # z = offset, facing the camera


class Part:
    """What a shape is made of: a look gives each part its colours and texture."""

    SKY, CLOUD, ROAD, PAVEMENT, WALL, ROOF, TRUNK, LEAVES, POLE, LAMP, PLATE, EMBLEM = range(12)
    FENCE, BODY, GLASS, TYRE, TAIL_LIGHT, HEAD_LIGHT, SKIN, HAIR, TOP, TROUSERS, FRAME, SPOKES = range(12, 24)


PARTS = {name.lower(): part for name, part in vars(Part).items() if name.isupper()}
"""The parts' numbers by the names that the files of looks call them by."""


class Shape(NamedTuple):
    """A filled outline. ``tint`` in [0, 1) picks among the colours of the part and varies its pattern."""

    label: int
    part: int
    plane: int
    offset: float
    tint: float
    points: tuple[Point, ...]
    is_ellipse: bool = False
    """Whether ``points`` are two opposite corners of an ellipse's box instead of a polygon."""
    leans: bool = False
    """Whether ``points`` lie in another plane than that in which it is painted: their own is that of its depth."""


def ground(label: int, part: int, x0: float, x1: float, z0: float, z1: float, tint: float = 0.0) -> Shape:
    """A rectangle on the ground."""
    return Shape(label, part, Plane.GROUND, 0.0, tint, ((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)))


def side(label: int, part: int, x: float, y0: float, y1: float, z0: float, z1: float, tint: float = 0.0) -> Shape:
    """An upright rectangle along the street."""
    return Shape(label, part, Plane.SIDE, x, tint, ((x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)))


def front(label: int, part: int, x0: float, x1: float, y0: float, y1: float, z: float, tint: float = 0.0) -> Shape:
    """An upright rectangle that faces the camera."""
    return Shape(label, part, Plane.FRONT, z, tint, ((x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)))


def outline(label: int, part: int, z: float, points: tuple[tuple[float, float], ...], tint: float = 0.0) -> Shape:
    """A polygon of (x, y) that faces the camera."""
    return Shape(label, part, Plane.FRONT, z, tint, tuple([(x, y, z) for x, y in points]))


def tapered(
    label: int, part: int, x: float, below: Point, above: Point, tint: float = 0.0, *, leans: bool = False
) -> Shape:
    """Four corners that face the camera, left and right of x alike: half a width, y and z of the two ``below`` and of
    the two ``above``.
    """
    (low, y0, z0), (high, y1, z1) = below, above
    corners = ((x - low, y0, z0), (x + low, y0, z0), (x + high, y1, z1), (x - high, y1, z1))
    return Shape(label, part, Plane.FRONT, z0, tint, corners, leans=leans)


def ellipse(label: int, part: int, x: float, y: float, rx: float, ry: float, z: float, tint: float = 0.0) -> Shape:
    """An ellipse that faces the camera, by its centre and its half-axes."""
    return Shape(label, part, Plane.FRONT, z, tint, ((x - rx, y - ry, z), (x + rx, y + ry, z)), is_ellipse=True)


class Table(NamedTuple):
    """One array for each attribute of some shapes, so that an image of indices turns into attributes in one step."""

    label: NDArray[np.uint8]
    part: NDArray[np.uint8]
    plane: NDArray[np.uint8]
    offset: NDArray[np.float32]
    tint: NDArray[np.float32]
    leans: NDArray[np.bool_]


def tabulate(shapes: Sequence[Shape]) -> Table:
    """The shapes' attributes as arrays, in the shapes' order."""
    labels, parts, planes, offset, tint, _, _, leaning = zip(*shapes, strict=True)
    label, part, plane, leans = (np.array(bytearray(numbers)) for numbers in (labels, parts, planes, leaning))
    return Table(label, part, plane, np.array(offset, np.float32), np.array(tint, np.float32), leans.astype(np.bool_))
