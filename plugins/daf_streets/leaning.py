"""The depth of what leans: roofs, bonnets and windscreens, which are painted as if they stood upright."""

import numpy as np

from daf_streets.raster import Floats, Lens, Pixels, lens
from daf_streets.scene import Scene
from daf_streets.shapes import Shape, Table


def lean(scene: Scene, table: Table, pixels: Pixels, height: int, width: int) -> Floats:
    """The depth of every pixel (H * W), which for a shape that leans is that of its own corners' plane.

    It is that of ``pixels``, which is written to.
    """
    spots = np.flatnonzero(table.leans[pixels.shape])
    numbers = pixels.shape[spots]
    seen = np.flatnonzero(np.bincount(numbers))
    view = lens(scene.view, height, width)
    planes = np.array([_plane(scene.shapes[number], view) for number in seen.tolist()]).reshape(-1, 5)
    right, down, corner, least, most = planes.T[:, np.searchsorted(seen, numbers)]
    row, column = np.divmod(spots, width)
    pixels.depth[spots] = 1 / (right * column + down * row + corner).clip(least, most)
    return pixels.depth


def _plane(shape: Shape, view: Lens) -> tuple[float, float, float, float, float]:
    """One over the depth, which changes evenly over an image: by column, by row, at the first pixel; least and most."""
    (x, y, z), (x1, y1, z1), (x2, y2, z2), *_ = shape.points
    ax, ay, az, bx, by, bz = x1 - x, y1 - y, z1 - z, x2 - x, y2 - y, z2 - z
    across, up, ahead = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx  # what is at right angles to it
    distance = across * x + up * (y - view.eye) + ahead * z or 1e-9  # 0 where the plane is seen from its edge
    right, down = across / (view.focal * distance), -up / (view.focal * distance)
    depths = [point[2] for point in shape.points]
    corner = ahead / distance + right * (0.5 - view.x) + down * (0.5 - view.y)
    return right, down, corner, 1 / max(depths), 1 / min(depths)
