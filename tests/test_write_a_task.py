"""docs/write_a_task.md is a task that works: as the page has it, it is installed, checked, trained and scored."""

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import install

from daframework.registry import find, load_plugins
from daframework.testing import check_component, check_dataset, check_network, check_task

PAGE = (Path(__file__).parents[1] / "docs" / "write_a_task.md").read_text(encoding="utf-8")
CODE = re.search(r"^`daf_normals/__init__.py`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
RECIPE = re.search(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
LOOK = {"look": "game", "train_images": 2, "size": [48, 64]}


@pytest.fixture
def site(installed):
    """The page's package beside the others that are installed, and its recipe in the working directory."""
    (installed / "daf_normals").mkdir()
    (installed / "daf_normals" / "__init__.py").write_text(CODE, encoding="utf-8")
    install(installed, "daf-normals", "1", {"normals": "daf_normals"})
    return installed


@pytest.fixture
def task(site):
    return find(load_plugins(), "task", "surface_normals").factory()


def test_its_components_keep_the_contracts(site, task):
    plugins = load_plugins()
    assert plugins.broken == []
    check_component(find(plugins, "task", "surface_normals"))
    check_dataset(find(plugins, "dataset", "street_normals").factory(split="train", options=LOOK))
    check_task(task, num_classes=3, height=16, width=24)
    check_network(task.model(), task.model(), height=16, width=24)


def test_its_normals_are_those_of_the_street_and_a_mirror_image_turns_them(site, task):
    dataset = find(load_plugins(), "dataset", "street_normals").factory(split="train", options=LOOK)
    normal = dataset[0].others["normals"]
    road = (dataset[0].label == list(dataset.classes).index("road")) & (normal.norm(dim=0) > 0.5)
    assert normal[1][road].median() < -0.9  # up
    mirrored = task.label_type.mirrored(normal)
    assert torch.equal(mirrored[0], -normal[0].flip(-1)) and torch.equal(mirrored[1:], normal[1:].flip(-1))


def test_it_is_trained_and_scored_with_a_translation_that_goes_by_classes(daf, site, tmp_path):
    Path("normals.toml").write_text(RECIPE, encoding="utf-8")
    assert daf("check", "normals.toml")[0] == 0
    code, out, errors = daf("run", "normals.toml")
    # After four steps the semantic head knows nothing, which is told.
    assert code == 0 and errors.count("warning") == errors.count("the semantic head that judges") == 1, errors
    assert "mean angle on the target's test set, degrees, seed 0" in out
    results = json.loads(Path("runs/normals/seed0/results.json").read_text())
    assert [one["name"] for one in results["metrics"]] == ["mean_angle", "within_11.25"]
    rows = {row["method"]: row for row in results["rows"]}
    assert list(rows) == ["source_only", "normals", "oracle"]
    assert all(0 < row["mean_angle"] < 120 and 0 <= row["within_11.25"] <= 1 for row in rows.values())
    assert rows["normals"]["semantic_preservation"]["mean_angle"] > 0
