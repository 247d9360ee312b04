"""What TensorBoard's own reader finds of a run: every value once, however often the run was killed."""

import copy
import io
import json
import sys

import numpy as np
import pytest
from conftest import TABLES, install, refused
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.summary.writer import event_file_writer
from tensorboard.util.tensor_util import make_ndarray

from daframework.compute.session import StoppedError
from daframework.data.decode import read_image
from daframework.errors import RecipeError, RunError
from daframework.interfaces import Metric, MetricValues, Scores
from daframework.listener import Listener
from daframework.recipes.read import parse
from daframework.runs.check import check
from daframework.runs.log import Listeners, LogFile, plugin_listeners
from daframework.runs.stages import execute
from daframework.scores import PERCENT
from daframework.storage.results import Results, Row, results_to_json
from daframework.storage.run_folder import open_folder

LOG = {"every": 1, "checkpoint_every": 3, "samples_every": 1, "to": ["tensorboard"]}


class Killer(Listener):
    """Ends a run at a step of a stage, behind the back of those that were told before it."""

    def __init__(self, stage, step):
        self.at, self.stage = (stage, step), ""

    def begin(self, stage, total, done):
        self.stage = stage

    def values(self, step, values):
        if (self.stage, step) == self.at:
            raise StoppedError("killed")


@pytest.fixture(scope="module")
def folder(plugins, tmp_path_factory, module_session):
    """A run that was killed before its first checkpoint, and in its translation and a training after one."""
    tables = copy.deepcopy(TABLES) | {"log": LOG}
    tables["translation"]["steps"] = tables["downstream"]["steps"] = 5
    recipe = parse(tables, "r")
    folder = open_folder(tmp_path_factory.mktemp("runs") / "tiny", recipe)
    counter = event_file_writer._global_uid
    # A file's name begins with the second in which it was made: within one, this number makes the reader's order.
    event_file_writer._global_uid = type(counter)(1000)
    for killed in (("training on source_only", 2), ("translation", 2), ("translation", 5), ("training on tiny", 4), ()):
        log = [LogFile(folder.log), *plugin_listeners(plugins, folder.path, recipe)]
        session = module_session(Listeners([*log, *([Killer(*killed)] if killed else [])]))
        if killed:
            with pytest.raises(StoppedError):
                execute(session, plugins, recipe, folder)
        else:
            execute(session, plugins, recipe, folder)
    event_file_writer._global_uid = counter
    return folder


def reader(path):
    """All that is there: unless told, the reader keeps 10,000 scalars and 4 images of each name."""
    found = EventAccumulator(str(path), size_guidance={"tensors": 0})
    found.Reload()
    return found


