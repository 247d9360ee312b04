"""Self-training: which pixels are pasted, what they weigh, how the teacher follows, and what rows come of it."""

import copy

import pytest
import torch
from conftest import TABLES
from test_run import run
from torch.nn import functional as F

from daframework.downstream.self_training import SelfTraining, mixed_loss, pasted_classes
from daframework.errors import RecipeError, StoppedError
from daframework.metrics import cross_entropy
from daframework.recipes.read import parse
from daframework.recipes.tables import SelfTrainingTable


@pytest.fixture
def self_trained(tables):
    tables["downstream"]["self_training"] = {"confidence": 0.2, "teacher_decay": 0.5}
    return tables


# --- the pure parts ---


@pytest.mark.parametrize(("classes", "pasted"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_an_images_classes_are_pasted_whole_and_ignored_pixels_never(classes, pasted):
    label = torch.arange(classes).repeat_interleave(4).view(1, classes, 4)
    label[:, :, 0] = 255
    mask = pasted_classes(label, torch.Generator().manual_seed(1))
    chosen = label[mask].unique()
    assert len(chosen) == pasted and mask.dtype == torch.bool
    assert torch.equal(mask, torch.isin(label, chosen))


def test_an_image_without_labels_pastes_nothing():
    assert not pasted_classes(torch.full((1, 2, 2), 255), torch.Generator()).any()


def test_every_image_draws_its_own_classes_and_every_class_is_drawn():
    label = torch.arange(4).repeat(64, 4, 1)
    masks = pasted_classes(label, torch.Generator().manual_seed(0))[:, 0]
    assert len(masks.unique(dim=0)) == 6  # all pairs of four classes
    assert masks.float().mean(0).sub(0.5).abs().max() < 0.2


def test_the_loss_on_mixed_images_is_a_weighted_mean_over_pixels():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    pasted = torch.rand(2, 4, 4) < 0.3
    weights = torch.where(pasted, 1.0, 0.25)
    errors = F.cross_entropy(logits, label, reduction="none")
    expected = (weights * errors).mean()
    assert torch.allclose(
        mixed_loss((cross_entropy, cross_entropy), logits, label, pasted, torch.tensor(0.25)), expected
    )


def teaching(student, session, **options):
    return SelfTraining(student, SelfTrainingTable(**options), session().fabric, 0, (cross_entropy, cross_entropy))


def test_the_teacher_is_the_student_at_first_and_then_its_running_average(session):
    student = torch.nn.Conv2d(3, 2, 1)
    taught = teaching(student, session, teacher_decay=0.75)
    average = None
    for step, factor in enumerate((0.0, 0.5, 2 / 3, 0.75, 0.75)):
        with torch.no_grad():
            student.weight.fill_(float(step))
        taught.follow(student)
        average = float(step) if average is None else factor * average + (1 - factor) * step
        weights = taught.state_dict()["teacher"]["weight"]
        assert torch.allclose(weights, torch.full_like(weights, average))


def test_mixed_images_have_no_labels_to_colour_classes_by(source_only):
    source_only["downstream"]["self_training"] = {"augment": {"class_colors": 0.5}}
    with pytest.raises(RecipeError, match=r"self_training\.augment: class_colors must be 0, since .*, got 0\.5"):
        parse(source_only, "r")


def test_a_pixel_counts_as_trusted_from_the_confidence_on_whatever_the_precision(session):
    """0.968 lies between two numbers of bf16, so the probability must not be rounded to one."""
    probability = torch.tensor([0.9675, 0.9685])
    logits = torch.stack([(probability / (1 - probability)).log(), torch.zeros(2)]).view(1, 2, 1, 2)

    class Fixed(torch.nn.Module):
        def forward(self, image):
            return logits

    taught = teaching(Fixed(), session, confidence=0.968)
    label, trust = taught._label(torch.zeros(1, 3, 1, 2))
    assert float(trust) == 0.5 and label.tolist() == [[[0, 0]]]


# --- rows ---


def test_every_row_but_the_oracle_has_one_that_goes_on_from_it(plugins, self_trained, tmp_path, session):
    results, recorder = run(plugins, self_trained, tmp_path / "run", session)
    methods = ["source_only", "source_only+self_training", "tiny", "tiny+self_training", "oracle"]
    assert [row.method for row in results.rows] == methods
    assert ("training on tiny+self_training", 4, 0) in recorder.stages
    assert [row.content_preservation is not None for row in results.rows] == [False, False, True, False, False]
    folder = tmp_path / "run"
    first, second = (
        torch.load(folder / "checkpoints" / f"{name}.pt", weights_only=True)["model"] for name in methods[:2]
    )
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_row_without_self_training_is_what_it_was(plugins, self_trained, tmp_path, session):
    with_it, _ = run(plugins, self_trained, tmp_path / "with", session)
    without, _ = run(plugins, copy.deepcopy(TABLES), tmp_path / "without", session)
    assert [row for row in with_it.rows if "+" not in row.method] == list(without.rows)


def test_no_label_of_the_target_is_read_for_it(plugins, source_only, tmp_path, session, looked_at):
    source_only["downstream"] |= {"oracle": False, "score": False, "self_training": {"confidence": 0.2}}
    results, _ = run(plugins, source_only, tmp_path / "run", session)
    assert len(results.rows) == 2 and set(looked_at) == {0}  # the bright source's


@pytest.mark.parametrize("stop_after", [5, 7])
def test_a_row_that_was_stopped_goes_on_to_the_same_weights(plugins, source_only, tmp_path, session, stop_after):
    source_only["downstream"] |= {"oracle": False, "score": False}
    source_only["downstream"]["self_training"] = {"confidence": 0.2, "teacher_decay": 0.5}
    run(plugins, source_only, tmp_path / "whole", session)
    with pytest.raises(StoppedError):
        run(plugins, source_only, tmp_path / "stopped", session, stop_after)
    run(plugins, source_only, tmp_path / "stopped", session)
    whole, stopped = (
        torch.load(tmp_path / name / "checkpoints" / "source_only+self_training.pt", weights_only=True)["model"]
        for name in ("whole", "stopped")
    )
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


# --- what may go wrong ---


def test_a_teacher_that_is_never_sure_is_told_once(plugins, source_only, tmp_path, session, capsys):
    source_only["downstream"] |= {"oracle": False, "self_training": {"confidence": 0.9999}}
    run(plugins, source_only, tmp_path / "run", session)
    told = [line for line in capsys.readouterr().err.splitlines() if "pseudo-label" in line]
    assert len(told) == 1 and "source_only+self_training" in told[0] and "confidence" in told[0]


def test_a_target_of_one_image_is_enough(plugins, source_only, tmp_path, session):
    source_only["target"]["images"] = 1
    source_only["downstream"] |= {"oracle": False, "self_training": {"confidence": 0.2}}
    results, _ = run(plugins, source_only, tmp_path / "run", session)
    assert results.images["target"] == 1 and len(results.rows) == 2


def test_a_network_that_casts_nothing_itself_learns_in_double_precision(plugins, source_only, tmp_path, session):
    source_only["downstream"] |= {"oracle": False, "score": False, "self_training": {"confidence": 0.2, "steps": 1}}
    source_only["hardware"] = {"accelerator": "cpu", "precision": "64-true"}
    results, _ = run(plugins, source_only, tmp_path / "run", session)
    assert len(results.rows) == 2
