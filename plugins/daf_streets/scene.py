"""A street as pure data, drawn by chance from a layout's statistics; nothing here knows what it will look like."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from attrs import frozen

from daf_streets import things
from daf_streets.classes import BUILDING, FENCE, PAVEMENT, ROAD, SKY
from daf_streets.shapes import Part, Plane, Shape, front, ground, side

Range = tuple[float, float]
FAR = 110.0  # metres to the row that closes the street
IN_VIEW = 1.7  # what is this many times farther ahead than aside is inside the picture
NEAR = 1.0  # metres; nothing is nearer


@frozen
class Layout:
    """The statistics of a street: ranges in metres, counts as ranges of whole numbers, chances in [0, 1]."""

    eye_height: Range
    horizon: Range  # fraction of the image's height, from the top
    vanishing_point: Range  # fraction of the image's width
    focal_length: Range  # in units of sqrt(1.5 * width * height) pixels
    road_left: Range  # from the camera to the left kerb
    road_right: Range
    pavement_width: Range
    building_length: Range
    building_height: Range
    gap_chance: float  # a side street or garden instead of a building
    gap_length: Range
    pitched_chance: float
    tree_spacing: Range
    tree_height: Range
    crown_points: int
    garden_tree_chance: float
    pole_spacing: Range
    pole_width: Range
    signs: tuple[int, int]
    sign_size: Range
    fence_chance: float  # for each ten metres of each pavement
    fence_height: Range
    traffic: tuple[int, int]  # cars that drive
    parked_chance: float  # for each six metres of each kerb
    pedestrians: tuple[int, int]
    cyclists: tuple[int, int]
    clouds: tuple[int, int]
    crossing_chance: float


@frozen
class View:
    """Where the camera is and what it sees; fractions as in `Layout`."""

    eye_height: float
    horizon: float
    vanishing_point: float
    focal_length: float


@frozen
class Street:
    """Where the road and its markings lie: metres from the camera's own line, left negative."""

    left: float
    right: float
    pavement: float
    crossing: float | None  # the z at which a zebra crossing begins


class Caster(NamedTuple):
    """A box that throws a shadow on the ground."""

    x: float
    z: float
    half_width: float
    length: float
    bottom: float
    height: float


@frozen
class Scene:
    """A view, a street, and the shapes in it in the order in which they are painted: a later one covers an earlier.

    The first shape is the sky: it has no outline and fills what nothing else covers.
    """

    view: View
    street: Street
    shapes: tuple[Shape, ...]
    casters: tuple[Caster, ...]


def sample_scene(rng: Random, layout: Layout) -> Scene:
    """Draw a street from the layout's statistics."""
    ranges = (layout.eye_height, layout.horizon, layout.vanishing_point, layout.focal_length)
    view = View(*(rng.uniform(*one) for one in ranges))
    crossing = rng.uniform(7.0, 18.0) if rng.random() < layout.crossing_chance else None
    left, right = -rng.uniform(*layout.road_left), rng.uniform(*layout.road_right)
    street = Street(left, right, rng.uniform(*layout.pavement_width), crossing)
    surface, behind = _sides(rng, layout, street)
    objects = [one for sign, kerb in ((-1.0, left), (1.0, right)) for one in _rows(rng, layout, street, sign, kerb)]
    objects += [*_traffic(rng, layout, street), *_people(rng, layout, street)]
    shapes = [*_sky(rng, layout), *surface, *_far_to_near(behind), *_far_to_near(objects)]
    return Scene(view, street, tuple(shapes), tuple(caster for _, _, caster in objects if caster is not None))


Placed = tuple[float, list[Shape], Caster | None]
"""How far away a thing stands, what it is made of, and what of it throws a shadow."""


def _far_to_near(placed: list[Placed]) -> list[Shape]:
    return [shape for _, shapes, _ in sorted(placed, key=lambda one: -one[0]) for shape in shapes]


def _sky(rng: Random, layout: Layout) -> list[Shape]:
    shapes = [Shape(SKY, Part.SKY, Plane.SKY, 500.0, rng.random(), ())]
    for _ in range(rng.randint(*layout.clouds)):
        x, y = rng.uniform(-400, 400), rng.uniform(60, 260)
        for _ in range(3):
            cx, cy = x + rng.uniform(-45, 45), y + rng.uniform(-8, 8)
            rx, ry = rng.uniform(25, 60), rng.uniform(8, 16)
            corners = ((cx - rx, cy - ry, 500.0), (cx + rx, cy + ry, 500.0))
            shapes.append(Shape(SKY, Part.CLOUD, Plane.SKY, 500.0, rng.random(), corners, is_ellipse=True))
    return shapes


def _sides(rng: Random, layout: Layout, street: Street) -> tuple[list[Shape], list[Placed]]:
    """The ground, and the rows of buildings and gardens behind both pavements."""
    surface = [
        ground(PAVEMENT, Part.PAVEMENT, -900.0, 900.0, NEAR, 400.0),
        ground(ROAD, Part.ROAD, street.left, street.right, NEAR, 400.0),
    ]
    placed: list[Placed] = [(FAR, _backdrop(rng, layout), None)]
    for sign, edge in ((-1.0, street.left - street.pavement), (1.0, street.right + street.pavement)):
        z = rng.uniform(-8.0, 2.0)
        while z < FAR:
            if z > 4.0 and rng.random() < layout.gap_chance:
                length = rng.uniform(*layout.gap_length)
                if rng.random() < 0.4:
                    kerb = street.left if sign < 0 else street.right
                    surface.append(ground(ROAD, Part.ROAD, kerb, sign * 60.0, z + 1.0, z + length - 1.0))
                for _ in range(3):
                    if rng.random() < layout.garden_tree_chance:
                        x, tz = edge + sign * rng.uniform(2.0, 9.0), z + rng.uniform(0.2, 0.9) * length
                        placed.append((tz, _tree(rng, layout, x, tz), None))
            else:
                length = rng.uniform(*layout.building_length)
                height = rng.uniform(*layout.building_height)
                roof = rng.uniform(1.5, 4.0) if rng.random() < layout.pitched_chance else 0.0
                if z + length > NEAR:
                    placed.append((z, things.building(rng, edge, max(z, NEAR), z + length, height, roof), None))
            z += length
    return surface, placed


