"""A label need not be of pixels: how much of an image is sky, one number, is cropped, translated, learnt and scored."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from conftest import TABLES
from torch import nn

from daframework import hookimpl
from daframework.errors import RecipeError, RunError
from daframework.interfaces import LabelType, Metric, MetricValues, Sample, Task
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.check import check
from daframework.runs.prediction import what_is_written
from daframework.runs.stages import execute
from daframework.storage.run_folder import open_folder
from daframework.testing import check_task


class Share(LabelType):
    """A fraction of the image, () float32; what moves pixels leaves it."""

    name, invalid = "sky_share", -1.0

    def problem(self, label, height, width):
        return None if label.shape == () else f"must be one number, got {tuple(label.shape)}"

    def example(self, height, width, num_classes, random):
        return torch.rand((), generator=random)

    def resized(self, label, size):
        return label

    def cropped(self, label, top, left, height, width):
        return label

    def mirrored(self, label):
        return label

    def moved(self, label, warp, scale):
        return label


class SkyShare(Task):
    label_type = Share()
    metrics = (Metric("error", higher_is_better=False),)

    def model(self):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))

    def loss(self, prediction, label):
        known = label >= 0
        return ((prediction - label).abs() * known).sum() / known.sum().clamp(min=1)

    def statistics(self, prediction, label):
        return torch.stack([torch.tensor(float(len(label))), (prediction - label).abs().sum().cpu()]).double()

    def scores(self, statistics):
        return MetricValues({"error": float(statistics[1] / statistics[0])})


class Skies(tiny.Blocks):
    labels = ("semantic", "sky_share")

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        share = (sample.label == 1).float().mean()
        return Sample(sample.image, sample.label, sample.name, {"sky_share": share})


def skies(*, split: str, look: str = "bright") -> Skies:
    return Skies(look, split, 6, (32, 48), tiny.CLASSES)


@hookimpl
def daf_tasks():
    return {"sky_share": SkyShare}


@hookimpl
def daf_datasets():
    return {"skies": skies}


@pytest.fixture
def offered():
    return load_plugins(extra={"tiny": tiny, "skies": SimpleNamespace(daf_tasks=daf_tasks, daf_datasets=daf_datasets)})


@pytest.fixture
def shares():
    changes = {"source": {"name": "skies"}, "target": {"name": "skies", "look": "dark"}, "task": {"name": "sky_share"}}
    augment = {"augment": {"scale": [0.8, 1.2]}}
    return copy.deepcopy(TABLES) | changes | {"downstream": TABLES["downstream"] | augment}


def test_it_keeps_the_contract():
    check_task(SkyShare(), num_classes=3, height=16, width=24)


@pytest.mark.parametrize("resize", [None, [16, 24]])
def test_it_is_checked_run_and_scored(offered, shares, session, tmp_path, resize):
    shares["data"]["resize"] = resize or [32, 48]
    recipe = parse(shares, "shares.toml")
    assert check(offered, recipe, "shares.toml") == []
    folder = open_folder(tmp_path / "run", recipe)
    results = execute(session(), offered, recipe, folder)
    assert [row.method for row in results.rows] == ["source_only", "tiny", "oracle"]
    assert all(0 < row.scores.primary < 2 for row in results.rows)
    label = np.load(tmp_path / "run" / "translated" / "labels_sky_share" / "000000_train_0.npy")
    assert label.shape == () and label == skies(split="train")[0].others["sky_share"]
    assert json.loads(folder.results.read_text())["metrics"][0]["name"] == "error"
    with pytest.raises(RunError, match="'sky_share' cannot be shown as a picture; write numbers with --write index"):
        what_is_written(offered, recipe, folder, SkyShare(), "colour")


def test_a_label_of_another_shape_is_named(offered, shares, monkeypatch):
    monkeypatch.setattr(Share, "problem", lambda self, label, height, width: "must be two numbers, got one")
    with pytest.raises(RecipeError, match="sky_share label of train/0: must be two numbers, got one"):
        check(offered, parse(shares, "shares.toml"), "shares.toml")
