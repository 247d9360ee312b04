"""A whole suite by real processes: what it leaves, what the next call makes of that, and runs that fail."""

import json
import re
import shutil

import pytest
from conftest import TABLES, search_path
from tiny_suite import RECIPES, SUITE, finish, log_of, plan_of, scores_in, start, undrawn, write_suite

import daframework
from daframework.data.decode import image_size
from daframework.errors import RecipeError, RunError
from daframework.storage.results import read_results

FILES = {"one.toml": RECIPES["one.toml"]}


@pytest.fixture(scope="module")
def finished(site, tmp_path_factory):
    """The suite's file, its folder, and the exit code, output and errors of the call that made it."""
    folder = tmp_path_factory.mktemp("suite")
    path = write_suite(folder, FILES)
    process = start(site, path, "--out", folder / "bench", "--jobs", "2", "--per-class")
    out, errors = process.communicate()
    return path, folder / "bench", (process.returncode, out, errors)


@pytest.fixture
def copied(finished, plugins, tmp_path):
    """The suite's file, a copy of its folder, to change at will, and the plan of both."""
    shutil.copytree(finished[1], tmp_path / "bench")
    plan = plan_of(plugins, tmp_path, FILES)
    return tmp_path / "suite.toml", plan.out, plan


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """The suite of another process has figures."""
    undrawn(monkeypatch)


# --- an undisturbed suite ---


def test_a_suite_ends_with_its_tables(finished):
    _, out, (code, text, errors) = finished
    assert code == 0, errors
    for task in ("narrow", "wide"):
        assert f"{task}: mIoU on the target's test set, percent" in text
        assert f"{task}: IoU on the target's test set, percent" in text
    assert [text.count(f"│ {method} ") for method in ("source_only", "oracle", "one")] == [4] * 3
    assert "20 target test" in text and "task pixels (channels 6): 16 steps of 2; seeds 0" in text
    assert errors.count(": begins\n") == errors.count(": done in ") == 4 and "4 of 4 runs done, 0 running" in errors
    assert errors.endswith(f"tables and figures in {out}\n")


def test_a_suite_leaves_tables_figures_logs_and_a_folder_for_each_run(finished, plugins, tmp_path):
    _, out, _ = finished
    drawn = ("narrow_miou", "narrow_classes", "wide_miou", "wide_classes", "sheet")
    figures = {f"{name}.{form}" for name in drawn for form in ("png", "svg")}
    assert {path.name for path in out.iterdir()} == figures | {
        "table.json",
        "table.md",
        ".lock",
        "logs",
        "narrow",
        "wide",
    }
    assert min(image_size(out / "sheet.png")) > 100
    for cell in plan_of(plugins, tmp_path, FILES).cells:
        assert (out / cell.name / "results.json").exists() and log_of(out, cell.name)
    assert (out / "table.md").read_text().count("\n| oracle |") == 2 * 2


def test_the_scores_are_those_of_the_runs_alone(finished, plugins, tmp_path, session):
    plan = plan_of(plugins, tmp_path, FILES)
    for cell in plan.cells:
        finish(plugins, plan, cell, session)
        there = read_results(finished[1] / cell.name / "results.json")
        assert read_results(cell.folder.results).rows == there.rows


def test_each_model_is_trained_by_one_process(finished):
    _, out, _ = finished
    logs = {path.relative_to(out / "logs").with_suffix("").as_posix(): path.read_text() for path in out.rglob("*.txt")}
    trained = {
        name: re.findall(r"^(training on .*|translation): \d+ steps$", text, re.MULTILINE)
        for name, text in logs.items()
    }
    references = ["training on source_only", "training on oracle"]
    assert trained == {
        "narrow/source_only/seed0": references,
        "wide/source_only/seed0": references,
        "narrow/one/seed0": ["translation", "training on one"],
        "wide/one/seed0": ["training on one"],
    }


# --- the next call ---


def test_the_same_call_again_runs_nothing_and_prints_the_same(finished, daf):
    path, out, (_, text, _) = finished
    runs = (out / "logs", out / "narrow", out / "wide")
    before = {file: file.stat().st_mtime_ns for folder in runs for file in folder.rglob("*")}
    code, again, errors = daf("bench", path, "--out", out, "--per-class")
    assert (code, errors) == (0, f"suite {path}, into {out}\ntables and figures in {out}\n")
    assert {file: file.stat().st_mtime_ns for folder in runs for file in folder.rglob("*")} == before
    kept = [line for line in text.splitlines() if "stale: made by" not in line]
    assert [line for line in again.splitlines() if "stale: made by" not in line] == kept


@pytest.mark.parametrize("form, begins", [("markdown", "narrow: mIoU"), ("csv", "method,mIoU"), ("latex", "% narrow")])
def test_other_formats_go_to_standard_output_alone(finished, daf, form, begins):
    path, out, _ = finished
    code, text, errors = daf("bench", path, "--out", out, "--collect", "--format", form)
    assert code == 0 and text.startswith(begins) and len(errors.splitlines()) == 2


def test_json_is_what_lies_in_the_folder(finished, daf):
    path, out, _ = finished
    code, text, _ = daf("bench", path, "--out", out, "--collect", "--format", "json")
    assert code == 0 and text == (out / "table.json").read_text()


