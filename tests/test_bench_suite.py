"""A suite's file: what may be written in it, and what is said where it cannot be read."""

import re
from pathlib import Path

import pytest
from tiny_suite import SUITE

from daframework.errors import RecipeError
from daframework.recipes.read import locate, offered_files
from daframework.registry import load_plugins
from daframework.suites.checks import check_cells
from daframework.suites.plan import make_plan
from daframework.suites.suite import TaskEntry, parse_suite, read_suite

LEAST = {"name": "small", "recipes": ["one"]}


def test_a_name_and_a_recipe_are_enough():
    suite = parse_suite(LEAST, "s")
    assert (suite.recipes, suite.seeds, suite.baseline, suite.bootstrap) == (("one",), (0, 1, 2), None, 2000)
    assert (suite.tasks, suite.source, suite.target, suite.options) == ((), None, None, {})
    assert suite.data == suite.translation == suite.downstream == suite.hardware == {}


def test_a_task_takes_every_other_key_as_an_option():
    suite = parse_suite(LEAST | SUITE, "s")
    assert suite.tasks == (TaskEntry("narrow", "pixels", {}), TaskEntry("wide", "pixels", {"channels": 6}))
    assert suite.target == {"name": "blocks", "images": 20, "size": [16, 24]}


SEEDS = "seeds: must be a list of at least one whole number from 0 to 2147483647, each once"


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"seeds": []}, rf"{SEEDS}, got \(\)"),
        ({"seeds": [1, 0, 1]}, rf"{SEEDS}, got \(1, 0, 1\)"),
        ({"seeds": [-1]}, SEEDS),
        ({"seeds": [2**31]}, SEEDS),
        ({"seeds": [0, 1.0]}, r"seeds\.1: must be a whole number, got 1\.0"),
        ({"seeds": 3}, "seeds: must be a list, got 3"),
        ({"recipes": []}, "recipes: must be a list of at least one entry"),
        ({"recipes": ["a", "b", "a"]}, "recipes: must be a list of at least one entry, each once, got"),
        ({"recipes": [{"name": "a"}]}, r"recipes\.a: must be a string"),
        ({"name": "a/b"}, r"name: must be made of letters, digits, '_', '-' and '\.'"),
        ({"name": "../up"}, "name: must be made of letters"),
        ({"bootstrap": -1}, "bootstrap: must be at least 0, got -1"),
        ({"bootstrap": True}, "bootstrap: must be a whole number, got True"),
        ({"target": "streets"}, "target: must be a table, got 'streets'"),
        ({"options": {"resnet": 3}}, "options.*: must be a table, got 3"),
        ({"downstreem": {}}, "no key named 'downstreem'; did you mean 'downstream'?"),
        ({"tasks": [{"name": "pixels"}]}, r"tasks\.pixels\.label: missing"),
        ({"tasks": [{"label": "narrow"}]}, r"tasks\.0\.name: missing"),
        ({"tasks": [{"label": "a b", "name": "pixels"}]}, r"tasks\.pixels\.label: must be made of letters"),
        ({"tasks": [{"label": "a", "name": "pixels"}] * 2}, "tasks: must be tables, each with a label of its own, got"),
    ],
)
def test_a_suite_that_cannot_work_is_refused_by_its_key(changes, says):
    with pytest.raises(RecipeError, match=rf"^mine\.toml: {says}"):
        parse_suite(LEAST | SUITE | changes, "mine.toml")


def test_every_problem_is_told_at_once():
    with pytest.raises(RecipeError) as caught:
        parse_suite({"name": "", "recipes": [], "seeds": [], "budget": 1}, "mine.toml")
    assert [
        re.match(r"mine\.toml: (name|recipes|seeds|no key named 'budget')", line)[1] for line in caught.value.problems
    ]
    assert len(caught.value.problems) == 4
    with pytest.raises(RecipeError) as caught:
        parse_suite({}, "mine.toml")
    assert caught.value.problems == [f"mine.toml: {key}: missing; it has no default" for key in ("name", "recipes")]


def test_keys_can_be_set_from_outside(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text('name = "small"\nrecipes = ["one"]\n[data]\nbatch_size = 1\n', encoding="utf-8")
    suite = read_suite(path, ["bootstrap=0", "data.crop_size=[8, 8]", "seeds=[4]"])
    assert (suite.bootstrap, suite.seeds, suite.data) == (0, (4,), {"batch_size": 1, "crop_size": [8, 8]})
    assert read_suite(path, ['log.to=["tensorboard"]']).log == {"to": ["tensorboard"]}
    with pytest.raises(RecipeError, match="did you mean 'bootstrap'"):
        read_suite(path, ["bootstrp=0"])


def test_a_file_that_is_no_suite_is_named(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"suite\.toml: not a TOML file"):
        read_suite(path)
    with pytest.raises(RecipeError, match=r"stretes: not a file, and no suite named 'stretes'; did you mean 'streets'"):
        locate(load_plugins(), "stretes", "daf_suites")


# --- the suites that ship ---

SHIPPED = [file for _, file, origin in offered_files(load_plugins(), "daf_suites") if origin.startswith("benchmarks ")]
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def test_suites_ship_under_their_own_names():
    assert {"streets", "camvid_day_to_dusk", "streets_to_camvid", "gta5_to_cityscapes"} <= {one.stem for one in SHIPPED}
    assert all(read_suite(path).name == path.stem for path in SHIPPED)


@shipped
def test_a_shipped_suite_plans_every_method_task_and_seed(path):
    suite = read_suite(path)
    plan = make_plan(load_plugins(), suite, path, Path("bench"))
    trained = {"cyclegan", "semantic_cyclegan", "source_only_augmented", "color_transfer"}
    assert trained <= set(plan.methods) and plan.methods[:2] == ("source_only", "oracle")
    assert plan.baseline == "cyclegan" and len(plan.seeds) >= 3 and plan.tasks
    # One run trains both references.
    assert len(plan.cells) == (len(plan.methods) - 1) * len(plan.tasks) * len(plan.seeds)
    for cell in plan.cells:
        if cell.recipe.translation is not None and cell.recipe.translation.steps:
            assert cell.recipe.translation.steps == suite.translation["steps"]


@shipped
def test_a_shipped_suite_is_sound_where_its_data_is_missing(path, monkeypatch, tmp_path):
    monkeypatch.setenv("DAF_DATA", str(tmp_path))
    plugins = load_plugins()
    plan = make_plan(plugins, read_suite(path), path, tmp_path / "bench", seeds=[0], only=["semantic_cyclegan"])
    missing = check_cells(plugins, plan, plan.cells)
    assert bool(missing) == (path.stem not in ("streets", "streets_depth"))
