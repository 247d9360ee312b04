from itertools import pairwise
from random import Random

import numpy as np
import pytest

from daf_streets import camera
from daf_streets.classes import BUILDING, CAR, PAVEMENT, PEDESTRIAN, POLE, ROAD, SKY, TREE
from daf_streets.looks import LOOKS
from daf_streets.raster import lens, project, rasterise
from daf_streets.render import box_reduce, most_frequent, render
from daf_streets.scene import Scene, Street, View, sample_scene
from daf_streets.shapes import Part, Plane, Shape, ellipse, front, ground, side, tabulate

VIEW = View(eye_height=1.5, horizon=0.5, vanishing_point=0.5, focal_length=0.75)
EMPTY_SKY = Shape(SKY, Part.SKY, Plane.SKY, 500.0, 0.0, ())


def scene(*shapes: Shape) -> Scene:
    return Scene(VIEW, Street(-5.0, 3.0, 2.0, None), (EMPTY_SKY, *shapes), ())


def label_of(*shapes: Shape, look: str = "game") -> np.ndarray:
    return render(scene(*shapes), LOOKS[look][1], 64, 96, Random(0))[1]


def test_projection_is_a_pinhole():
    # focal 0.75 * sqrt(1.5 * 64 * 96) = 72 px; 2 m right and 0.5 m below an eye 1.5 m high, at 10 m.
    (xy,) = project([((2.0, 1.0, 10.0),)], lens(VIEW, 64, 96))
    assert xy == pytest.approx([48 + 72 * 2 / 10, 32 + 72 * 0.5 / 10])


@pytest.mark.parametrize("look", LOOKS)
def test_a_nearer_car_covers_a_farther_building(look):
    wall = front(BUILDING, Part.WALL, -20.0, 20.0, 0.0, 20.0, 30.0)
    body = front(CAR, Part.BODY, -1.0, 1.0, 0.0, 1.5, 10.0)
    label = label_of(wall, body, look=look)
    assert (label[33:42, 42:54] == CAR).all()
    assert label[10, 48] == BUILDING and label[35, 20] == BUILDING


def placed_things_are_sorted(look: str, index: int) -> bool:
    shapes = sample_scene(Random(index), LOOKS[look][0]).shapes
    depths = [min(p[2] for p in s.points) for s in shapes if s.label in (CAR, PEDESTRIAN) and s.part is not Part.GLASS]
    starts = [a for a, b in pairwise(depths) if abs(a - b) > 6]
    return starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_nearer_is_painted_later(look):
    assert all(placed_things_are_sorted(look, index) for index in range(20))


def test_a_pole_in_front_of_a_tree_and_one_behind_it():
    crown = ellipse(TREE, Part.LEAVES, 0.0, 2.0, 2.0, 2.0, 10.0)
    before = front(POLE, Part.POLE, -0.2, 0.2, 0.0, 6.0, 8.0)
    behind = front(POLE, Part.POLE, -0.2, 0.2, 0.0, 6.0, 14.0)
    assert label_of(crown, before)[28, 48] == POLE
    assert label_of(behind, crown)[28, 48] == TREE


def test_every_pixel_knows_its_place_in_the_world():
    shapes = scene(
        ground(ROAD, Part.ROAD, -50.0, 50.0, 1.0, 400.0), side(BUILDING, Part.WALL, 6.0, 0.0, 8.0, 5.0, 40.0)
    )
    table = tabulate(shapes.shapes)
    pixels = rasterise(shapes, table, 64, 96)
    at = lambda row, column: row * 96 + column  # noqa: E731
    # Ground 20.5 px below the horizon: z = 72 * 1.5 / 20.5. 10.5 px right of the middle there: x = 10.5 * z / 72.
    assert pixels.depth[at(52, 58)] == pytest.approx(72 * 1.5 / 20.5, rel=1e-5)
    assert pixels.across[at(52, 58)] == pytest.approx(10.5 * 1.5 / 20.5, rel=1e-5)
    # Wall at x = 6, 40.5 px right of the middle, 10.5 px above the horizon.
    z = 72 * 6 / 40.5
    assert pixels.depth[at(21, 88)] == pytest.approx(z, rel=1e-5)
    assert pixels.across[at(21, 88)] == pytest.approx(z, rel=1e-5)
    assert pixels.along[at(21, 88)] == pytest.approx(1.5 + 10.5 * z / 72, rel=1e-5)