def test_a_script_gets_the_rows_of_the_command_and_results_that_were_cut_off_anew(copied, installed, capsys):
    path, out, plan = copied
    results = plan.cell("narrow", "one", 0).folder.results
    whole = read_results(results).rows
    results.write_text(results.read_text()[:100])
    bench = daframework.bench(path, out, seeds=[0], only=["one"], set={"bootstrap": 0}, jobs=1)
    assert (bench.folder, bench.failures) == (out, {}) and read_results(results).rows == whole
    assert "steps" not in log_of(out, "narrow/one/seed0").rpartition("daf: narrow/one/seed0 begins")[2]
    assert {(row["task"], row["method"]) for row in bench.rows} == {
        (task, method) for task in ("narrow", "wide") for method in ("source_only", "oracle", "one")
    }
    assert all(row["seeds"][0]["mIoU"] == row["mIoU"]["mean"] is not None for row in bench.rows)
    assert {row["to_baseline_interval"] for row in bench.rows} == {None}
    assert json.loads(bench.text("json")) == json.loads((out / "table.json").read_text())
    assert str(bench).startswith("narrow: mIoU on the target's test set, percent\n") and capsys.readouterr().out == ""
    with pytest.raises(RunError, match="jobs must be 1 or more, got -1"):
        daframework.bench(path, out, seeds=[9], jobs=-1)
    for seeds in ([], [0, 0]):
        with pytest.raises(RecipeError, match=r"seeds must be a list of at least one whole number .*, each once, got "):
            daframework.bench(path, out, seeds=seeds)
    with pytest.raises(RecipeError, match=r"bootstrap: must be a whole number, got 'x'"):
        daframework.bench(path, out, set={"bootstrap": "x"})


def test_a_run_of_another_recipe_is_left_out_and_left_alone(copied, daf, monkeypatch):
    path, out, plan = copied
    cell = plan.cell("narrow", "one", 0)
    recipe = cell.folder.recipe.read_text()
    cell.folder.recipe.write_text(recipe.replace("pool_size = 3", "pool_size = 2"))
    before = {file: file.read_bytes() for file in cell.folder.path.rglob("*") if file.is_file()}
    drawn = []
    monkeypatch.setattr("daframework.suites.drawings.contact_sheet", lambda sections, *_, **__: drawn.extend(sections))
    code, text, errors = daf("bench", path, "--out", out)
    assert code == 0 and "begins" not in errors
    assert (
        "one: seed 0: stale and left out: its folder holds a run of another recipe (translation.pool_size was 2, "
        in text
    )
    assert "│ one † " in text and scores_in(out)[0]["rows"][-1]["seeds"] == []
    assert {file: file.read_bytes() for file in cell.folder.path.rglob("*") if file.is_file()} == before
    assert drawn == ["source", "label"]


def test_where_every_run_is_of_another_recipe_that_is_the_error(copied, daf):
    path, out, _ = copied
    code, text, errors = daf("bench", path, "--out", out, "--set", "downstream.steps=3")
    assert (code, text) == (1, "") and errors.splitlines()[1] == (
        f"error: {out} holds no finished run of suite 'small'"
    )
    assert "(downstream.steps was 16, now 3)" in errors


def test_results_of_another_commit_are_marked_stale(copied, daf):
    path, out, plan = copied
    results = plan.cell("wide", "one", 0).folder.results
    content = json.loads(results.read_text())
    content["environment"]["commit"] = "0123456789ab"
    results.write_text(json.dumps(content))
    code, text, _ = daf("bench", path, "--out", out)
    assert code == 0 and "│ one † " in text
    assert "one: seed 0: stale: made by commit 0123456789ab of daframework, not by what is installed now" in text
    assert scores_in(out)[1]["rows"][-1]["seeds"]  # counted all the same


def test_nothing_to_collect_is_an_error(daf, tmp_path):
    path = write_suite(tmp_path)
    code, text, errors = daf("bench", path, "--collect")
    assert (code, text) == (1, "") and errors.splitlines()[1:] == [
        "error: bench/small holds no finished run of suite 'small'",
        "error: source_only, oracle, one, coloured: seed 0: to run",
    ]


# --- runs that fail ---


def test_a_run_that_fails_costs_one_cell(finished, site, daf, monkeypatch, tmp_path):
    methods = {
        f"{name}.toml": {key: table for key, table in TABLES.items() if key not in ("discriminator", "losses")}
        | {"name": name, "generator": {"name": name}, "translation": {"steps": 0}}
        for name in ("raises", "dies")
    }
    # The references are there already; that of another method is still to be made when the first has failed.
    shutil.copytree(finished[1] / "narrow/source_only", tmp_path / "bench/narrow/source_only")
    methods |= {"coloured.toml": RECIPES["coloured.toml"]}
    path = write_suite(tmp_path, methods, tasks=SUITE["tasks"][:1], baseline=None)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", search_path(site))
    code, text, errors = daf("bench", path, "--out", tmp_path / "bench", "--jobs", "2")
    assert code == 1, errors
    names = ("raises", "dies")
    assert errors.splitlines()[-1].startswith("error: 2 of 4 runs failed (narrow/") and all(
        f"narrow/{name}/seed0" in errors.splitlines()[-1] for name in names
    )
    assert errors.rindex("coloured/seed0: begins") > min(errors.index(f"{name}/seed0: failed") for name in names)
    assert "raises: seed 0: failed: unexpected RuntimeError: no [red]licence (a fault of" in text
    assert "dies: seed 0: failed: killed from outside, as for want of memory; lower batch_size" in text
    rows = {row["method"]: row for row in scores_in(tmp_path / "bench")[0]["rows"]}
    assert {name: row["mIoU"]["mean"] is None for name, row in rows.items()} == {
        "source_only": False,
        "oracle": False,
        "coloured": False,
        "raises": True,
        "dies": True,
    }
    assert [name for name in rows][-2:] == ["raises", "dies"]
