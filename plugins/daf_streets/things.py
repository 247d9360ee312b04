"""What stands in a street, each thing built of shapes that are in the order in which they are painted."""

from functools import cache
from math import cos, pi, sin
from random import Random

from daf_streets.classes import BICYCLIST, BUILDING, CAR, PEDESTRIAN, POLE, SIGN, TREE
from daf_streets.shapes import Part, Plane, Shape, ellipse, front, outline, side, tapered

PLAIN = 28.0  # metres; what is farther has no details, which would be smaller than a pixel


def building(rng: Random, x: float, z0: float, z1: float, height: float, roof_height: float) -> list[Shape]:
    """A block from z0 to z1 whose wall along the street is at x; ``roof_height`` 0 is a flat roof."""
    tint, roof_tint = rng.random(), rng.random()
    outer, middle = (x + 14.0, x + 4.0) if x > 0 else (x - 14.0, x - 4.0)
    top = height + roof_height
    shapes = [
        front(BUILDING, Part.WALL, x, outer, 0.0, height, z0, tint),
        side(BUILDING, Part.WALL, x, 0.0, height, z0, z1, tint),
    ]
    if roof_height:
        slope = ((x, height, z0), (middle, top, z0), (middle, top, z1), (x, height, z1))
        gable = ((x, height), (middle, top), (outer, height))
        shapes.append(outline(BUILDING, Part.WALL, z0, gable, tint))
        shapes.append(Shape(BUILDING, Part.ROOF, Plane.SIDE, x, roof_tint, slope, leans=True))
    else:
        shapes.append(side(BUILDING, Part.ROOF, x, height - 0.35, height, z0, z1, roof_tint))
    return shapes


@cache
def _circle(points: int) -> tuple[tuple[float, float], ...]:
    return tuple((cos(2 * pi * i / points), sin(2 * pi * i / points)) for i in range(points))


def tree(rng: Random, x: float, z: float, height: float, width: float, points: int) -> list[Shape]:
    """A trunk and a crown of three ragged outlines with ``points`` corners, dark below and light above."""
    random = rng.random
    trunk = height * (0.22 + 0.12 * random())
    thickness = 0.03 * height + 0.06
    radius_x, radius_y = width / 2, (height - trunk) / 2
    shapes = [front(TREE, Part.TRUNK, x - thickness / 2, x + thickness / 2, 0.0, trunk + radius_y, z, random())]
    tint = random() * 0.7
    layers = ((1.0, 0.0, 0.0), (0.75, 0.16, 0.15), (0.42, 0.34, 0.29))
    for scale, rise, shade in layers if z < PLAIN else layers[:2]:
        middle_x = x + (random() - 0.5) * 0.5 * radius_x * (1 - scale)
        middle_y = trunk + radius_y * (1 + rise)
        crown = []
        for cosine, sine in _circle(points):
            reach = scale * (0.82 + 0.3 * random())
            crown.append((middle_x + radius_x * reach * cosine, middle_y + radius_y * reach * sine, z))
        shapes.append(Shape(TREE, Part.LEAVES, Plane.FRONT, z, tint + shade, tuple(crown)))
    return shapes


def lamp_post(rng: Random, x: float, z: float, height: float, width: float) -> list[Shape]:
    """A pole with an arm that holds a lamp over the road."""
    tint = rng.random()
    reach = -1.5 if x > 0 else 1.5
    arm = ((x, height), (x + reach, height + 0.25), (x + reach, height + 0.25 - width), (x, height - width * 1.5))
    return [
        front(POLE, Part.POLE, x - width / 2, x + width / 2, 0.0, height, z, tint),
        outline(POLE, Part.POLE, z, arm, tint),
        front(POLE, Part.LAMP, x + reach - 0.35, x + reach + 0.35, height + 0.02, height + 0.3, z, tint),
    ]