def test_a_flat_part_of_game_is_one_colour_and_its_neighbours_another():
    road = ground(ROAD, Part.ROAD, -50.0, 50.0, 1.0, 400.0)
    body = front(CAR, Part.BODY, -1.0, 1.0, 0.0, 1.5, 10.0)
    image, label, _ = render(scene(road, body), LOOKS["game"][1], 64, 96, Random(0))
    colours = {tuple(colour) for colour in image[:, label == CAR].T.tolist()}
    assert len(colours) == 1
    assert not colours & {tuple(colour) for colour in image[:, label != CAR].T.tolist()}


@pytest.mark.parametrize("look", LOOKS)
def test_classes_are_told_apart_by_their_mean_colour(look):
    layout, appearance = LOOKS[look]
    total, count = np.zeros((11, 3)), np.zeros(11)
    for index in range(12):
        image, label, _ = render(sample_scene(Random(index), layout), appearance, 64, 96, Random(index))
        for c in range(11):
            total[c] += image[:, label == c].sum(1)
            count[c] += (label == c).sum()
    mean = total / count[:, None]
    for a, b in ((SKY, ROAD), (SKY, TREE), (SKY, BUILDING), (ROAD, PAVEMENT), (TREE, PAVEMENT)):
        assert np.abs(mean[a] - mean[b]).max() > 12


def test_layout_and_appearance_are_independent():
    game_layout = LOOKS["game"][0]
    as_game, as_camera = (
        render(sample_scene(Random(4), game_layout), LOOKS[look][1], 64, 96, Random(0)) for look in ("game", "camera")
    )
    assert (as_game[1] == as_camera[1]).mean() > 0.9
    assert np.abs(as_game[0].astype(int) - as_camera[0].astype(int)).mean() > 20


def test_a_pixels_label_is_what_fills_most_of_it():
    # 3 against 1; 2 against 1 and 1; 2 against 2; four different.
    label = np.array([[1, 2, 5, 6, 4, 8, 1, 2], [2, 2, 7, 6, 8, 4, 3, 4]], np.uint8)
    assert most_frequent(label, np.zeros((2, 8), np.float32))[0].tolist() == [[2, 6, 4, 1]]


def test_a_camera_pixels_label_is_the_most_frequent_of_its_four_samples():
    street = sample_scene(Random(1), LOOKS["camera"][0])
    table = tabulate(street.shapes)
    samples = table.label[rasterise(street, table, 128, 192).shape].reshape(128, 192)
    label = render(street, LOOKS["camera"][1], 64, 96, Random(0))[1]
    four = np.stack([samples[y::2, x::2] for y in (0, 1) for x in (0, 1)])
    votes = (four == label).sum(0)
    assert (votes == (four[:, None] == four).sum(0).max(0)).all()
    assert (votes < 4).any()


def test_box_reduce_takes_means_of_four():
    image = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    assert box_reduce(image)[:, 0].tolist() == [[2.5, 4.5], [10.5, 12.5], [18.5, 20.5]]


def test_blur_keeps_a_constant_and_the_sum_of_a_dot():
    assert camera.blur(np.full((3, 9, 9), 0.5, np.float32), 1, 1.5) == pytest.approx(0.5, abs=1e-6)
    dot = np.zeros((3, 15, 15), np.float32)
    dot[:, 7, 7] = 1.0
    spread = camera.blur(dot, 2, 1.0)
    assert spread.sum() == pytest.approx(3.0, abs=1e-5)
    assert spread[0, 7, 8] / spread[0, 7, 7] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert (spread[:, :7] == 0).all()


def test_a_vignette_leaves_the_middle_and_darkens_the_corners():
    brightness = camera.vignette(5, 7, 0.4)
    assert brightness[2, 3] == pytest.approx(1.0) and brightness[0, 0] == pytest.approx(0.6)


def test_saturation_zero_is_grey_and_one_changes_nothing():
    image = np.random.default_rng(0).random((3, 4, 4)).astype(np.float32)
    assert np.ptp(camera.saturate(image, 0.0), axis=0).max() < 1e-6
    assert camera.saturate(image, 1.0) == pytest.approx(image, abs=1e-6)


def test_sensor_noise_grows_with_the_root_of_the_light():
    dark, bright = (camera.sensor_noise(np.full((3, 100, 100), v, np.float32), 0.1, 5).std() for v in (0.25, 1.0))
    assert bright == pytest.approx(0.1, rel=0.02) and dark == pytest.approx(0.05, rel=0.02)