def series(path):
    """Steps and values by name."""
    found = reader(path)
    tags = [tag for tag in found.Tags()["tensors"] if found.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"]
    return {tag: [(one.step, float(make_ndarray(one.tensor_proto))) for one in found.Tensors(tag)] for tag in tags}


def test_every_value_of_the_log_is_read_back_once(folder):
    last = {}
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    for line in lines:
        stage, step = line.pop("stage"), line.pop("step")
        for name, value in line.items():
            last[stage, name, step] = value
    assert len(lines) > len({(stage, step) for stage, _, step in last}) == 20, "some were told more than once"
    stages = sorted({stage for stage, _, _ in last})
    base = folder.path / "tensorboard"
    assert sorted(path.name for path in base.iterdir() if path.is_dir()) == stages
    found = {
        (stage, name, step): value
        for stage in stages
        for name, values in series(base / stage).items()
        for step, value in values
    }
    assert found == pytest.approx(last, rel=1e-6)
    counts = {len(values) for stage in stages for values in series(base / stage).values()}
    assert counts == {5}


def test_pictures_are_read_back_pixel_by_pixel(folder):
    found = reader(folder.path / "tensorboard" / "translation").Tensors("samples")
    files = sorted(folder.samples.glob("*.png"))
    assert [one.step for one in found] == [1, 2, 3, 4, 5] and len(files) == 5
    for one, file in zip(found, files, strict=True):
        width, height, *pngs = make_ndarray(one.tensor_proto)
        assert len(pngs) == 1
        picture = np.array(Image.open(io.BytesIO(pngs[0])))
        assert picture.shape == (int(height), int(width), 3)
        assert np.array_equal(picture.transpose(2, 0, 1), read_image(file))


def test_hyper_parameters_and_results_are_read_back(folder):
    base = folder.path / "tensorboard"
    found = reader(base)
    content = found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    keys = metadata.parse_session_start_info_plugin_data(content).hparams
    assert keys["losses.tiny_cycle.weight"].number_value == 10 and keys["generator.name"].string_value == "painter"
    assert keys["data.crop_size"].string_value == "[16, 24]" and keys["data.flip"].string_value == "true"
    assert not [key for key in keys if key.startswith("log.")]
    assert found.SummaryMetadata(metadata.SESSION_END_INFO_TAG)
    results = json.loads(folder.results.read_text())
    scalars = series(base)
    for row in results["rows"]:
        assert scalars[f"mIoU/{row['method']}"] == [(0, pytest.approx(row["mIoU"]))]
    assert scalars["content_preservation/tiny"][0][1] == pytest.approx(
        results["rows"][1]["semantic_preservation"]["mIoU"]
    )
    (text,) = found.Tensors("results/text_summary")
    lines = make_ndarray(text.tensor_proto).item().decode().splitlines()
    assert lines[0].startswith("| method | mIoU | pixel_accuracy | content_preservation | IoU/road |")
    assert lines[3].startswith(f"| tiny | {100 * results['rows'][1]['mIoU']:.1f} |") and len(lines) == 5


def test_a_finished_run_is_told_of_once(folder, plugins, module_session):
    base = folder.path / "tensorboard"
    before = sorted(base.rglob("*"))
    recipe = parse(copy.deepcopy(TABLES) | {"log": LOG}, "r")
    for listener in plugin_listeners(plugins, folder.path, recipe):
        listener.end(json.loads(folder.results.read_text()))
    assert sorted(base.rglob("*")) == before
    folder.results.touch()  # as if it had been killed between writing its results and telling them
    for listener in plugin_listeners(plugins, folder.path, recipe):
        listener.end(json.loads(folder.results.read_text()))
    assert len(sorted(base.rglob("*"))) == len(before) + 1
    assert {len(values) for values in series(base).values()} == {1}


def test_a_class_with_a_bar_in_its_name_stays_in_its_cell(plugins, tmp_path):
    (listener,) = plugin_listeners(plugins, tmp_path, parse(copy.deepcopy(TABLES) | {"log": LOG}, "r"))
    row = Row("tiny", Scores(None, 0.25, (None,)))
    (tmp_path / "results.json").touch()
    listener.end(results_to_json(Results("tiny", 0, ("a|b",), (row,), {}, {})))
    found = reader(tmp_path / "tensorboard")
    (text,) = found.Tensors("results/text_summary")
    assert "| IoU/a\\|b |" in make_ndarray(text.tensor_proto).item().decode()
    assert series(tmp_path / "tensorboard") == {"pixel_accuracy/tiny": [(0, 0.25)]}


def test_results_of_another_task_are_told_in_its_unit(plugins, tmp_path):
    (listener,) = plugin_listeners(plugins, tmp_path, parse(copy.deepcopy(TABLES) | {"log": LOG}, "r"))
    metrics = (
        Metric("RMSE", "m", higher_is_better=False, by_class="error"),
        Metric("near", PERCENT, higher_is_better=True),
    )
    row = Row("tiny", MetricValues({"RMSE": 2.5, "near": 0.25}, {"error": (1.5, None)}))
    (tmp_path / "results.json").touch()
    listener.end(results_to_json(Results("tiny", 0, ("a", "b"), (row,), {}, {}, metrics=metrics)))
    found = reader(tmp_path / "tensorboard")
    (text,) = found.Tensors("results/text_summary")
    lines = make_ndarray(text.tensor_proto).item().decode().splitlines()
    assert lines[0] == "| method | RMSE, m | near | content_preservation, m | error/a, m | error/b, m |"
    assert lines[2] == "| tiny | 2.500 | 25.0 | - | 1.500 | - |"
    assert series(tmp_path / "tensorboard") == {"RMSE/tiny": [(0, 2.5)], "near/tiny": [(0, 0.25)]}


def test_nothing_is_written_unless_asked_for(plugins, recipe, tmp_path):
    assert plugin_listeners(plugins, tmp_path, recipe) == []


def test_what_cannot_follow_a_run_is_named_before_anything_is_computed(daf, write, tables, plugins, monkeypatch):
    path = write(tables | {"log": {"to": ["tensorbord"]}})
    refused(daf("check", path), r"log\.to: no listener named 'tensorbord'; did you mean 'tensorboard'\?")
    with pytest.raises(RecipeError, match=r"log\.to"):
        check(plugins, parse(tables | {"log": {"to": ["tiny"]}}, "r"), "r")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.delitem(sys.modules, "daf_tensorboard.event_files", raising=False)
    with pytest.raises(RunError, match=r"pip install 'daframework\[tensorboard\]'"):
        plugin_listeners(plugins, path.parent, parse(tables | {"log": LOG}, "r"))
    code, _, errors = daf("run", write(tables | {"log": LOG}))
    assert code == 1 and len(errors.splitlines()) == 1 and "daframework[tensorboard]" in errors


def test_a_listener_that_lacks_its_extra_is_named_by_daf_check_whosever_it_is(daf, write, tables, installed):
    module = "from daframework import hookimpl\n@hookimpl\ndef daf_listener(run_folder):\n    return None\n"
    for name, needs in (("tracker", "no-such-package>=2"), ("chart", "numpy<0.1"), ("quiet", "numpy")):
        (installed / f"{name}_plugin.py").write_text(module)
        install(installed, f"daf-{name}", "1.0", {name: f"{name}_plugin"})
        with (installed / f"daf_{name}-1.0.dist-info/METADATA").open("a") as file:
            file.write(f"Provides-Extra: {name}\nRequires-Dist: {needs}; extra == '{name}'\n")
    path = write(tables | {"log": {"to": ["tensorboard", "quiet", "tracker", "chart"]}})
    refused(
        daf("check", path),
        r"log\.to: 'tracker' .*: no-such-package is not installed; .* pip install 'daf-tracker\[tracker\]'",
        r"log\.to: 'chart' .*: numpy \S+ is there, and <0\.1 is needed; .* pip install 'daf-chart\[chart\]'",
    )