def sign(rng: Random, x: float, z: float, size: float, width: float) -> list[Shape]:
    """A round, triangular or rectangular plate with an emblem, on a pole."""
    tint, pole_tint = rng.random(), rng.random()
    y = rng.uniform(2.1, 2.7)
    r = size / 2
    shapes = [front(POLE, Part.POLE, x - width / 2, x + width / 2, 0.0, y, z, pole_tint)]
    kind = rng.randrange(3)
    if kind == 0:
        shapes.append(ellipse(SIGN, Part.PLATE, x, y, r, r, z, tint))
        shapes.append(ellipse(SIGN, Part.EMBLEM, x, y, r * 0.62, r * 0.62, z, tint))
    elif kind == 1:
        for part, s in ((Part.PLATE, 1.15), (Part.EMBLEM, 0.6)):
            corners = ((x - r * s, y - r * s * 0.75), (x + r * s, y - r * s * 0.75), (x, y + r * s))
            shapes.append(outline(SIGN, part, z, corners, tint))
    else:
        shapes.append(front(SIGN, Part.PLATE, x - r, x + r, y - r * 1.2, y + r * 1.2, z, tint))
        shapes.append(front(SIGN, Part.EMBLEM, x - r * 0.65, x + r * 0.65, y - r * 0.3, y + r * 0.7, z, tint))
    return shapes


def car(rng: Random, x: float, z: float, is_oncoming: bool) -> list[Shape]:
    """A car whose near end is at z: its side towards the camera, then the lid and roof, then its near end."""
    tint = rng.random()
    half, length = rng.uniform(0.85, 0.98), rng.uniform(3.9, 4.7)
    waist, roof = rng.uniform(0.88, 1.0), rng.uniform(1.42, 1.62)
    if rng.random() < 0.2:  # a van
        waist, roof, length = 1.15, 2.1, 5.0
    shapes = []
    far = z + length
    if abs(x) > half:
        flank, inner = (x - half, x - half + 0.12) if x > 0 else (x + half, x + half - 0.12)
        cabin = ((flank, waist, z + 0.3), (inner, roof, z + 0.8), (inner, roof, far - 1.7), (flank, waist, far - 0.9))
        low, high = waist + 0.06, roof - 0.12
        glass = ((flank, low, z + 0.6), (inner, high, z + 1.0), (inner, high, far - 1.8), (flank, low, far - 1.2))
        shapes += [
            side(CAR, Part.BODY, flank, 0.22, waist, z, far, tint),
            Shape(CAR, Part.BODY, Plane.SIDE, flank, tint, cabin, leans=True),
            Shape(CAR, Part.GLASS, Plane.SIDE, flank, tint, glass, leans=True),
        ]
        for axle in (z + 0.8, far - 0.8):
            wheel = tuple([(flank, 0.33 + 0.33 * dy, axle + 0.33 * dz) for dy, dz in _circle(8)])
            shapes.append(Shape(CAR, Part.TYRE, Plane.SIDE, flank, tint, wheel))
    narrow, behind = half * 0.84, z + 0.3
    shapes += [  # first the lid and the roof, then the front of the cabin and its window
        tapered(CAR, Part.BODY, x, (half, waist, z), (half * 0.9, waist, z + 0.5), tint, leans=True),
        tapered(CAR, Part.BODY, x, (narrow, roof, z + 0.8), (narrow, roof, z + (length - 1.7)), tint, leans=True),
        tapered(CAR, Part.BODY, x, (half * 0.96, waist, behind), (narrow, roof, behind), tint),
        tapered(CAR, Part.GLASS, x, (narrow, waist + 0.07, behind), (half * 0.74, roof - 0.1, behind), tint),
        front(CAR, Part.BODY, x - half, x + half, 0.24, waist, z, tint),
        front(CAR, Part.TYRE, x - half * 0.95, x + half * 0.95, 0.2, 0.36, z, tint),
    ]
    if z < PLAIN:
        light = Part.HEAD_LIGHT if is_oncoming else Part.TAIL_LIGHT
        shapes += [
            front(CAR, Part.TYRE, x - half + 0.08, x - half + 0.32, 0.0, 0.36, z, tint),
            front(CAR, Part.TYRE, x + half - 0.32, x + half - 0.08, 0.0, 0.36, z, tint),
            front(CAR, light, x - half * 0.95, x - half * 0.6, waist - 0.28, waist - 0.1, z, tint),
            front(CAR, light, x + half * 0.6, x + half * 0.95, waist - 0.28, waist - 0.1, z, tint),
        ]
    return shapes


