"""How far a run of a suite is, and what one run hands to another."""

import json
import os
import shutil

import attrs
import pytest
from tiny_suite import finish, plan_of

from daframework.errors import RunError, StoppedError
from daframework.runs.stages import execute
from daframework.storage.results import read_results
from daframework.storage.run_folder import open_folder, read_recipe
from daframework.suites import share
from daframework.suites.bench import statuses
from daframework.suites.share import receive
from daframework.suites.status import State, status


@pytest.fixture
def plan(plugins, tmp_path):
    return plan_of(plugins, tmp_path)


@pytest.fixture(scope="module")
def finished(plugins, tmp_path_factory, module_session):
    """The plan of a suite whose runs were made one after another, and what each told."""
    plan = plan_of(plugins, tmp_path_factory.mktemp("suite"))

    return plan, {cell.name: finish(plugins, plan, cell, module_session) for cell in plan.cells}


@pytest.fixture
def copied(finished, plugins, tmp_path):
    """The same plan with a copy of the runs, to change at will."""
    shutil.copytree(finished[0].out, tmp_path / "bench")
    return plan_of(plugins, tmp_path)


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def stages(recorder):
    return [stage for stage, total, done in recorder.stages if done < total]


# --- how far a run is ---


def test_a_run_is_missing_then_started_then_done(plan, plugins, session):
    cell = plan.cells[0]
    assert status(cell).state is State.MISSING
    cell.folder.path.mkdir(parents=True)
    assert status(cell).state is State.MISSING  # an empty folder is as good as none
    with pytest.raises(StoppedError):
        finish(plugins, plan, cell, session, stop_after=3)
    assert status(cell).state is State.STARTED and status(cell).results is None
    finish(plugins, plan, cell, session)
    assert status(cell).state is State.DONE
    assert status(cell).results == read_results(cell.folder.results)


@pytest.mark.parametrize("content", ["", '{"recipe": "one", "se', "[]"])
def test_results_that_were_cut_off_leave_a_run_to_go_on_with(copied, content):
    cell = copied.cell("narrow", "one", 0)
    cell.folder.results.write_text(content)
    found = status(cell)
    assert (found.state, found.results) == (State.STARTED, None)
    assert found.problem == "results.json is damaged; running the suite writes it anew"


def test_a_run_of_another_recipe_is_foreign_and_says_in_which_key(copied):
    cell = copied.cell("narrow", "one", 0)
    other = attrs.evolve(cell, recipe=attrs.evolve(cell.recipe, seed=3))
    assert (status(other).state, status(other).results) == (State.FOREIGN, None)
    assert status(other).problem == "seed was 0, now 3"


def test_what_changes_no_result_is_no_other_recipe(copied):
    cell = copied.cell("narrow", "one", 0)
    hardware = attrs.evolve(cell.recipe.hardware, workers=1)
    assert status(attrs.evolve(cell, recipe=attrs.evolve(cell.recipe, hardware=hardware))).state is State.DONE


def test_a_run_goes_on_with_what_may_change_as_the_suite_has_it_now(copied):
    cell = copied.cell("narrow", "one", 0)
    hardware = attrs.evolve(cell.recipe.hardware, workers=3)
    now = attrs.evolve(cell, recipe=attrs.evolve(cell.recipe, hardware=hardware))
    receive(copied, now)
    assert read_recipe(cell.folder) == now.recipe != cell.recipe


def test_a_folder_of_something_else_is_foreign(plan, tmp_path):
    one, other, third = plan.cells[:3]
    one.folder.path.mkdir(parents=True)
    (one.folder.path / "thesis.tex").touch()
    other.folder.path.parent.mkdir(parents=True)
    other.folder.path.touch()
    third.folder.path.mkdir(parents=True)
    third.folder.recipe.write_text("name = ")
    for cell, says in ((one, "holds other files"), (other, "holds other files"), (third, "recipe.toml is damaged")):
        assert status(cell).state is State.FOREIGN and says in status(cell).problem


@pytest.mark.parametrize(
    "made, installed, stale",
    [
        (("abc", "1"), ("abc", "1"), None),
        (("abc", "1"), ("abd", "1"), "commit abc"),
        (("abc", "1"), ("abc-dirty", "1"), "commit abc"),
        ((None, "1"), (None, "1"), None),
        ((None, "1"), (None, "2"), "version 1"),
        (("abc", "1"), ("abc", "2"), "version 1"),
        (("abc", "1"), (None, "1"), "commit abc"),
        ((None, "1"), ("abc", "1"), "version 1"),
    ],
)
def test_results_of_another_commit_or_version_are_stale(copied, monkeypatch, made, installed, stale):
    cell = copied.cell("narrow", "one", 0)
    content = json.loads(cell.folder.results.read_text())
    content["environment"]["commit"], content["environment"]["versions"]["daframework"] = made
    cell.folder.results.write_text(json.dumps(content))
    monkeypatch.setattr("daframework.suites.status.software", lambda: {"commit": installed[0], "version": installed[1]})
    assert (status(cell).state, status(cell).stale) == (State.DONE, stale)


def test_asking_changes_nothing(copied):
    before = {path: path.stat().st_mtime_ns for path in copied.out.rglob("*")}
    statuses(copied)
    assert {path: path.stat().st_mtime_ns for path in copied.out.rglob("*")} == before


# --- what runs hand to one another ---


def test_nothing_is_trained_twice(finished):
    plan, told = finished
    fitted = ("training on {}", "scoring {}", "looking at what {} predicts")
    own = [*(stage.format("one") for stage in fitted), "content preservation"]
    for task in plan.tasks:
        references = stages(told[f"{task}/source_only/seed0"])
        assert references == [stage.format("source_only") for stage in fitted] + [
            stage.format("oracle")
            for stage in fitted[:2]  # which is never picked
        ]
        assert stages(told[f"{task}/coloured/seed0"]) == [stage.format("coloured") for stage in fitted]
    assert stages(told["narrow/one/seed0"]) == ["translation", "translating", *own]
    assert stages(told["wide/one/seed0"]) == own


