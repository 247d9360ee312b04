"""The trackers that docs/listeners.md shows, each in its offline mode."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest
import tiny
import wandb
from conftest import TABLES

from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.log import Listeners, LogFile, plugin_listeners
from daframework.runs.stages import execute
from daframework.storage.run_folder import open_folder

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture
def follow(tmp_path, module_session):
    """A tiny run that the example for a tracker follows: its folder."""

    def run(name):
        file = EXAMPLES / f"{name}_listener.py"
        specification = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        plugins = load_plugins(extra={"tiny": tiny, name: module})
        recipe = parse(copy.deepcopy(TABLES) | {"log": {"every": 1, "to": [name]}}, "r")
        folder = open_folder(tmp_path / "run", recipe)
        log = [LogFile(folder.log), *plugin_listeners(plugins, folder.path, recipe)]
        assert len(log) == 2
        execute(module_session(Listeners(log)), plugins, recipe, folder)
        return folder

    return run


def test_mlflow_has_every_value_of_the_log(follow, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow  # here, as it takes a second of every process that collects tests

    folder = follow("mlflow")
    client, run = mlflow.MlflowClient(), (folder.path / "mlflow_run.txt").read_text()
    told = {}
    for line in map(json.loads, folder.log.read_text().splitlines()):
        stage, step = line.pop("stage"), line.pop("step")
        for name, value in line.items():
            told.setdefault(f"{stage}/{name}", []).append((step, value))
    for key, values in told.items():
        assert [(one.step, one.value) for one in client.get_metric_history(run, key)] == values
    found = client.get_run(run)
    assert found.info.status == "FINISHED" and found.data.params["losses.tiny_cycle.weight"] == "10.0"
    rows = json.loads(folder.results.read_text())["rows"]
    for metric in ("mIoU", "pixel_accuracy"):
        assert found.data.metrics[f"{metric}/tiny"] == rows[1][metric]
    assert [one.path for one in client.list_artifacts(run, "samples")] == ["samples/step_000004.png"]


def test_weights_and_biases_keeps_a_run_offline(follow, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = follow("wandb")
    wandb.teardown()  # offline, the end of a run does not wait for the process that writes its file
    (kept,) = folder.path.glob("wandb/offline-run-*/run-*.wandb")
    content = kept.read_bytes()
    assert b"training on tiny/loss" in content and b"mIoU/tiny" in content and b"losses.tiny_cycle.weight" in content
