"""The target's labels: nothing but the oracle comes upon them, and there need be none."""

import copy
import pickle

import pytest
import tiny
import torch
from conftest import TABLES

from daframework import hookimpl
from daframework.data.checked import Checked
from daframework.data.decode import write_image, write_label
from daframework.data.unlabelled import Unlabelled
from daframework.interfaces import ImageDataset, Inspection, Loss
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.check import check
from daframework.runs.stages import execute
from daframework.storage.run_folder import open_folder


def own_data(folder):
    """Two domains as files: the target has labels for its test images only."""
    random = torch.Generator().manual_seed(0)
    for part in ("source", "target/train", "target/test"):
        for name in ("a", "b", "c"):
            image = torch.randint(256, (3, 16, 24), generator=random, dtype=torch.uint8)
            write_image(folder / part / "images" / f"{name}.png", image)
            if part != "target/train":
                write_label(folder / part / "labels" / f"{name}.png", (image[0] > 127).to(torch.uint8))


def recipe_of(folder, **downstream):
    tables = copy.deepcopy(TABLES)
    common = {"name": "image_folder", "classes": ["dark", "bright"], "ids": {"0": "dark", "1": "bright"}}
    tables["source"] = common | {"root": str(folder / "source")}
    target = {"root": str(folder / "target"), "train_folder": "train", "test_folder": "test"}
    tables["target"] = common | target
    tables["downstream"] |= downstream
    return parse(tables, "own.toml")


def test_labels_that_the_oracle_needs_are_missed_before_anything_is_trained(plugins, tmp_path):
    own_data(tmp_path)
    (warning,) = check(plugins, recipe_of(tmp_path), "own.toml")
    assert "labels" in warning and "--set downstream.oracle=false" in warning and "\n" not in warning


def test_without_oracle_a_target_needs_labels_for_its_test_images_only(plugins, tmp_path, session):
    own_data(tmp_path)
    recipe = recipe_of(tmp_path, oracle=False)
    assert check(plugins, recipe, "own.toml") == []
    results = execute(session(), plugins, recipe, open_folder(tmp_path / "run", recipe))
    assert [row.method for row in results.rows] == ["source_only", "tiny"]
    assert all(row.content_preservation is None for row in results.rows)


# --- what hands out no label ---


class Telling(tiny.Blocks):
    """Answers every question about its labels, and gives one where none is asked for."""

    def unlabelled(self, index):
        return tiny.Blocks.__getitem__(self, index)

    def fingerprint(self, *, labels):
        return f"labels {labels}"

    def problems(self, *, labelled):
        return [f"labelled {labelled}"]

    def inspect(self, index, *, labelled):
        return Inspection("x", None, self[index].label, [])


def assert_no_way_to_a_label(dataset):
    """Through all that the interface has, and all that it shows."""
    assert type(dataset) is Unlabelled and len(dataset) > 0
    assert {name for name in dir(dataset) if not name.startswith("_")} == {
        name for name in dir(ImageDataset) if not name.startswith("_")
    } | {"classes", "palette"}
    again = pickle.loads(pickle.dumps(dataset))
    samples = [dataset[0], dataset.unlabelled(0), next(iter(dataset)), again[0]]
    assert [one.label for one in samples] == [None] * 4
    for labels in (True, False):
        assert dataset.fingerprint(labels=labels) is dataset.inspect(0, labelled=labels) is dataset.file(0) is None
        assert dataset.problems(labelled=labels) == []


@pytest.mark.parametrize("kind", [Telling, tiny.Guarded])
@pytest.mark.parametrize("wrapped", [lambda one: one, lambda one: Checked(one, (4, 6), 10**6), Unlabelled])
def test_no_way_leads_from_an_unlabelled_set_to_a_label(kind, wrapped):
    dataset = Unlabelled(wrapped(kind("bright", "train", 3, (8, 12), tiny.CLASSES)))
    assert_no_way_to_a_label(dataset)
    assert dataset.classes == tiny.CLASSES and dataset.palette == tiny.PALETTE


SEEN = []


class Asking(Loss):
    def prepare(self, source, target):
        SEEN.append(target)

    def generator_loss(self, images):
        return (images.fake_target - images.target).square().mean()


class Painting(tiny.Painter):
    def prepare(self, source, target):
        SEEN.append(target)


class Offers:
    @hookimpl
    def daf_losses(self):
        return {"asking": Asking}

    @hookimpl
    def daf_generators(self):
        return {"painting": Painting}


@pytest.mark.parametrize("cache", [False, True])
def test_no_plugin_comes_upon_a_label_of_the_target(tables, tmp_path, session, monkeypatch, cache):
    """Which for the generator back is the source."""
    SEEN.clear()
    monkeypatch.setattr(tiny.Blocks, "fingerprint", lambda self, labels: f"{self.shift} {self.split} {labels}")
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))
    tables["generator"], tables["losses"] = {"name": "painting"}, [{"name": "asking", "weight": 1.0}]
    del tables["discriminator"]
    tables["data"]["cache"] = cache
    recipe = parse(tables, "r")
    plugins = load_plugins(extra={"tiny": tiny, "offers": Offers()})
    execute(session(), plugins, recipe, open_folder(tmp_path / "a", recipe))
    assert len(SEEN) == 3
    for dataset in SEEN:
        assert_no_way_to_a_label(dataset)