def _backdrop(rng: Random, layout: Layout) -> list[Shape]:
    """What closes the street: houses and crowns side by side, so that the horizon itself is never seen."""
    shapes = []
    x = -85.0
    while x < 85.0:
        width = rng.uniform(8.0, 25.0)
        height = rng.uniform(*layout.building_height)
        shapes.append(front(BUILDING, Part.WALL, x, x + width, 0.0, height, FAR, rng.random()))
        x += width
    for _ in range(6):
        if rng.random() < layout.garden_tree_chance:
            shapes += _tree(rng, layout, rng.uniform(-40.0, 40.0), FAR - 2.0)
    return shapes


def _tree(rng: Random, layout: Layout, x: float, z: float) -> list[Shape]:
    height = rng.uniform(*layout.tree_height)
    points = max(7, min(layout.crown_points, round(layout.crown_points * 10.0 / z)))
    return things.tree(rng, x, z, height, height * rng.uniform(0.55, 0.8), points)


def _rows(rng: Random, layout: Layout, street: Street, sign: float, kerb: float) -> Iterator[Placed]:
    """Trees, lamp posts, signs, fences and parked cars along one kerb."""
    z = rng.uniform(5.0, 12.0)
    while z < 50.0:
        x = kerb + sign * rng.uniform(0.5, 0.9)
        yield z, _tree(rng, layout, x, z), Caster(x, z, 1.5, 2.5, 2.5, 5.0)
        z += rng.uniform(*layout.tree_spacing)
    z = rng.uniform(4.0, 12.0)
    while z < 40.0:
        x, width = kerb + sign * rng.uniform(0.3, 0.5), rng.uniform(*layout.pole_width)
        post = things.lamp_post(rng, x, z, rng.uniform(5.0, 7.5), width)
        yield z, post, Caster(x, z, width / 2, width, 0.0, 6.0)
        z += rng.uniform(*layout.pole_spacing)
    for _ in range(rng.randint(*layout.signs)):
        x, z = kerb + sign * rng.uniform(0.4, 1.0), 5.0 + 16.0 * rng.random() ** 1.5
        z = max(z, IN_VIEW * abs(x))
        yield z, things.sign(rng, x, z, rng.uniform(*layout.sign_size), rng.uniform(*layout.pole_width) * 0.8), None
    height, tint = rng.uniform(*layout.fence_height), rng.random()
    for start in range(3, 63, 10):
        if rng.random() < layout.fence_chance:
            if rng.random() < 0.7:  # before the houses, where nothing stands behind it
                x, step, ahead = kerb + sign * (street.pavement - 0.3), 10, 10.0
            else:
                x, step, ahead = kerb + sign * 0.2, 2, 1.0
            for z in range(start, start + 10, step):
                yield z + ahead, [side(FENCE, Part.FENCE, x, 0.0, height, z, z + step, tint)], None
    for start in range(6, 46, 6):
        if rng.random() < layout.parked_chance:
            x, z = kerb - sign * 1.05, start + rng.uniform(0.0, 1.0)
            yield z, things.car(rng, x, z, sign < 0), Caster(x, z, 0.9, 4.4, 0.0, 1.4)


def _traffic(rng: Random, layout: Layout, street: Street) -> Iterator[Placed]:
    z = rng.uniform(7.0, 16.0)
    for _ in range(rng.randint(*layout.traffic)):
        is_oncoming = rng.random() < 0.5
        x = street.left / 2 - 0.4 + rng.uniform(-0.3, 0.3) if is_oncoming else rng.uniform(-0.3, 0.3)
        yield z, things.car(rng, x, z, is_oncoming), Caster(x, z, 0.9, 4.4, 0.0, 1.4)
        z += rng.uniform(6.0, 16.0)


def _people(rng: Random, layout: Layout, street: Street) -> Iterator[Placed]:
    for _ in range(rng.randint(*layout.pedestrians)):
        z = 4.2 + 11.0 * rng.random() ** 1.7
        if rng.random() < 0.2:
            x = rng.uniform(street.left, street.right)
        elif rng.random() < 0.5:
            x = street.right + rng.uniform(0.3, street.pavement - 0.4)
        else:
            x = street.left - rng.uniform(0.3, street.pavement - 0.4)
        z = max(z, IN_VIEW * abs(x))
        yield z, things.pedestrian(rng, x, z), Caster(x, z, 0.25, 0.3, 0.0, 1.7)
    for _ in range(rng.randint(*layout.cyclists)):
        z = 4.8 + 9.0 * rng.random() ** 1.7
        if rng.random() < 0.5:
            x, cyclist = rng.uniform(street.left, street.right), things.cyclist_across
        else:
            x, cyclist = rng.choice((street.right - 0.6, street.left + 0.6, street.left / 2)), things.cyclist_along
        yield z, cyclist(rng, x, z), Caster(x, z, 0.4, 0.8, 0.0, 1.6)
