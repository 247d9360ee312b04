"""What differs between two runs is shown, and nothing else."""

import json
from pathlib import Path

import pytest
import tomli_w
from conftest import refused

from daframework.interfaces import Metric, MetricValues, Scores
from daframework.recipes.read import parse
from daframework.storage.results import Results, Row, write_results
from daframework.storage.run_folder import RunFolder, open_folder


@pytest.fixture
def runs(daf, tables):
    """Two runs that differ in a weight, a commit, and two scores."""
    for name, weight, commit, miou in (("a", 10.0, "one", 0.5), ("b", 5.0, "two", 0.625)):
        tables["losses"][1]["weight"] = weight
        folder = open_folder(Path(name), parse(tables, "r"))
        environment = {"date": name, "commit": commit, "versions": {"torch": "2"}}
        folder.environment.write_text(json.dumps(environment))
        row = Row("tiny", Scores(miou, 0.75, (miou, None)))
        write_results(folder.results, Results("tiny", 0, ("road", "sky"), (row,), {}, environment))
    return daf


FOUND = {
    "recipe": {"losses.tiny_cycle.weight": [10.0, 5.0]},
    "environment": {"commit": ["one", "two"]},
    "results": {"mIoU of tiny": [0.5, 0.625], "IoU/road of tiny": [0.5, 0.625]},
}


def test_two_runs_are_told_apart_in_recipe_environment_and_results(runs):
    code, out, errors = runs("diff", "a", "b", "--json")
    assert (code, errors) == (0, "") and json.loads(out) == FOUND
    code, out, errors = runs("diff", "a", "b")
    assert (code, errors) == (0, "")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert ["losses.tiny_cycle.weight", "10.0", "5.0"] in cells and ["commit", "one", "two"] in cells
    assert ["mIoU of tiny", "50.0", "62.5"] in cells and len(cells) == 4


def test_results_are_shown_in_the_units_of_their_metrics(runs):
    metrics = (Metric("RMSE", "m", higher_is_better=False), Metric("delta1", "%", higher_is_better=True))
    for name, error in (("a", 9.401), ("b", 4.5)):
        values = MetricValues({"RMSE": error, "delta1": error / 10})
        row = Row("tiny", values, values, error / 30)
        write_results(RunFolder(Path(name)).results, Results("tiny", 0, (), (row,), {}, {}, {}, metrics))
    out = runs("diff", "a", "b")[1]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert ["RMSE of tiny", "9.401", "4.500"] in cells and ["delta1 of tiny", "94.0", "45.0"] in cells
    assert ["content_preservation of tiny", "9.401", "4.500"] in cells and "results, percent" not in out
    assert ["mutual_information of tiny", "0.3134", "0.15"] in cells


def test_a_run_does_not_differ_from_itself_and_an_unfinished_one_has_no_results(runs):
    assert runs("diff", "a", "a") == (0, "nothing differs\n", "")
    RunFolder(Path("b")).results.unlink()
    RunFolder(Path("b")).environment.unlink()
    code, out, _ = runs("diff", "a", "b")
    assert code == 0 and "b is not finished: it has no results yet" in out
    assert json.loads(runs("diff", "a", "b", "--json")[1])["environment"]["commit"] == ["one", None]


def test_what_is_no_run_is_named(runs, tables):
    refused(runs("diff", "a", "gone"), "gone holds no run")
    Path("b/environment.json").write_text("{")
    refused(runs("diff", "a", "b"), r"b/environment\.json: cannot be read")
    Path("c").mkdir()
    Path("c/recipe.toml").write_text(tomli_w.dumps({"name": "c"}))
    refused(runs("diff", "c", "a"), r"c/recipe\.toml is damaged")
