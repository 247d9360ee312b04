"""From shapes in the world to pixels: which shape is seen where, how far away it is, and where on its surface."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from daf_streets.scene import Scene, View
from daf_streets.shapes import Plane, Point, Table

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Indices = NDArray[np.int32]

HORIZON_DEPTH = 500.0  # metres; the depth of the sky, and of ground that would be farther


class Pixels(NamedTuple):
    """What each pixel (H, W) shows: an index into the scene's shapes, the depth, and metres on the shape's plane.

    On the ground ``across`` is x and ``along`` is z; on an upright plane ``across`` is horizontal and ``along`` is the
    height above the ground.
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


def project(points: Sequence[Point], lens: Lens) -> list[tuple[float, float]]:
    """World points, all ahead of the camera, to (x, y) in pixels."""
    x, y, z = np.asarray(points, np.float64).reshape(-1, 3).T
    scale = lens.focal / z
    return list(zip((lens.x + x * scale).tolist(), (lens.y - (y - lens.eye) * scale).tolist(), strict=True))


def rasterise(scene: Scene, table: Table, height: int, width: int) -> Pixels:
    """Paint the scene's shapes over one another, each in its own number, and find every pixel's place in the world."""
    view = lens(scene.view, height, width)
    points = project([point for shape in scene.shapes for point in shape.points], view)
    canvas = Image.new("I", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    start = 0
    for number, shape in enumerate(scene.shapes):
        end = start + len(shape.points)
        corners = points[start:end]
        start = end
        if shape.is_ellipse:
            (x0, y1), (x1, y0) = corners
            draw.ellipse((x0, y0, x1, y1), fill=number)
        elif corners:
            draw.polygon(corners, fill=number)
    return _place(table, np.asarray(canvas, np.int32), view)


def draw_mask(polygons: Sequence[Sequence[Point]], view: Lens, height: int, width: int) -> NDArray[np.bool_]:
    """Where any of the world polygons lies in the image, hidden or not."""
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    points = project([point for polygon in polygons for point in polygon], view)
    start = 0
    for polygon in polygons:
        draw.polygon(points[start : start + len(polygon)], fill=1)
        start += len(polygon)
    return np.asarray(canvas) > 0


def _place(table: Table, shape: Indices, view: Lens) -> Pixels:
    height, width = shape.shape
    plane, offset = table.plane[shape], table.offset[shape]
    dx = np.arange(width, dtype=np.float32) + np.float32(0.5 - view.x)
    dy = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - view.y)
    dx[np.abs(dx) < 0.25] = 0.25
    below = np.where(dy > 0, view.focal * view.eye / np.maximum(dy, 0.05), HORIZON_DEPTH).astype(np.float32)
    depth = np.where(plane == Plane.SIDE, offset * (view.focal / dx), offset)
    depth = np.where(plane == Plane.GROUND, below, depth)
    depth[plane == Plane.SKY] = HORIZON_DEPTH
    np.clip(depth, 0.5, HORIZON_DEPTH, out=depth)
    metres = depth * np.float32(1 / view.focal)
    across = np.where(plane == Plane.SIDE, depth, metres * dx)
    along = np.where(plane == Plane.GROUND, depth, np.float32(view.eye) - metres * dy)
    return Pixels(shape, depth, across, along)