def pedestrian(rng: Random, x: float, z: float) -> list[Shape]:
    """Someone who walks or stands."""
    height = rng.uniform(1.5, 1.9)
    legs, shoulders = 0.47 * height, 0.83 * height
    half = rng.uniform(0.22, 0.3)
    stride = rng.uniform(0.02, 0.3)
    top, trousers, skin = rng.random(), rng.random(), rng.random()
    left = ((x - 0.02, legs), (x - half * 0.8, legs), (x - stride - 0.12, 0.0), (x - stride + 0.1, 0.0))
    right = ((x + 0.02, legs), (x + half * 0.8, legs), (x + stride + 0.12, 0.0), (x + stride - 0.1, 0.0))
    arm = ((x + half, shoulders), (x + half + 0.12, legs), (x + half, legs - 0.05), (x + half - 0.1, shoulders))
    y = height - 0.14
    return [
        outline(PEDESTRIAN, Part.TROUSERS, z, left, trousers),
        outline(PEDESTRIAN, Part.TROUSERS, z, right, trousers),
        tapered(PEDESTRIAN, Part.TOP, x, (half * 0.75, legs - 0.05, z), (half, shoulders, z), top),
        outline(PEDESTRIAN, Part.TOP, z, arm, top),
        ellipse(PEDESTRIAN, Part.HAIR, x, y + 0.03, 0.14, 0.16, z, skin),
        ellipse(PEDESTRIAN, Part.SKIN, x, y - 0.05, 0.11, 0.12, z, skin),
    ]


def cyclist_along(rng: Random, x: float, z: float) -> list[Shape]:
    """A rider seen from behind or ahead: a narrow wheel, a rider above it."""
    top, trousers, skin, frame = (rng.random() for _ in range(4))
    legs = ((x - 0.2, 1.0), (x + 0.2, 1.0), (x + 0.24, 0.45), (x - 0.24, 0.3))
    return [
        ellipse(BICYCLIST, Part.TYRE, x, 0.36, 0.1, 0.36, z, frame),
        front(BICYCLIST, Part.FRAME, x - 0.36, x + 0.36, 0.98, 1.08, z, frame),
        outline(BICYCLIST, Part.TROUSERS, z, legs, trousers),
        tapered(BICYCLIST, Part.TOP, x, (0.22, 0.95, z), (0.3, 1.5, z), top),
        ellipse(BICYCLIST, Part.HAIR, x, 1.69, 0.15, 0.17, z, skin),
        ellipse(BICYCLIST, Part.SKIN, x, 1.63, 0.11, 0.11, z, skin),
    ]


def cyclist_across(rng: Random, x: float, z: float) -> list[Shape]:
    """A rider seen from the side: two wheels, a frame, a rider who leans forward."""
    top, trousers, skin, frame = (rng.random() for _ in range(4))
    d = rng.choice((-1.0, 1.0))

    def part(kind: int, tint: float, *points: tuple[float, float]) -> Shape:
        """An outline by (metres ahead of the rider's middle, height)."""
        return outline(BICYCLIST, kind, z, tuple([(x + ahead * d, y) for ahead, y in points]), tint)

    return [
        ellipse(BICYCLIST, Part.TYRE, x - 0.5, 0.36, 0.36, 0.36, z, frame),
        ellipse(BICYCLIST, Part.SPOKES, x - 0.5, 0.36, 0.26, 0.26, z, frame),
        ellipse(BICYCLIST, Part.TYRE, x + 0.5, 0.36, 0.36, 0.36, z, frame),
        ellipse(BICYCLIST, Part.SPOKES, x + 0.5, 0.36, 0.26, 0.26, z, frame),
        part(Part.FRAME, frame, (-0.45, 0.4), (-0.2, 0.9), (0.5, 1.0), (0.55, 0.4), (0.4, 0.75), (0, 0.3)),
        part(Part.TROUSERS, trousers, (-0.28, 0.95), (0, 1.05), (0.22, 0.65), (0.1, 0.18), (-0.08, 0.2), (0.03, 0.6)),
        part(Part.TOP, top, (-0.32, 0.95), (0, 0.95), (0.35, 1.42), (0.1, 1.6)),
        part(Part.TOP, top, (0.2, 1.5), (0.34, 1.36), (0.55, 0.98), (0.45, 0.98)),
        ellipse(BICYCLIST, Part.HAIR, x + 0.33 * d, 1.72, 0.16, 0.16, z, skin),
        ellipse(BICYCLIST, Part.SKIN, x + 0.36 * d, 1.67, 0.11, 0.11, z, skin),
    ]
