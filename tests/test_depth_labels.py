import math

import pytest
import torch
from kornia.geometry.transform import get_rotation_matrix2d, warp_affine

from daf_depth.depth_labels import DepthLabels


@pytest.mark.parametrize(
    "label, message",
    [
        (torch.ones(4, 6), None),
        (torch.zeros(4, 6).index_fill_(0, torch.tensor(1), 800.0), None),
        (torch.ones(4, 6, dtype=torch.uint16), "must be float32 (4, 6) (height, width) as its image, in metres, got"),
        (torch.ones(6, 4), "got torch.float32 (6, 4)"),
        (torch.ones(1, 4, 6), "got torch.float32 (1, 4, 6)"),
        (torch.full((4, 6), math.nan), "must be finite, 0 where there is no depth, got 24 values that are NaN or"),
        (torch.ones(4, 6).index_fill_(1, torch.tensor(2), math.inf), "got 4 values"),
        (torch.ones(4, 6).index_fill_(1, torch.tensor(2), -1.5), "must be 0 (no depth) or more, got -1.5"),
        (torch.zeros(4, 6), "must have a depth at one pixel or more, got 0 (no depth) at all"),
    ],
)
def test_what_is_wrong_with_a_label_is_said(label, message):
    found = DepthLabels().problem(label, 4, 6)
    assert found is None if message is None else message in found and "\n" not in found


def test_what_is_enlarged_is_nearer_and_there_is_no_depth_beyond_the_edges():
    label = torch.tensor([[[8.0, 0.0, 4.0, 2.0]]]).expand(3, 4, 4)
    scale = torch.tensor([1.0, 2.0, 0.5])
    centre = torch.full((3, 2), 1.5)
    matrix = get_rotation_matrix2d(centre, torch.zeros(3), scale.view(-1, 1).repeat(1, 2))

    def warp(planes):
        return warp_affine(planes, matrix, (4, 4), mode="nearest", padding_mode="zeros")

    same, larger, smaller = DepthLabels().moved(label, warp, scale)
    assert torch.equal(same, label[0])
    assert larger.tolist() == [[0, 0, 2, 2]] * 4
    assert smaller[0].tolist() == smaller[3].tolist() == [0] * 4
    inner = smaller[1:3]
    assert inner[:, [0, 3]].tolist() == [[0, 0]] * 2
    assert set(inner[:, 1:3].unique().tolist()) <= {16.0, 8.0, 4.0, 0.0} and inner.max() > 2


def test_a_label_that_moves_keeps_its_type():
    moved = DepthLabels().moved(torch.ones(2, 3, 3), lambda planes: planes, torch.tensor([2.0, 4.0]).double())
    assert moved.dtype == torch.float32 and moved[:, 0, 0].tolist() == [0.5, 0.25]


def test_near_is_shown_warm_far_dark_and_no_depth_black():
    label = torch.tensor([[[0.0, 0.3, 0.8, 8.0, 80.0, 900.0]]])
    none, nearer, near, middle, far, farther = DepthLabels().render(label, ())[0, :, 0].T.tolist()
    assert none == [0, 0, 0]
    assert nearer == near == [252, 255, 164] and middle == [212, 72, 66] and far == farther == [30, 12, 70]
    brightness = DepthLabels(far=20).render(torch.linspace(0.2, 20, 200).view(1, 1, -1), ()).sum(1, dtype=torch.int64)
    assert (brightness.diff() <= 0).all()


def test_the_key_names_the_depth_of_each_colour():
    labels = DepthLabels(far=20)
    key = dict(labels.key())
    assert list(key) == ["0.2 m or less", "0.43 m", "0.93 m", "2 m", "4.3 m", "9.3 m", "20 m or more", "no depth"]
    drawn = labels.render(torch.tensor([0.2, 2, 20, 0]).view(1, 1, -1), ())[0, :, 0].T.tolist()
    assert drawn == [list(key[name]) for name in ("0.2 m or less", "2 m", "20 m or more", "no depth")]


def test_a_picture_is_as_large_as_its_labels():
    shown = DepthLabels().render(torch.ones(2, 5, 7), ())
    assert shown.shape == (2, 3, 5, 7) and shown.dtype == torch.uint8


def test_an_example_is_a_label_with_pixels_that_have_none():
    found = DepthLabels().example(20, 30, 3, torch.Generator().manual_seed(0))
    assert DepthLabels().problem(found, 20, 30) is None
    assert 0.02 < (found == 0).float().mean() < 0.2 and found[found > 0].min() >= 1 and found.max() <= 50
    assert torch.equal(found, DepthLabels().example(20, 30, 3, torch.Generator().manual_seed(0)))
