"""Batch norms that go by the target: their statistics by hand, and the rows that a recipe asks for."""

import copy

import pytest
import torch
from conftest import TABLES
from test_run import run
from torch import nn

from daframework.downstream.target_norms import adapt_norms
from daframework.errors import RecipeError
from daframework.recipes.read import parse
from daframework.runs.check import check
from daframework.tuning.search import without_labels


@pytest.fixture
def normed(tables):
    """A recipe whose task model has batch norms, and rows that adapt them."""
    small = {"encoder_depth": 3, "decoder_channels": [8, 8, 8]}
    tables["task"] = {"name": "segmentation", "arch": "unet", "encoder": "resnet18", "arch_options": small}
    tables["downstream"]["target_norms"] = 1.0
    return tables


@pytest.fixture
def untranslated(normed, source_only):
    """The same without a translation and without an oracle."""
    source_only["downstream"]["oracle"] = False
    return source_only


def norm_that_knows(mean, variance):
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(mean)
    norm.running_var.fill_(variance)
    return nn.Sequential(norm).eval()


@pytest.mark.parametrize(
    ("share", "mean", "variance"),
    [(0.0, 0.0, 1.0), (1.0, 4.0, 9.0), (0.5, 2.0, 9.0), (0.25, 1.0, 6.0)],  # of both domains' pixels together
)
def test_mean_and_variance_are_those_of_a_domain_that_is_the_targets_by_its_share(share, mean, variance):
    torch.manual_seed(0)
    batch = torch.randn(8, 3, 64, 64)
    batch = (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True) * 3 + 4
    model = norm_that_knows(0.0, 1.0)
    adapt_norms(model, [batch[:4], batch[4:]], share)
    assert torch.allclose(model[0].running_mean, torch.tensor(mean), atol=1e-4)
    assert torch.allclose(model[0].running_var, torch.tensor(variance), rtol=0.01)


def test_later_norms_see_what_earlier_ones_have_normalised_by_the_target_and_dropout_stays_off():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.9), nn.BatchNorm2d(3)).eval()
    adapt_norms(model, [torch.randn(4, 3, 32, 32) * 5 + 7], 1.0)
    assert torch.allclose(model[2].running_mean, torch.zeros(3), atol=1e-5)
    assert torch.allclose(model[2].running_var, torch.ones(3), atol=1e-2)
    assert not any(one.training for one in model.modules()) and model[0].momentum == 0.1


def test_every_row_but_the_oracle_has_one_with_the_targets_norms_and_the_same_weights(
    plugins, normed, tmp_path, session
):
    results, recorder = run(plugins, normed, tmp_path / "run", session)
    methods = ["source_only", "source_only+target_norms", "tiny", "tiny+target_norms", "oracle"]
    assert [row.method for row in results.rows] == methods
    assert not any("target_norms" in stage for stage, *_ in recorder.stages if stage.startswith("training"))
    first, second = (
        torch.load(tmp_path / "run" / "checkpoints" / f"{name}.pt", weights_only=True)["model"] for name in methods[:2]
    )
    changed = {name.rsplit(".")[-1] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    # On AirSim to CamVid it raises the label-free score and costs ten points: it may not be picked by that.
    assert [row.mutual_information is not None for row in results.rows] == [True, False, True, False, False]
    scores = {row.method: row.scores for row in results.rows}
    assert scores["source_only"] != scores["source_only+target_norms"]


def test_both_kinds_of_rows_may_follow_a_row_and_leave_it_what_it_was(plugins, untranslated, tmp_path, session):
    untranslated["downstream"]["self_training"] = {"confidence": 0.2, "steps": 1}
    both, _ = run(plugins, untranslated, tmp_path / "both", session)
    assert [row.method for row in both.rows] == [
        f"source_only{kind}" for kind in ("", "+target_norms", "+self_training")
    ]
    untranslated["downstream"] |= {"target_norms": 0.0}
    alone, _ = run(plugins, untranslated, tmp_path / "alone", session)
    assert [both.rows[0], both.rows[2]] == list(alone.rows)


def test_no_label_of_the_target_is_read_for_it(plugins, untranslated, tmp_path, session, looked_at):
    untranslated["downstream"]["score"] = False
    results, _ = run(plugins, untranslated, tmp_path / "run", session)
    assert len(results.rows) == 2 and set(looked_at) == {0}  # the bright source's


def test_a_search_without_labels_has_no_such_row(normed):
    assert without_labels(parse(normed, "tiny")).downstream.target_norms == 0


def test_a_model_without_batch_norm_is_told_before_anything_is_trained(plugins, tmp_path):
    tables = copy.deepcopy(TABLES)
    tables["downstream"]["target_norms"] = 0.5
    with pytest.raises(RecipeError, match=r"downstream\.target_norms: the task's model has no batch norm to adapt"):
        check(plugins, parse(tables, "tiny"), "tiny")
