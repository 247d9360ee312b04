"""From pixels that know their place in the world to colours: material, pattern, texture, light, shadow and haze."""

from collections.abc import Mapping, Sequence
from functools import cache
from random import Random

import numpy as np
from attrs import frozen

from daf_streets.raster import Bytes, Floats, Indices, Pixels, draw_mask, lens
from daf_streets.scene import FAR, Range, Scene
from daf_streets.shapes import PARTS, Part, Plane, Point, Table

RGB = tuple[int, int, int]
TILE = 256  # texels, a power of two: the noise repeats


@frozen(eq=False)
class Paint:
    """The appearance of a scene before any camera has seen it. Ranges are drawn anew for each image."""

    colours: Mapping[str, Sequence[RGB]]  # of each of `PARTS`
    window: Sequence[RGB]
    window_share: Range  # of a wall's width and height
    marking: RGB
    sky_gradient: float  # how much lighter the horizon is than the top, a fraction
    textures: Mapping[str, Range]  # noise on a part: texels a metre, and how far it moves the brightness
    fence_gap: float  # brightness between a fence's bars, a fraction of theirs
    wear: float  # how uneven walls, windows and markings are, a fraction
    sun: Range  # brightness of lit planes beyond the ambient light
    ambient: Range
    shadow_chance: float
    haze: Range  # per metre
    haze_colour: RGB


