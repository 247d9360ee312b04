"""Scores of a model on a domain without labels."""

import pytest
import torch
from test_run import run
from torch import nn

from daframework.semantics import BothViews, joint, mutual_information


def logits_of(*shares):
    """One image a row of class probabilities, each pixel alike, in both views."""
    return torch.tensor(shares).log().clamp(min=-80).view(len(shares), 1, -1, 1, 1).expand(-1, 2, -1, 2, 3)


def test_a_mirror_image_is_predicted_for_the_places_of_the_image():
    image = torch.rand(2, 3, 4, 6)
    first, second = BothViews(nn.Identity())(image).unbind(1)
    assert torch.equal(first, image) and torch.equal(second, image)
    ramp = torch.arange(6.0).expand(1, 1, 4, 6)
    first, second = BothViews(lambda x: x * torch.arange(6.0))(ramp).unbind(1)
    assert torch.equal(first, ramp * ramp) and torch.equal(second, ramp * (5 - ramp))


def test_a_joint_holds_the_mean_product_of_both_views_probabilities():
    views = torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]).log().view(1, 2, 2, 1, 1).expand(-1, -1, -1, 2, 3)
    assert torch.allclose(joint(views), torch.tensor([[[0.45, 0.05], [0.45, 0.05]]]).double())


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param(([1.0, 0.0], [0.0, 1.0]), 1.0, id="sure, and of both classes"),
        pytest.param(([1.0, 0.0], [1.0, 0.0]), 0.0, id="sure of one class everywhere"),
        pytest.param(([0.5, 0.5], [0.5, 0.5]), 0.0, id="never sure"),
        # [[0.41, 0.09], [0.09, 0.41]], whose conditional entropy is H2(0.18), in bits
        pytest.param(([0.9, 0.1], [0.1, 0.9]), 1 - 0.6800770457, id="nearly sure"),
    ],
)
def test_what_is_sure_and_not_always_the_same_is_rewarded(images, expected):
    assert mutual_information(joint(logits_of(*images))) == pytest.approx(expected, abs=1e-6)


def test_views_that_contradict_each_other_say_nothing():
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    views = torch.stack([first, second], dim=1).log().clamp(min=-80).view(4, 2, 2, 1, 1)
    assert mutual_information(joint(views)) == pytest.approx(0, abs=1e-6)


def test_a_collapsed_model_is_never_preferred():
    torch.manual_seed(0)
    sensible = (torch.randn(8, 1, 5, 4, 4) * 2).expand(-1, 2, -1, -1, -1)
    collapsed = sensible.clone()
    collapsed[:, :, 0] += 40
    assert mutual_information(joint(collapsed)) < 1e-3 < mutual_information(joint(sensible))


def test_a_class_alone_says_nothing():
    assert mutual_information(joint(torch.zeros(2, 2, 1, 3, 3))) == 0


@pytest.mark.parametrize("score", [True, False])
def test_every_row_has_one_with_and_without_labels_to_score_on(plugins, tables, tmp_path, session, score):
    tables["downstream"] |= {"score": score, "oracle": score}
    results, _ = run(plugins, tables, tmp_path / "run", session)
    again, _ = run(plugins, tables, tmp_path / "run", session)
    assert results == again and len(results.rows) == 2 + score
    found = [row.mutual_information for row in results.rows]
    assert all(one is not None and 0 < one < 1 for one in found[:2])
    assert found[2:] == [None] * score, "the oracle is never picked"
    assert [row["mutual_information"] for row in results.table()] == [row.mutual_information for row in results.rows]
