"""A sound file in another's place, or a number that another replaced: noticed by whoever reads it."""

import json
import shutil

import pytest
import torch
from conftest import refused
from image_files import picture
from image_files import write as write_image
from tiny_suite import finish, plan_of

from daframework.adapt.translated_set import open_translated
from daframework.build import make_dataset, make_task
from daframework.errors import DataError, RunError
from daframework.recipes.read import parse
from daframework.runs.stages import execute
from daframework.storage import checkpoint
from daframework.storage.results import read_results
from daframework.storage.run_folder import RunFolder, open_folder
from daframework.suites.bench import statuses
from daframework.suites.comparison import task_table
from daframework.suites.status import State

CPU = torch.device("cpu")


def swap(one, other):
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


# --- checkpoints ---


def test_a_checkpoint_in_anothers_place_is_refused(tmp_path):
    for name in ("one", "other"):
        checkpoint.save(tmp_path / f"{name}.pt", {"model": torch.ones(2)})
    swap(tmp_path / "one.pt", tmp_path / "other.pt")
    with pytest.raises(RunError, match=r"one\.pt is damaged: its content is not what was saved"):
        checkpoint.load(tmp_path / "one.pt", CPU)


def test_a_checkpoint_may_lie_in_another_folder_and_be_the_one_before(tmp_path):
    for done in (1, 2):
        checkpoint.save(tmp_path / "a.pt", {"done": done}, keep_previous=True)
    (tmp_path / "a.pt").unlink()
    shutil.copytree(tmp_path, tmp_path / "moved")
    assert checkpoint.load(tmp_path / "moved/a.pt", CPU) == {"done": 1}


# --- a run ---


@pytest.fixture(scope="module")
def finished(plugins, module_session, tmp_path_factory):
    from conftest import TABLES, Recorder

    recipe = parse(TABLES, "r")
    folder = open_folder(tmp_path_factory.mktemp("run") / "seed0", recipe)
    execute(module_session(Recorder()), plugins, recipe, folder)
    return folder.path


@pytest.fixture
def unfinished(finished, tmp_path):
    """The same without its results, which are made anew from the rest."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run/results.json").unlink()
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize("row", ["source_only", "oracle", "tiny", "semantic_preservation"])
def test_scores_that_are_not_what_their_statistics_add_up_to_are_refused(unfinished, plugins, recipe, session, row):
    path = unfinished.scores(row)
    scores = json.loads(path.read_text())
    path.write_text(json.dumps(scores | {"mIoU": scores["mIoU"] / 2}))
    with pytest.raises(RunError, match=rf"{row}\.json: damaged \(.*statistics.*\); delete it and run again"):
        execute(session(), plugins, recipe, unfinished)


def test_scores_swapped_between_rows_are_refused(unfinished, plugins, recipe, session):
    swap(unfinished.scores("source_only"), unfinished.scores("oracle"))
    with pytest.raises(RunError, match=r"source_only\.json: damaged"):
        execute(session(), plugins, recipe, unfinished)


def test_results_of_another_run_are_not_taken_for_this_ones(finished, plugins, recipe, session, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    other = parse(json.loads(json.dumps({**_tables(), "seed": 1})), "r")
    folder = open_folder(tmp_path / "other", other)
    execute(session(), plugins, other, folder)
    shutil.copy(folder.results, tmp_path / "run/results.json")
    assert execute(session(), plugins, recipe, RunFolder(tmp_path / "run")).seed == 0


def _tables():
    from conftest import TABLES

    return TABLES


# --- a translated set ---


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_translated_file_in_anothers_place_is_refused(unfinished, plugins, recipe, kind):
    first, second, *_ = sorted((unfinished.translated / kind).iterdir())
    swap(first, second)
    (translated,) = open_translated(unfinished.translated, make_dataset(plugins, recipe, "source", "train"))
    with pytest.raises(DataError, match=rf"{first.name}: is not what was written; delete .*translated to"):
        translated[0]


def test_an_index_that_was_changed_is_refused(unfinished, plugins, recipe):
    path = unfinished.translated / "index.json"
    path.write_text(path.read_text().replace("train/0", "train/1"))
    with pytest.raises(DataError, match=r"not a translated set \(index\.json is not what was written\)"):
        open_translated(unfinished.translated, make_dataset(plugins, recipe, "source", "train"))


# --- the recipe as run ---


@pytest.mark.parametrize("command", ["predict", "translate"])
def test_a_run_whose_recipe_was_changed_neither_predicts_nor_translates(daf, finished, tmp_path, command):
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run/recipe.toml"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    write_image(tmp_path / "images/a.png", picture(shape=(16, 24, 3)))
    refused(
        daf(command, tmp_path / "run", tmp_path / "images", "out"), r"recipe\.toml is damaged: .*not what was written"
    )


# --- a suite ---


@pytest.fixture
def suite(plugins, module_session, tmp_path):
    plan = plan_of(plugins, tmp_path, seeds=[0, 1], tasks=None, baseline="source_only")
    for cell in plan.cells:
        finish(plugins, plan, cell, module_session)
    return plan


def test_results_and_statistics_swapped_between_seeds_are_noticed(suite, plugins):
    first, second = (suite.cell("task", "one", seed) for seed in (0, 1))
    swap(first.folder.statistics("one"), second.folder.statistics("one"))
    built = make_task(plugins, first.recipe, 3)
    with pytest.raises(RunError, match=r"one\.pt: of another run than its results"):
        task_table(suite, "task", statuses(suite), {}, built)
    swap(first.folder.results, second.folder.results)
    assert statuses(suite)[first.name].state is State.STARTED
    assert read_results(first.folder.results).seed == 1
