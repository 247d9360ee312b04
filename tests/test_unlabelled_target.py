"""A target whose training images have no labels at all: the usual case of a user's own data."""

import copy

import torch
from conftest import TABLES

from daframework.data.decode import write_image, write_label
from daframework.recipes.read import parse
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
    assert all(row.preservation is None for row in results.rows)
