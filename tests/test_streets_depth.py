"""Depth of the rendered streets: metres along the optical axis, of what a pixel's class says it shows."""

from random import Random

import numpy as np
import pytest

from daf_streets.classes import BUILDING, CAR, POLE, ROAD, SKY
from daf_streets.looks import LOOKS
from daf_streets.raster import lens, rasterise
from daf_streets.render import most_frequent, render
from daf_streets.scene import FAR, Scene, Street, View, sample_scene
from daf_streets.shapes import Part, Plane, Shape, front, ground, side, tabulate
from daf_streets.streets import Streets
from daf_streets.things import building, car

VIEW = View(eye_height=1.5, horizon=0.5, vanishing_point=0.5, focal_length=0.75)
FOCAL = 72.0  # 0.75 * sqrt(1.5 * 64 * 96) pixels
EMPTY_SKY = Shape(SKY, Part.SKY, Plane.SKY, 500.0, 0.0, ())
GROUND = ground(ROAD, Part.ROAD, -900.0, 900.0, 1.0, 400.0)


def rendered(*shapes: Shape, look: str = "game", view: View = VIEW):
    street = Scene(view, Street(-5.0, 3.0, 2.0, None), (EMPTY_SKY, *shapes), ())
    return render(street, LOOKS[look][1], 64, 96, Random(0))


def test_a_sample_has_its_depth_beside_its_classes():
    dataset = Streets(look="camera", split="train", size=(33, 47))
    sample = dataset[3]
    depth = sample.labelled("depth")
    assert tuple(dataset.labels) == ("semantic", "depth") and list(sample.others) == ["depth"]
    assert depth.dtype.is_floating_point and depth.element_size() == 4 and depth.shape == (33, 47)
    assert not dataset.unlabelled(3).others


@pytest.mark.parametrize("look, first_sample", [("game", 0.5), ("camera", 0.25)])
def test_the_ground_is_where_its_row_says(look, first_sample):
    _, label, depth = rendered(GROUND, look=look)
    # The horizon is row 32; of four samples the first lies a quarter of a pixel below the pixel's upper edge.
    for row in (40, 52, 63):
        assert (label[row] == ROAD).all()
        assert depth[row] == pytest.approx(FOCAL * 1.5 / (row + first_sample - 32), rel=1e-5)


@pytest.mark.parametrize("look", LOOKS)
def test_what_faces_the_camera_has_one_depth_and_the_sky_none(look):
    _, label, depth = rendered(front(BUILDING, Part.WALL, -3.0, 4.0, 0.0, 9.0, 12.5), look=look)
    assert set(depth[label == BUILDING].tolist()) == {12.5}
    assert set(depth[label == SKY].tolist()) == {0.0} and (label == SKY).any()


def test_a_wall_along_the_street_is_where_its_column_says():
    _, label, depth = rendered(side(BUILDING, Part.WALL, 6.0, 0.0, 8.0, 5.0, 40.0))
    assert label[21, 88] == BUILDING and depth[21, 88] == pytest.approx(FOCAL * 6.0 / 40.5, rel=1e-5)


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_nearer_hides_what_is_behind_it(look):
    wall = front(BUILDING, Part.WALL, -20.0, 20.0, 0.0, 20.0, 30.0)
    pole = front(POLE, Part.POLE, -0.3, 0.3, 0.0, 6.0, 8.0)
    _, label, depth = rendered(GROUND, wall, pole, look=look)
    assert set(depth[label == POLE].tolist()) == {8.0} and set(depth[label == BUILDING].tolist()) == {30.0}
    assert depth[label == ROAD].max() < 30.0


def test_of_four_samples_the_first_that_has_the_class_gives_the_depth():
    # 3 against 1; 2 against 1 and 1; 2 against 2; four different; the second and third; the third and fourth.
    label = np.array([[1, 2, 5, 6, 4, 8, 1, 2, 3, 9, 3, 7], [2, 2, 7, 6, 8, 4, 3, 4, 9, 1, 9, 9]], np.uint8)
    depth = np.arange(24, dtype=np.float32).reshape(2, 12)
    classes, chosen = most_frequent(label, depth)
    assert classes.tolist() == [[2, 6, 4, 1, 9, 9]]
    assert chosen.tolist() == [[1.0, 3.0, 4.0, 6.0, 9.0, 22.0]]


