"""A run whose task has no classes: it is cached, stopped, shared out and compared as one that has; and what goes by
classes alone is refused."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TABLES, Recorder, refused
from PIL import Image
from test_ranks import start_two
from tiny_suite import plan_of

from daframework.data.decode import read_image, write_image, write_label
from daframework.errors import RecipeError, StoppedError
from daframework.recipes.read import parse
from daframework.registry import find, load_plugins
from daframework.report.summary import results_grid
from daframework.report.table import as_text
from daframework.runs.check import check
from daframework.runs.stages import execute
from daframework.storage.results import read_results
from daframework.storage.run_folder import open_folder
from daframework.suites.bench import compare

STREETS = {"name": "streets", "size": [32, 48], "train_images": 5, "test_images": 3}
NETWORK = {"encoder": "tu-test_resnet", "arch_options": {"encoder_depth": 2, "decoder_channels": [8, 8]}}
DEPTH = TABLES | {
    "source": STREETS | {"look": "game"},
    "target": STREETS | {"look": "camera"},
    "generator": {"name": "resnet", "channels": 4, "blocks": 1},
    "discriminator": {"name": "semantic", "channels": 4, "layers": 2, "decoder_channels": 4},
    "losses": [{"name": "lsgan"}, {"name": "semantic_discriminator"}, {"name": "weighted_reconstruction"}],
    "task": {"name": "depth"} | NETWORK,
    "downstream": TABLES["downstream"] | {"augment": {"scale": [0.8, 1.2], "gamma": 0.3}},
}


@pytest.fixture
def tables():
    return copy.deepcopy(DEPTH)


@pytest.fixture
def run(plugins, session, tmp_path):
    """Run tables in a folder of ``tmp_path``, its results."""

    def run_in(name, tables, **made):
        recipe = parse(tables, "depth.toml")
        return execute(session(**made), plugins, recipe, open_folder(tmp_path / name, recipe))

    return run_in


@pytest.fixture(scope="module")
def whole(plugins, module_session, tmp_path_factory):
    """A finished run of `DEPTH`: its folder and its results."""
    recipe, path = parse(copy.deepcopy(DEPTH), "depth.toml"), tmp_path_factory.mktemp("whole")
    return path, execute(module_session(Recorder()), plugins, recipe, open_folder(path, recipe))


def comparable(path):
    """What came out: scores, translated images, labels of both types."""
    content = json.loads((path / "results.json").read_text())
    del content["seconds"], content["environment"]
    files = (file for kind in ("*.png", "*.npy") for file in (path / "translated").rglob(kind))
    return content, {file.relative_to(path): file.read_bytes() for file in files}


def test_classes_guide_the_translation_and_metres_are_learnt_and_scored(whole):
    path, results = whole
    assert [metric.name for metric in results.metrics][:3] == ["AbsRel", "SqRel", "RMSE"]
    assert "pixels from 0.1 to 80 m count" in as_text([results_grid([results])], "markdown")
    assert not results.metrics[0].higher_is_better and "IoU" not in results.table()[0]
    assert [row.method for row in results.rows] == ["source_only", "tiny", "oracle"]
    for row in results.rows:
        assert row.scores.primary > 0 and 0 <= row.scores.values["delta1"] <= 1 and row.mutual_information is None
        assert (row.preserved is not None) == (row.method == "tiny")
    assert read_results(path / "results.json").rows == results.rows
    depths = sorted((path / "translated" / "labels_depth").glob("*.npy"))
    assert len(depths) == 5 and np.load(depths[0]).dtype == np.float32
    assert len(list((path / "translated" / "labels").glob("*.png"))) == 5


def test_the_cache_changes_no_bit(whole, run, tables, tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))
    run("with", tables | {"data": tables["data"] | {"cache": True}})
    assert comparable(tmp_path / "with") == comparable(whole[0])
    kinds = sorted(folder.name.rpartition("-")[0] for folder in (tmp_path / "cache").iterdir())
    assert kinds == sorted(["images"] * 3 + ["labels"] + ["labels_depth"] * 3)


@pytest.mark.parametrize("stop", [3, 9, 14])
def test_a_run_that_was_stopped_goes_on_exactly(whole, run, tables, tmp_path, stop):
    with pytest.raises(StoppedError):
        run("parts", tables, log=Recorder(stop_after=stop))
    run("parts", tables)
    assert comparable(tmp_path / "parts") == comparable(whole[0])


def test_two_processes_train_as_one_with_the_images_of_both(daf, write, tmp_path):
    exact = DEPTH | {"hardware": {"accelerator": "cpu", "precision": "64-true"}}
    whole, shared = (write(exact, f"{name}.toml") for name in ("whole", "shared"))
    halves = ["--set", "data.batch_size=1", "--set", "downstream.batch_size=1"]
    two = start_two("run", shared, "--out", tmp_path / "two", *halves)
    code, _, errors = daf("run", whole, "--out", tmp_path / "one")
    together = [process.communicate()[1] for process in two]
    assert (code, *(process.returncode for process in two)) == (0, 0, 0), [errors, *together]
    first, second = (read_results(tmp_path / folder / "results.json").rows for folder in ("one", "two"))
    for one, other in zip(first, second, strict=True):
        assert other.scores.values == pytest.approx(one.scores.values, rel=1e-5)


def test_a_bench_ranks_by_the_lowest_error_and_says_so(plugins, tmp_path, session):
    files = {f"{name}.toml": DEPTH | {"name": name} for name in ("one", "other")}
    tasks = [{"label": "metres", "name": "depth"} | NETWORK]
    target = DEPTH["target"] | {"test_images": 20}
    changes = {"source": DEPTH["source"], "target": target, "data": DEPTH["data"], "tasks": tasks}
    plan = plan_of(plugins, tmp_path, files, downstream={"steps": 4, "lr": 0.01}, **changes)
    for cell in plan.cells:
        execute(session(), plugins, cell.recipe, open_folder(cell.folder.path, cell.recipe))
    made = compare(plugins, plan, {})
    rows = [row for row in made.rows if row["AbsRel"]["mean"] is not None]
    errors = [row["AbsRel"]["mean"] for row in rows]
    assert len(rows) == 4 and errors == sorted(errors)
    text = made.text()
    assert "metres: AbsRel on the target's test set" in text and "lower is better" in text
    assert "- depth in metres: pixels from 0.1 to 80 m count" in text
    other = next(row for row in made.rows if row["method"] == "other")
    assert (other["to_baseline_interval"] is not None and other["gap_closed"] is not None) or errors[0] < errors[-1]
    table = json.loads((plan.out / "table.json").read_text())["tables"][0]
    assert table["metrics"][0] == {"name": "AbsRel", "unit": "", "higher_is_better": False, "by_class": None}
    assert (plan.out / "metres_absrel.png").exists() and not list(plan.out.glob("*classes*"))


def test_a_finished_run_predicts_metres_and_pictures_of_them(daf, whole, tmp_path, images):
    (images / "notes.txt").unlink()
    for kind in ("index", "colour"):
        code, _, errors = daf("predict", whole[0], images, tmp_path / kind, "--write", kind)
        assert code == 0, errors
    depth = np.load(tmp_path / "index" / "a.npy")
    assert depth.shape == (32, 48) and depth.dtype == np.float32 and (depth > 0).all()
    assert read_image(tmp_path / "colour" / "a.png").shape == (3, 32, 48)
    refused(daf("predict", whole[0], images, tmp_path / "ids", "--write", "id"), "'depth' has no classes and so")


# --- what does not go together ---


@pytest.mark.parametrize(
    "table, key, value, says",
    [
        ("downstream", "class_balance", 0.5, "downstream.class_balance: is for a task of classes, and 'depth' learns"),
        ("downstream", "self_training", {"steps": 2}, "downstream.self_training: is for a task of classes"),
        ("downstream", "augment", {"class_colors": 0.5}, "downstream.augment.class_colors: is for a task of classes"),
        (
            "translation",
            "originals",
            {"share": 0.5, "augment": {"class_colors": 0.5}},
            "translation.originals.augment.class_colors: is for a task of classes",
        ),
        ("data", "matched_crops", 2, "data.matched_crops: is for a task of classes"),
        ("source", "name", "blocks", "'depth' learns the label 'depth', which source does not have; it has semantic"),
    ],
)
def test_what_goes_by_classes_alone_is_refused_in_a_line(plugins, tables, table, key, value, says):
    tables[table][key] = value
    if value == "blocks":
        tables["source"], tables["target"] = {"name": "blocks"}, {"name": "blocks"}
    with pytest.raises(RecipeError, match=says):
        check(plugins, parse(tables, "depth.toml"), "depth.toml")


def test_a_loss_that_asks_for_the_sources_classes_is_refused(plugins, tables):
    tables["losses"].append({"name": "semantic_consistency"})
    with pytest.raises(RecipeError, match=r"losses\.semantic_consistency: needs a source model of classes"):
        check(plugins, parse(tables, "depth.toml"), "depth.toml")


def test_where_nothing_counts_check_says_so_and_a_task_that_cannot_be_built_is_its_own_error(plugins, tables):
    told = []
    tables["task"] |= {"min_depth": 600.0, "max_depth": 900.0}
    check(plugins, parse(tables, "depth.toml"), "depth.toml", told.append)
    assert len(told) == 3 and all("no depth lies from min_depth = 600 to max_depth = 900 m" in line for line in told)
    tables["task"]["head"] = "none"
    with pytest.raises(RecipeError) as raised:
        check(plugins, parse(tables, "depth.toml"), "depth.toml")
    assert all("task.head: must be one of" in line for line in raised.value.problems), raised.value.problems


# --- a source without classes ---


@pytest.fixture
def bare(tables, tmp_path):
    """The same of files with depth alone, translated by what asks for no classes."""
    for domain, look in (("source", "game"), ("target", "camera")):
        streets = streets_of(look)
        for index in range(len(streets)):
            sample = streets[index]
            write_image(tmp_path / domain / "images" / f"{index}.png", sample.image)
            (tmp_path / domain / "depth").mkdir(exist_ok=True)
            np.save(tmp_path / domain / "depth" / f"{index}.npy", sample.others["depth"].numpy())
        files = {"root": str(tmp_path / domain), "depth": "depth", "depth_format": "npy"}
        tables[domain] = {"name": "image_folder"} | files
    tables["discriminator"], tables["losses"] = (
        {"name": "patchgan", "channels": 4},
        [{"name": "lsgan"}, {"name": "cycle"}],
    )
    tables["data"]["crop_size"] = [32, 48]
    return tables


def streets_of(look):
    return find(load_plugins(), "dataset", "streets").factory(split="train", look=look, size=[32, 48], train_images=4)


def test_a_source_without_classes_is_translated_by_what_asks_for_none(plugins, run, bare, tmp_path):
    assert check(plugins, parse(bare, "depth.toml"), "depth.toml") == []
    results = run("bare", bare)
    assert results.classes == () and [row.method for row in results.rows] == ["source_only", "tiny", "oracle"]
    assert not (tmp_path / "bare" / "translated" / "labels" / "000000_0.png.png").exists()
    sheet = read_image(tmp_path / "bare" / "samples" / "step_000004.png")
    assert sheet.shape[2] == 3 * 48 + 2 * 2  # source, translated, translated back


@pytest.mark.parametrize(
    "discriminator, loss, says",
    [
        ("semantic", "lsgan", "num_classes must be 1 or more, got 0; it goes by classes, and the source has none"),
        (
            "patchgan",
            "weighted_reconstruction",
            "a loss asks for the source's classes, and it has none; leave the loss out",
        ),
    ],
)
def test_what_asks_for_the_classes_of_a_source_without_any_is_named(plugins, bare, discriminator, loss, says):
    bare["discriminator"] = {"name": discriminator, "channels": 4}
    bare["losses"] = [{"name": "lsgan"}, {"name": loss}] if loss != "lsgan" else [{"name": loss}]
    with pytest.raises(RecipeError) as raised:
        check(plugins, parse(bare, "depth.toml"), "depth.toml")
    assert [line for line in raised.value.problems if says in line], raised.value.problems


def test_classes_are_asked_for_by_a_semantic_head_alone_and_blamed_for_nothing_else(plugins, bare):
    bare["losses"] = [{"name": "lsgan"}]
    bare["discriminator"] = {"name": "semantic", "channels": 4, "semantic_head": False}
    assert check(plugins, parse(bare, "depth.toml"), "depth.toml") == []
    bare["discriminator"]["layers"] = 0
    with pytest.raises(RecipeError, match=r"layers must be 1 or more, got 0$"):
        check(plugins, parse(bare, "depth.toml"), "depth.toml")


# --- what `daf data` makes of depth ---


def test_data_check_looks_at_every_depth_and_counts_the_sound_ones(daf, write, bare, tmp_path):
    np.save(tmp_path / "source" / "depth" / "1.npy", np.full((32, 48), -1, np.float32))
    np.save(tmp_path / "source" / "depth" / "2.npy", np.ones((32, 40), np.float32))
    bare["downstream"]["score"] = False  # so that the target need not have a test set of its own
    code, out, errors = daf("data", "check", write(bare), "--workers", 0, "--json", "found.json")
    lines = [line for line in out.splitlines() if line.startswith("error: ")]
    assert code == 1 and errors == "" and len(lines) == 2 and "2 depth" in out and "4 depth" in out
    assert "depth/1.npy: 1536 pixels are negative" in lines[0] and "depth/2.npy: 32 x 40 pixels" in lines[1]
    source, target = json.loads(Path("found.json").read_text())["sets"]
    assert source["other_labels"] == {"depth": 2} and target["other_labels"] == {"depth": 4}
    assert source["labels"] == 0 and source["classes"] == {}


def test_a_unit_that_looks_wrong_is_a_warning_of_check_and_once_a_set_of_data_check(daf, write, bare):
    bare["downstream"]["score"] = False
    bare["source"] |= {"depth_scale": 100.0, "depth_range": [1, 50]}
    path = write(bare)
    code, _, errors = daf("check", path)
    assert code == 0 and errors.count("far outside depth_range = [1, 50]") == 1 and "source: " in errors
    code, out, _ = daf("data", "check", path, "--workers", 0)
    assert code == 0 and out.count("far outside depth_range") == 1 and "(and of 3 more files)" in out
    del bare["source"]["depth_range"]
    code, out, _ = daf("data", "check", write(bare), "--workers", 2)  # then the task has a word to say
    assert code == 0 and re.search(r"source train: \S+0\.png: no depth lies from min_depth .* \(and of 3 more fi", out)


def test_preview_shows_depth_beside_its_image(daf, write, tables, bare):
    assert daf("data", "preview", write(bare), "--out", "depth.png", "--count", 1)[::2] == (0, "")
    both = tables | {"source": STREETS | {"look": "game"}, "target": STREETS | {"look": "camera"}}
    assert daf("data", "preview", write(both), "--out", "both.png", "--count", 1)[::2] == (0, "")
    near = np.array([245, 125, 21])  # some metres away: of the picture of depth and of nothing else
    for name in ("depth.png", "both.png"):
        pixels = np.asarray(Image.open(name).convert("RGB")).astype(int)
        assert (abs(pixels - near).max(-1) < 40).sum() > 1000, name


def test_a_set_of_depth_alone_is_shown_without_and_told_where_no_task_knows_it(daf, bare, tmp_path):
    options = ["--set", "depth=depth", "--set", "depth_format=npy"]
    code, _, errors = daf("data", "preview", "image_folder", tmp_path / "source", *options)
    assert code == 0 and "shown without labels: the dataset has depth, and no classes; give a recipe whose" in errors
    assert "4 depth" in daf("data", "check", "image_folder", tmp_path / "source", *options, "--workers", 0)[1]
    assert "none" in daf("data", "check", "image_folder", tmp_path / "source", "--workers", 0)[1]


def test_that_no_label_of_classes_is_sound_is_counted_beside_the_depths_that_are(daf, bare, tmp_path):
    (tmp_path / "source" / "labels").mkdir()
    for index in range(4):
        write_label(tmp_path / "source" / "labels" / f"{index}.png", torch.full((32, 48), 9, dtype=torch.uint8))
    options = ["--set", "depth=depth", "--set", "depth_format=npy", "--set", 'classes=["road"]']
    options += ["--set", 'ids={"0" = "road"}', "--workers", 0]
    code, out, _ = daf("data", "check", "image_folder", tmp_path / "source", *options)
    assert code == 1 and out.count("error: ") == 4 and "0, 4 depth" in out


def test_a_target_of_images_alone_is_adapted_to_and_nothing_is_scored(plugins, run, bare, tmp_path):
    bare["target"] = {"name": "image_folder", "root": str(tmp_path / "target")}
    for file in (tmp_path / "target" / "depth").iterdir():
        file.unlink()
    with pytest.raises(RecipeError, match=r"which target test does not have; it has none: say in \[target\] where"):
        check(plugins, parse(bare, "depth.toml"), "depth.toml")
    bare["downstream"] |= {"score": False, "oracle": False}
    assert check(plugins, parse(bare, "depth.toml"), "depth.toml") == []
    assert all(row.scores.primary is None for row in run("alone", bare).rows)