@cache
def _noise() -> Floats:
    """A tile of noise with structure at several scales, mean 0 and deviation 1; the same in every process."""
    rng = np.random.default_rng(20180)
    tile = np.zeros((TILE, TILE), np.float32)
    for step in (1, 2, 4, 8, 16):
        octave = rng.standard_normal((TILE // step, TILE // step)).astype(np.float32)
        octave = np.kron(octave, np.ones((step, step), np.float32))
        for shift in (step // 2, step // 4):  # rounds the blocks off
            octave = octave + np.roll(octave, shift, 0) + np.roll(octave, shift, 1) + np.roll(octave, shift, (0, 1))
        tile += octave / octave.std()
    normal: Floats = tile / tile.std()
    return normal


def paint(scene: Scene, table: Table, pixels: Pixels, look: Paint, rng: Random, height: int, width: int) -> Floats:
    """Colours (3, H, W) in 0 to 1, of what the pixels show."""
    sun_side = rng.choice((-1.0, 1.0))
    sun, ambient = rng.uniform(*look.sun), rng.uniform(*look.ambient)
    haze, is_sunny = rng.uniform(*look.haze), rng.random() < look.shadow_chance
    view = lens(scene.view, height, width)
    light = _light(table, sun_side, sun, ambient)
    image = (_colours(table, look) * light[:, None]).T.take(pixels.shape, axis=1)
    part = table.part[pixels.shape]
    shade = _texture(table, pixels, look, view.focal)
    _windows(image, shade, scene, table, pixels, part, light, look)
    _markings(image, shade, scene, pixels, part, look)
    _fences(shade, pixels, part, look)
    _sky(image, part, look, width)
    if is_sunny:
        shadow = draw_mask(_shadows(scene, sun_side), view, height, width)
        shadow &= (part == Part.ROAD) | (part == Part.PAVEMENT)
        np.copyto(shade, shade * (ambient / (ambient + sun)), where=shadow)
    clear = np.exp(pixels.depth * np.float32(-haze))
    haze_colour = np.array(look.haze_colour, np.float32)[:, None] / 255
    hazy: Floats = image * (shade * clear) + haze_colour * (1 - clear)
    return hazy.reshape(3, height, width)


def _colours(table: Table, look: Paint) -> Floats:
    """One colour for each shape (shapes, 3): a tint goes from the part's first colour to its last, in steps."""
    colours = np.array([colour for part in PARTS for colour in look.colours[part]], np.float32) / np.float32(255)
    count = np.array([len(look.colours[part]) for part in PARTS])
    first: Indices = np.cumsum(count) - count
    return colours[first[table.part] + (table.tint * count[table.part].astype(np.float32)).astype(np.intp)]


def _light(table: Table, sun_side: float, sun: float, ambient: float) -> Floats:
    """Brightness of each shape by the way it faces; the sun stands high on one side, a little behind the camera."""
    # In the planes' order: sky, ground, side, front.
    levels = np.array([1.0, ambient + sun, ambient + 0.95 * sun, ambient + 0.7 * sun], np.float32)
    light = levels[table.plane]
    light[(table.plane == Plane.SIDE) & (table.offset * sun_side > 0)] = ambient + 0.15 * sun
    return light


def _windows(
    image: Floats, shade: Floats, scene: Scene, table: Table, pixels: Pixels, part: Bytes, light: Floats, look: Paint
) -> None:
    """Rows of windows on the walls, as wide and high as each wall's tint says; none is cut off by the roof."""
    tops = np.zeros(len(table.part), np.float32)
    numbers = np.flatnonzero(table.part == Part.WALL)
    tops[numbers] = [scene.shapes[number].points[2][1] for number in numbers.tolist()]
    columns, storeys = 1 / (2.0 + 1.6 * table.tint), 1 / (2.7 + 0.6 * table.tint)
    complete = tops * storeys - 0.9
    walls = np.flatnonzero(part == Part.WALL)
    shape = pixels.shape[walls]
    column = pixels.across[walls] * columns[shape] + (7 * table.tint)[shape]
    row = pixels.along[walls] * storeys[shape]
    u, v = np.floor(column), np.floor(row)
    column -= u
    row -= v
    share_x, share_y = look.window_share
    is_window = (np.abs(column - 0.5) < share_x / 2) & (np.abs(row - 0.55) < share_y / 2) & (v < complete[shape])
    if look.wear:  # dirt near the ground, a ledge under each storey
        shade[walls] *= 1 - look.wear * ((v < 1) * (1 - row) + 0.35 * (row > 0.94))
    panes = np.flatnonzero(is_window)
    u, v = u[panes].astype(np.intp), v[panes].astype(np.intp)
    cell = _noise()[u * 37 & (TILE - 1), v * 61 & (TILE - 1)]
    glass = np.array(look.window, np.float32).T / 255
    which = (np.abs(cell) * 97).astype(np.intp) % len(look.window)
    brightness, spots = (1 + look.wear * cell) * light[shape[panes]], walls[panes]
    image[:, spots] = glass[:, which] * brightness


def _markings(image: Floats, shade: Floats, scene: Scene, pixels: Pixels, part: Bytes, look: Paint) -> None:
    street = scene.street
    road = np.flatnonzero(part == Part.ROAD)
    x, z = pixels.across[road], pixels.along[road]
    middle, half = (street.left + street.right) / 2, (street.right - street.left) / 2
    is_marked = np.abs(x - middle + street.right / 4) < 0.09
    is_marked[is_marked] = z[is_marked] % 6 < 3
    is_marked |= np.abs(np.abs(x - middle) - half + 0.35) < 0.07
    if street.crossing is not None:
        is_striped = (z > street.crossing) & (z < street.crossing + 3)
        is_marked[is_striped] = x[is_striped] % 1 < 0.5
    spots = road[is_marked]
    ink = np.array(look.marking, np.float32)[:, None] / 255
    image[:, spots] += (ink - image[:, spots]) * (1 - look.wear)
    pavement = np.flatnonzero(part == Part.PAVEMENT)
    beyond = np.abs(pixels.across[pavement] - middle) - half
    shade[pavement[beyond < 0.2]] *= 1.18


def _fences(shade: Floats, pixels: Pixels, part: Bytes, look: Paint) -> None:
    fence = np.flatnonzero(part == Part.FENCE)
    is_gap = (pixels.across[fence] % 0.5 < 0.17) | (np.abs(pixels.along[fence] - 0.25) < 0.06)
    shade[fence[is_gap]] *= look.fence_gap


def _sky(image: Floats, part: Bytes, look: Paint, width: int) -> None:
    is_sky = part == Part.SKY
    rise = np.arange(len(part) // width, dtype=np.float32) * (2 * look.sky_gradient * width / len(part))
    image += (1 - image) * (np.minimum(rise, 0.9)[:, None] * is_sky.reshape(-1, width)).ravel()


def _texture(table: Table, pixels: Pixels, look: Paint, focal: float) -> Floats:
    """Factors of brightness, mean 1."""
    density, amount = np.array([look.textures.get(part, (1, 0)) for part in PARTS], np.float32).T
    scale = density[table.part][pixels.shape]
    # Texels that are smaller than a pixel average out, as they would in a photograph; the coarser structure stays.
    strength = amount[table.part][pixels.shape] / np.sqrt(np.maximum(scale * pixels.depth * np.float32(1 / focal), 1))
    number = pixels.shape.astype(np.int32)
    u = (pixels.across * scale).astype(np.int32) + number * 29
    v = (pixels.along * scale).astype(np.int32) + number * 53
    grain: Floats = _noise()[v & (TILE - 1), u & (TILE - 1)] * strength + 1
    return grain


def _shadows(scene: Scene, sun_side: float) -> list[tuple[Point, ...]]:
    """Outlines on the ground that the sun does not reach."""
    reach = -sun_side * 0.8
    polygons: list[tuple[Point, ...]] = []
    for c in scene.casters:
        shift, top = c.bottom * reach, c.height * reach
        near, far = c.x - c.half_width, c.x + c.half_width
        if reach < 0:
            near, far = far, near
        near, far, end = near + shift, far + top, c.z + c.length
        polygons.append(((near, 0.0, c.z), (far, 0.0, c.z), (far, 0.0, end), (near, 0.0, end)))
    edge = scene.street.right + scene.street.pavement if sun_side > 0 else scene.street.left - scene.street.pavement
    inner = edge + reach * 4.5
    polygons.append(((edge, 0.0, 1.0), (inner, 0.0, 1.0), (inner, 0.0, FAR), (edge, 0.0, FAR)))
    return polygons