@pytest.mark.parametrize("look", LOOKS)
def test_a_pixels_depth_is_that_of_a_sample_of_its_class_and_never_a_blend(look):
    layout, appearance = LOOKS[look]
    n = appearance.samples
    for index in range(6):
        street = sample_scene(Random(index), layout)
        table = tabulate(street.shapes)
        pixels = rasterise(street, table, 64 * n, 96 * n)
        stands = table.label[pixels.shape].reshape(64, n, 96, n).transpose(0, 2, 1, 3).reshape(64, 96, -1)
        lies = pixels.depth.reshape(64, n, 96, n).transpose(0, 2, 1, 3).reshape(64, 96, -1)
        leans = table.leans[pixels.shape].reshape(64, n, 96, n).any((1, 3))
        _, label, depth = render(street, appearance, 64, 96, Random(0))
        first = np.take_along_axis(lies, (stands == label[..., None]).argmax(-1)[..., None], -1)[..., 0]
        upright = (label != SKY) & ~leans
        assert upright.mean() > 0.5 and (depth[upright] == first[upright]).all()
        assert ((depth == 0) == (label == SKY)).all() and depth[label != SKY].min() > 0.5


def at(column, row, corners, view):
    """Where the ray through a pixel's middle meets the plane of three corners: its depth, in float64."""
    first, second, third = np.array(corners[:3], float)
    normal = np.cross(second - first, third - first)
    ray = np.array([(column + 0.5 - view.x) / view.focal, -(row + 0.5 - view.y) / view.focal, 1.0])
    return normal @ (first - (0.0, view.eye, 0.0)) / (normal @ ray)


@pytest.mark.parametrize(
    "shapes",
    [building(Random(0), 7.0, 6.0, 18.0, 5.0, 3.0), building(Random(0), -7.0, 6.0, 18.0, 5.0, 3.0)]
    + [car(Random(seed), x, 6.0, False) for seed in (0, 1) for x in (-2.5, 0.3, 2.5)],
)
def test_what_leans_is_as_far_away_as_its_own_plane(shapes):
    view = View(eye_height=2.2, horizon=0.4, vanishing_point=0.5, focal_length=0.75)
    street = Scene(view, Street(-5.0, 3.0, 2.0, None), (EMPTY_SKY, GROUND, *shapes), ())
    shown = rasterise(street, tabulate(street.shapes), 64, 96).shape.reshape(64, 96)
    depth = rendered(GROUND, *shapes, view=view)[2]
    leaning = [number for number, shape in enumerate(street.shapes) if shape.leans and (shown == number).any()]
    for number in leaning:
        corners = street.shapes[number].points
        near, far = min(point[2] for point in corners), max(point[2] for point in corners)
        for row, column in np.argwhere(shown == number):
            # The outermost pixels of a shape may lie half a pixel beyond it.
            wanted = np.clip(at(column, row, corners, lens(view, 64, 96)), near, far)
            assert depth[row, column] == pytest.approx(wanted, rel=1e-5)
    assert leaning and all(
        shape.leans or len({point[{Plane.SIDE: 0, Plane.FRONT: 2}[shape.plane]] for point in shape.points}) == 1
        for shape in shapes
    )


@pytest.mark.parametrize("look", LOOKS)
def test_a_street_goes_from_the_bonnet_to_the_row_that_closes_it(look):
    dataset = Streets(look=look, split="train", size=(64, 96), train_images=20)
    shown = [(sample.label.numpy(), sample.labelled("depth").numpy()) for sample in (dataset[i] for i in range(20))]
    depth = np.concatenate([one[label != SKY] for label, one in shown])
    assert 1.0 < np.median(depth) < 30.0 and np.quantile(depth, 0.999) <= FAR
    mean = [np.mean([one[label == c].mean() for label, one in shown if (label == c).any()]) for c in range(11)]
    assert mean[ROAD] < mean[BUILDING] and mean[CAR] < mean[BUILDING]
