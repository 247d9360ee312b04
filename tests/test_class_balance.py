"""A loss that makes up for how unevenly a set's classes share its pixels."""

from types import SimpleNamespace

import pytest
import torch
from test_run import run

from daframework.metrics import cross_entropy
from daframework.recipes.read import parse
from daframework.runs.class_shares import class_prior
from daframework.storage.run_folder import RunFolder


def test_where_images_say_nothing_every_class_is_as_likely_to_a_balanced_model():
    """The gradient at equal logits is 0, however rare a class; that of the plain loss points to the common one."""
    label = torch.tensor([0] * 90 + [1] * 9 + [2]).view(1, 10, 10)
    prior = torch.tensor([0.9, 0.09, 0.01]).log()
    logits = torch.zeros(3, requires_grad=True)
    for added, expected in ((prior, [0.0, 0.0, 0.0]), (torch.zeros(3), [1 / 3 - 0.9, 1 / 3 - 0.09, 1 / 3 - 0.01])):
        loss = cross_entropy((logits + added).view(1, 3, 1, 1).expand(1, 3, 10, 10), label)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.allclose(gradient, torch.tensor(expected), atol=1e-6)


def test_the_prior_is_the_logarithm_of_each_classs_share_as_far_as_asked_for(plugins, source_only, tmp_path, session):
    """Counted over the whole set, and kept; a class that no pixel shows counts as one of a single pixel."""
    source_only["source"]["classes"] = source_only["target"]["classes"] = ["road", "sky", "tree", "unicorn"]
    source_only["downstream"] |= {"class_balance": 0.5, "oracle": False}
    run(plugins, source_only, tmp_path / "run", session)
    folder, recipe = RunFolder(tmp_path / "run"), parse(source_only, "r")
    counts = torch.load(folder.class_counts("source"), weights_only=True)["counts"]
    dataset = [None] * 6
    stand_in = SimpleNamespace(recipe=recipe, folder=folder)
    pixels = counts.sum(0)
    assert pixels[3] == 0
    pixels[3] = 1
    set_of_six = type("Six", (list,), {"classes": ["road", "sky", "tree", "unicorn"]})(dataset)
    assert torch.allclose(class_prior(stand_in, set_of_six, "source"), 0.5 * (pixels / pixels.sum()).log())


def test_it_changes_the_model_and_zero_does_not(plugins, source_only, tmp_path, session):
    weights = {}
    for name, balance in (("plain", None), ("zero", 0.0), ("balanced", 1.0)):
        source_only["downstream"] |= {"oracle": False} | ({} if balance is None else {"class_balance": balance})
        run(plugins, source_only, tmp_path / name, session)
        path = tmp_path / name / "checkpoints" / "source_only.pt"
        weights[name] = torch.cat([one.flatten() for one in torch.load(path, weights_only=True)["model"].values()])
    assert torch.equal(weights["plain"], weights["zero"])
    assert not torch.equal(weights["plain"], weights["balanced"])


def test_a_balance_out_of_range_is_refused(source_only):
    source_only["downstream"]["class_balance"] = -1
    with pytest.raises(Exception, match=r"downstream.class_balance: must be between 0 and 2, got -1"):
        parse(source_only, "r")
