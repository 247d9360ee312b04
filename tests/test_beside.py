"""Rows that another process trains while the translation goes on: the same files, however it ends."""

import json
import shutil

import pytest
import torch
from conftest import Recorder
from torture.kills import bits

from daframework.errors import StoppedError
from daframework.listener import Listener
from daframework.recipes.read import parse
from daframework.runs import beside
from daframework.runs.beside import rows_beside
from daframework.runs.log import Listeners, LogFile
from daframework.runs.precision import precision_for
from daframework.runs.stages import execute, open_run, planned_rows
from daframework.storage.run_folder import RunFolder, open_folder


@pytest.fixture
def cores(monkeypatch):
    """Two cores for a run, of which each of its networks keeps one busy; no row is too short."""
    monkeypatch.setattr("daframework.compute.threads.asked_threads", lambda: None)
    monkeypatch.setattr(beside, "_WORTH", 1)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def run(plugins, tables, path, session, recorder=None):
    recipe, recorder = parse(tables, "r"), recorder or Recorder()
    folder = open_folder(path, recipe)
    made = session(log=Listeners([LogFile(folder.log), recorder]))
    execute(type(made)(made.fabric, made.log, getattr(recorder, "stopping", lambda: False)), plugins, recipe, folder)
    return recorder


def left(path):
    """What a run leaves of its rows and their log: tensors, scores, and lines by stage."""
    weights = {file.name: bits(torch.load(file, weights_only=True)) for file in path.rglob("*.pt")}
    scores = {file.name: file.read_text() for file in (path / "scores").glob("*.json")}
    return weights, scores, sorted((path / "log.jsonl").read_text().splitlines())


@pytest.fixture
def undisturbed(plugins, tables, tmp_path, session):
    run(plugins, tables, tmp_path / "alone", session)
    return left(tmp_path / "alone")


SCORED_HERE = {"scoring source_only", "scoring oracle"}  # of what another process did, only its log is told


def stages(recorder):
    return {stage for stage, _, _ in recorder.stages}


@pytest.mark.usefixtures("installed")
def test_rows_trained_beside_leave_what_one_process_leaves(undisturbed, cores, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    recorder = run(plugins, tables, path, session)
    assert left(path) == undisturbed
    assert not SCORED_HERE & stages(recorder)
    told = [stage for stage, *_ in recorder.lines]
    assert {"training on source_only", "training on oracle"} < {*told}
    assert told.index("translation") < told.index("training on source_only")
    spent = json.loads((path / "seconds.json").read_text())
    assert {"training on source_only", "training on oracle", "translation"} < {*spent}
    assert not (path / ".beside").exists()


def test_what_the_other_process_cannot_do_this_one_does(undisturbed, cores, plugins, tables, tmp_path, session):
    recorder = run(plugins, tables, tmp_path / "run", session)  # its plugin is installed for this process alone
    assert left(tmp_path / "run") == undisturbed
    assert stages(recorder) > SCORED_HERE


class StopsIn(Recorder):
    """Asks to stop as soon as a stage of the name begins."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def stopping(self):
        return any(stage.startswith(self.name) for stage, _, _ in self.stages)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("stage", ["translation", "waiting for source_only, oracle"])
def test_a_run_stopped_with_rows_beside_goes_on(undisturbed, cores, plugins, tables, tmp_path, session, stage):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, StopsIn(stage))
    assert not (path / ".beside").exists()
    run(plugins, tables, path, session)
    weights, scores, log = left(path)
    assert (weights, scores) == undisturbed[:2] and {*log} >= {*undisturbed[2]}  # and what was logged as it stopped


def test_what_a_killed_run_left_of_its_rows_beside_is_told_by_the_next(undisturbed, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    (path / ".beside").mkdir(parents=True)
    shutil.copy(tmp_path / "alone" / "recipe.toml", path)
    line = {"stage": "training on oracle", "step": 2, "loss": 9.5}
    (path / ".beside" / "log.jsonl").write_text(f"{json.dumps(line)}\nhalf a li")
    (path / ".beside" / "seconds.json").write_text('{"training on oracle": 1000.0}')
    recorder = run(plugins, tables, path, session)
    assert recorder.lines[0] == ("training on oracle", 2, {"loss": 9.5})
    assert json.loads((path / "seconds.json").read_text())["training on oracle"] > 1000
    assert not (path / ".beside").exists() and left(path)[:2] == undisturbed[:2]


def planned(plugins, tables, path, session):
    recipe = parse(tables, "r")
    made = session(log=Listener())
    precision = precision_for(plugins, recipe, made.fabric.device)
    opened, target = open_run(made, plugins, recipe, RunFolder(path), precision)
    return [row.name for row in rows_beside(opened, planned_rows(opened, target))]


@pytest.mark.usefixtures("cores")
def test_rows_go_beside_where_a_core_is_idle_and_the_translation_asks_nothing_of_them(
    plugins, tables, tmp_path, session, monkeypatch
):
    assert planned(plugins, tables, tmp_path, session) == ["source_only", "oracle"]
    tables["data"]["matched_crops"] = 2  # which the model of source_only matches
    assert planned(plugins, tables, tmp_path, session) == ["oracle"]
    torch.set_num_threads(1)
    assert planned(plugins, tables, tmp_path, session) == []
    torch.set_num_threads(2)
    monkeypatch.setattr("daframework.compute.threads.asked_threads", lambda: 2)  # by OMP_NUM_THREADS
    assert planned(plugins, tables, tmp_path, session) == []


def test_short_rows_and_finished_translations_have_none_beside(cores, plugins, tables, tmp_path, session, monkeypatch):
    monkeypatch.setattr(beside, "_WORTH", 5)
    assert planned(plugins, tables, tmp_path, session) == []
    monkeypatch.setattr(beside, "_WORTH", 4)
    assert planned(plugins, tables, tmp_path, session)
    (tmp_path / "translated").mkdir()
    assert planned(plugins, tables, tmp_path, session) == []
