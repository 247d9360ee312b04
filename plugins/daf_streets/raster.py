"""From shapes in the world to pixels: which shape is seen where, how far away it is, and where on its surface."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from daf_streets.scene import Scene, View
from daf_streets.shapes import Plane, Point, Table

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Indices = NDArray[np.intp]

HORIZON_DEPTH = 500.0  # metres; the depth of the sky, and of ground that would be farther


class Pixels(NamedTuple):
    """What each pixel shows, in reading order (H * W): an index into the scene's shapes, a depth, a place on the shape.

    On the ground ``across`` is x and ``along`` is z; on an upright plane ``across`` is horizontal and ``along`` is the
    height above the ground; all in metres.
    """

    shape: Indices
    depth: Floats
    across: Floats
    along: Floats


class Lens(NamedTuple):
    """A view for one image size: focal length, vanishing point and horizon in pixels, the eye's height in metres."""

    focal: float
    x: float
    y: float
    eye: float


def lens(view: View, height: int, width: int) -> Lens:
    """The view's projection onto an image of height x width pixels."""
    focal = view.focal_length * float(np.sqrt(1.5 * height * width))
    return Lens(focal, view.vanishing_point * width, view.horizon * height, view.eye_height)


def project(polygons: Iterable[tuple[Point, ...]], lens: Lens) -> list[list[float]]:
    """World polygons, all ahead of the camera, to pixels: a list x0, y0, x1, y1, ... for each."""
    polygons = list(polygons)
    x, y, z = np.array(list(chain.from_iterable(polygons)), np.float32).T
    scale = lens.focal / z
    flat = iter(np.stack([lens.x + x * scale, lens.y - (y - lens.eye) * scale], axis=1).ravel().tolist())
    return [list(islice(flat, 2 * len(polygon))) for polygon in polygons]


def rasterise(scene: Scene, table: Table, height: int, width: int) -> Pixels:
    """Paint the scene's shapes over one another, each in its own number, and find every pixel's place in the world."""
    view = lens(scene.view, height, width)
    canvas = Image.new("I", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    corners = project((shape.points for shape in scene.shapes), view)
    for number, (shape, xy) in enumerate(zip(scene.shapes, corners, strict=True)):
        if shape.is_ellipse:
            draw.ellipse((xy[0], xy[3], xy[2], xy[1]), fill=number)
        elif xy:
            draw.polygon(xy, fill=number)
    return _place(table, np.asarray(canvas, np.intp).ravel(), view, height, width)


def draw_mask(polygons: Sequence[tuple[Point, ...]], view: Lens, height: int, width: int) -> NDArray[np.bool_]:
    """Where any of the world polygons lies in the image, hidden or not: (H * W)."""
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    for xy in project(polygons, view):
        draw.polygon(xy, fill=1)
    return np.asarray(canvas).ravel().astype(np.bool_)


def _place(table: Table, shape: Indices, view: Lens, height: int, width: int) -> Pixels:
    dx = np.arange(width, dtype=np.float32) + np.float32(0.5 - view.x)
    dx[np.abs(dx) < 0.25] = 0.25
    dy = np.arange(height, dtype=np.float32) + np.float32(0.5 - view.y)
    plane = table.plane[shape].reshape(height, width)
    is_ground, is_side = plane == Plane.GROUND, plane == Plane.SIDE
    depth = table.offset[shape].reshape(height, width)  # right as it is for what faces the camera
    below = np.where(dy > 0, view.focal * view.eye / np.maximum(dy, 0.05), HORIZON_DEPTH).astype(np.float32)
    np.copyto(depth, below[:, None], where=is_ground)
    np.copyto(depth, depth * (view.focal / dx).astype(np.float32), where=is_side)
    np.clip(depth, 0.5, HORIZON_DEPTH, out=depth)
    metres = depth * np.float32(1 / view.focal)
    across, along = metres * dx, np.float32(view.eye) - metres * dy[:, None]
    np.copyto(across, depth, where=is_side)
    np.copyto(along, depth, where=is_ground)
    return Pixels(shape, depth.ravel(), across.ravel(), along.ravel())
