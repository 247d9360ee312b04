"""Scores of a model on a domain without labels."""

import math

import pytest
import torch
from test_run import run

from daframework.downstream.label_free import certainty, infomax


def logits_of(*shares):
    """One image a row of class probabilities, each pixel alike."""
    return torch.tensor(shares).log().view(len(shares), -1, 1, 1).expand(-1, -1, 2, 3)


def test_certainty_holds_mean_probabilities_and_the_mean_entropy():
    found = certainty(logits_of([0.5, 0.5], [0.9, 0.1]))
    entropies = [math.log(2), -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))]
    assert torch.allclose(found[:, :2], torch.tensor([[0.5, 0.5], [0.9, 0.1]]).double())
    assert found[:, 2].tolist() == pytest.approx(entropies, rel=1e-6)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param(([1.0, 0.0], [0.0, 1.0]), 1.0, id="sure, and of both classes"),
        pytest.param(([1.0, 0.0], [1.0, 0.0]), 0.0, id="sure of one class everywhere"),
        pytest.param(([0.5, 0.5], [0.5, 0.5]), 0.0, id="never sure"),
        pytest.param(([0.9, 0.1], [0.1, 0.9]), 1 - 0.4689955936, id="nearly sure"),  # 1 - H2(0.1), in bits
    ],
)
def test_infomax_rewards_what_is_sure_and_not_always_the_same(images, expected):
    assert infomax(certainty(logits_of(*images).clamp(min=-80))) == pytest.approx(expected, abs=1e-6)


def test_a_collapsed_model_is_never_preferred():
    torch.manual_seed(0)
    sensible = certainty(torch.randn(8, 5, 4, 4) * 2)
    collapsed = torch.randn(8, 5, 4, 4) * 2
    collapsed[:, 0] += 40
    assert infomax(certainty(collapsed)) < 1e-3 < infomax(sensible)


def test_a_class_alone_says_nothing():
    assert infomax(certainty(torch.zeros(2, 1, 3, 3))) == 0


@pytest.mark.parametrize("score", [True, False])
def test_every_row_has_one_with_and_without_labels_to_score_on(plugins, tables, tmp_path, session, score):
    tables["downstream"] |= {"score": score, "oracle": score}
    results, _ = run(plugins, tables, tmp_path / "run", session)
    again, _ = run(plugins, tables, tmp_path / "run", session)
    assert results == again and len(results.rows) == 2 + score
    assert all(row.infomax is not None and 0 < row.infomax < 1 for row in results.rows)
    assert [row["infomax"] for row in results.table()] == [row.infomax for row in results.rows]