def test_the_translations_batch_size_is_none_of_the_references_business(copied, plugins, tmp_path):
    for data in ({"batch_size": 2}, {}):  # of the recipes, written into the suite or not
        plan = plan_of(plugins, tmp_path, data=data)
        assert {status(cell).state for cell in plan.cells} == {State.DONE}


def test_what_is_shared_is_the_same_file(finished):
    plan, _ = finished
    for task in plan.tasks:
        giver, taker = (plan.cell(task, method, 0).folder for method in ("source_only", "one"))
        for row in ("source_only", "oracle"):
            for name in ("checkpoint", "statistics", "scores"):
                assert getattr(giver, name)(row).samefile(getattr(taker, name)(row))
    giver, taker = (plan.cell(task, "one", 0).folder for task in plan.tasks)
    shared = [*files_of(giver.translated), *files_of(giver.samples), giver.checkpoint("generator")]
    assert len(shared) == 2 * 6 + 1 + 1 + 1
    for path in shared:
        assert path.samefile(taker.path / path.relative_to(giver.path))
    assert not taker.checkpoint("translation").exists()  # nobody goes on training it


def test_shared_stages_take_their_seconds_along(finished):
    plan, _ = finished
    first, second = (json.loads(plan.cell(task, "one", 0).folder.seconds.read_text()) for task in plan.tasks)
    for stage in ("translation", "translating"):
        assert second[stage] == first[stage] > 0
    assert second["training on one"] != first["training on one"]
    assert "training on source_only" not in first


def test_sharing_gives_the_results_of_runs_that_share_nothing(finished, plugins, tmp_path, session):
    plan, _ = finished
    alone = plan_of(plugins, tmp_path)
    for cell in alone.cells:
        if cell.method != "source_only":
            execute(session(), plugins, cell.recipe, open_folder(cell.folder.path, cell.recipe))
            shared = plan.cell(cell.task, cell.method, 0)
            assert read_results(cell.folder.results).rows == read_results(shared.folder.results).rows


def test_what_a_finished_run_has_lost_is_not_shared_and_the_next_makes_its_own(copied):
    for name in ("source_only", "oracle"):
        copied.cell("wide", "source_only", 0).folder.checkpoint(name).unlink()
    copied.cell("narrow", "one", 0).folder.checkpoint("generator").unlink()
    cell = copied.cell("wide", "one", 0)
    shutil.rmtree(cell.folder.path)
    receive(copied, cell)
    assert not cell.folder.scores("source_only").exists() and not cell.folder.translated.exists()


def test_a_file_system_without_links_gets_copies(copied, plugins, tmp_path, session, monkeypatch):
    def refuse(giver, taker):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    cell = copied.cell("wide", "one", 0)
    before = {path: path.read_bytes() for path in files_of(cell.folder.translated)}
    shutil.rmtree(cell.folder.path)
    recorder = finish(plugins, copied, cell, session)
    assert stages(recorder)[0] == "training on one"
    assert {path: path.read_bytes() for path in files_of(cell.folder.translated)} == before
    assert all(path.stat().st_nlink == 1 for path in files_of(cell.folder.translated))


def test_a_run_of_another_recipe_hands_nothing_on(copied, plugins, session):
    for cell in (copied.cell("wide", "source_only", 0), copied.cell("narrow", "one", 0)):
        recipe = cell.folder.recipe.read_text()
        assert "steps = 16" in recipe
        cell.folder.recipe.write_text(recipe.replace("steps = 16", "steps = 15"))
        assert status(cell).state is State.FOREIGN
    taker = copied.cell("wide", "one", 0)
    shutil.rmtree(taker.folder.path)
    recorder = finish(plugins, copied, taker, session)
    assert {"training on source_only", "training on oracle", "translation", "translating"} <= set(stages(recorder))


@pytest.mark.parametrize("kept", range(9))
def test_a_hand_over_that_was_cut_off_goes_on_where_it_stopped(copied, plugins, session, monkeypatch, kept):
    taker = copied.cell("wide", "one", 0)
    before = {path.relative_to(taker.folder.path) for path in files_of(taker.folder.path)}
    rows = read_results(taker.folder.results).rows
    shutil.rmtree(taker.folder.path)
    link, made = share._link, []

    def cut_off(giver, taker):
        if len(made) == kept:
            raise KeyboardInterrupt
        made.append(link(giver, taker))

    monkeypatch.setattr(share, "_link", cut_off)
    with pytest.raises(KeyboardInterrupt):
        receive(copied, taker)
    monkeypatch.undo()
    assert not taker.folder.translated.exists()
    finish(plugins, copied, taker, session)
    assert read_results(taker.folder.results).rows == rows
    assert {path.relative_to(taker.folder.path) for path in files_of(taker.folder.path)} == before


def test_a_folder_that_cannot_be_written_is_named(copied, plan, monkeypatch):
    taker = copied.cell("wide", "one", 0)
    with pytest.raises(RunError, match="holds a run of another recipe"):
        receive(copied, attrs.evolve(taker, recipe=attrs.evolve(taker.recipe, seed=3)))
    shutil.rmtree(taker.folder.path)
    open_folder(taker.folder.path, taker.recipe)
    (taker.folder.path / "checkpoints").touch()
    with pytest.raises(RunError, match=r"wide/one/seed0 cannot be written: .*(File exists|Not a directory)"):
        receive(copied, taker)
