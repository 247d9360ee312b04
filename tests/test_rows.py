"""The rows of a run: whose colours they are trained with, the statistics behind their scores, and damaged files."""

import json

import pytest
import tiny
import torch
from conftest import TABLES
from test_run import comparable, run
from test_training import same

from daframework.build import make_task
from daframework.data.stream import to_float
from daframework.errors import RunError, StoppedError
from daframework.recipes.tables import AugmentTable
from daframework.runs.stages import PlannedRow, by_needs

ROWS = ("source_only", "tiny", "oracle")
COLOURS = {"gain": [0.3, 1.3], "hue": 0.4}


def model_of(path, row):
    return torch.load(path / "checkpoints" / f"{row}.pt", weights_only=True)["model"]


def statistics_of(path, row):
    return torch.load(path / "scores" / f"{row}.pt", weights_only=True)["statistics"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory, plugins, module_session):
    """A run without random colours, undisturbed."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    results, _ = run(plugins, TABLES, path, module_session)
    return path, results


# --- in which order rows are computed ---


@pytest.mark.parametrize(
    "needs, order",
    [
        ({"a": (), "b": (), "c": ()}, "abc"),
        ({"a": ("b", "c"), "b": ("c",), "c": ()}, "cba"),
        ({"a": (), "b": ("a", "c"), "c": ()}, "acb"),
    ],
)
def test_a_row_is_computed_after_those_it_needs_and_else_in_its_place(needs, order):
    rows = [PlannedRow(name, list, AugmentTable(), needs=before) for name, before in needs.items()]
    assert "".join(row.name for row in by_needs(rows)) == order


@pytest.mark.parametrize("training", [{}, {"self_training": {"steps": 2}}])
def test_without_source_only_the_own_row_is_the_same_and_nothing_else_is_trained(
    plain, plugins, tables, tmp_path, session, training
):
    tables["downstream"] |= {"source_only": False, "oracle": False, "score": False} | training
    results, _ = run(plugins, tables, tmp_path / "run", session)
    assert [row.method for row in results.rows] == ["tiny", "tiny+self_training"][: 1 + len(training)]
    assert same(model_of(tmp_path / "run", "tiny"), model_of(plain[0], "tiny"))
    assert not (tmp_path / "run/checkpoints/source_only.pt").exists()


def test_source_only_stays_where_the_own_row_needs_it_or_is_it(plugins, tables, source_only, tmp_path, session):
    tables["data"]["matched_crops"] = 2
    for place, recipe in enumerate((tables, source_only)):
        recipe["downstream"] |= {"source_only": False, "oracle": False}
        results, _ = run(plugins, recipe, tmp_path / str(place), session)
        assert [row.method for row in results.rows] == ["source_only", "tiny"][: 2 - place]


# --- colours of the recipe's own row ---


def test_own_colours_change_the_own_row_alone(plain, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    run(plugins, tables | {"augment": COLOURS}, path, session)
    assert {row: same(model_of(path, row), model_of(plain[0], row)) for row in ROWS} == {
        "source_only": True,
        "tiny": False,
        "oracle": True,
    }
    translations = [torch.load(one / "checkpoints/generator.pt", weights_only=True) for one in (path, plain[0])]
    assert same(*translations)


def test_own_colours_stand_in_place_of_the_common_ones(plain, plugins, tables, tmp_path, session):
    path = tmp_path / "run"
    tables["downstream"]["augment"] = COLOURS
    run(plugins, tables | {"augment": {}}, path, session)
    assert {row: same(model_of(path, row), model_of(plain[0], row)) for row in ROWS} == {
        "source_only": False,
        "tiny": True,
        "oracle": False,
    }


def test_colours_alone_make_a_row_of_the_untranslated_source(plain, plugins, source_only, tmp_path, session):
    path = tmp_path / "run"
    results, recorder = run(plugins, source_only | {"name": "colours", "augment": COLOURS}, path, session)
    assert [(row.method, row.content_preservation) for row in results.rows] == [
        ("source_only", None),
        ("colours", None),
        ("oracle", None),
    ]
    assert not (path / "translated").exists()
    for row in ("source_only", "oracle"):
        assert same(model_of(path, row), model_of(plain[0], row))
    assert "training on colours" in [stage for stage, _, _ in recorder.stages]

    common = source_only | {"downstream": source_only["downstream"] | {"augment": COLOURS}}
    run(plugins, common, tmp_path / "common", session)
    assert same(model_of(path, "colours"), model_of(tmp_path / "common", "source_only"))
    assert not same(model_of(path, "colours"), model_of(path, "source_only"))


def test_a_run_of_colours_that_was_stopped_goes_on_exactly(plugins, source_only, tmp_path, session):
    method = source_only | {"name": "colours", "augment": COLOURS}
    run(plugins, method, tmp_path / "whole", session)
    with pytest.raises(StoppedError, match="training on colours"):
        run(plugins, method, tmp_path / "parts", session, stop_after=11)
    run(plugins, method, tmp_path / "parts", session)
    assert comparable(tmp_path / "parts") == comparable(tmp_path / "whole")


# --- statistics ---


def test_statistics_are_those_of_each_image_in_order(plain, plugins, recipe):
    task = make_task(plugins, recipe, 3)
    for row in ROWS:
        model = task.model()
        model.load_state_dict(model_of(plain[0], row))
        kept, test = statistics_of(plain[0], row), tiny.blocks(split="test", look="dark")
        assert kept.shape == (6, 3, 3)
        with torch.no_grad():
            for index in range(6):
                one = test[index]
                expected = task.statistics(model(to_float(one.image)[None]), one.label[None].long())
                assert torch.equal(kept[index], expected), (row, index)


def test_statistics_add_up_to_the_scores(plain, plugins, recipe):
    path, results = plain
    task = make_task(plugins, recipe, 3)
    for row in results.rows:
        assert task.scores(statistics_of(path, row.method).sum(0)) == row.scores
    assert task.scores(statistics_of(path, "semantic_preservation").sum(0)) == results.rows[1].content_preservation


# --- files that were damaged ---


OTHER_CLASSES = '{"mIoU": 0.5, "pixel_accuracy": 0.5, "IoU": {"road": 0.5, "sky": 0.5, "bush": 0.5}}'
ABOVE_ONE = '{"mIoU": 2, "pixel_accuracy": 0.5, "IoU": {"road": 0.5, "sky": 0.5, "tree": 0.5}}'


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"mIoU": 0.5}', OTHER_CLASSES, ABOVE_ONE])
def test_damaged_scores_are_named_and_measured_again_once_they_are_deleted(
    plain, plugins, tables, tmp_path, session, content
):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, stop_after=12)  # source_only is scored, the oracle is being trained
    scores = path / "scores" / "source_only.json"
    scores.write_text(content)
    with pytest.raises(
        RunError, match=rf"{scores}: damaged \(.*\); delete it and run again, the trained model is kept"
    ):
        run(plugins, tables, path, session)
    trained = (path / "checkpoints" / "source_only.pt").stat().st_mtime_ns
    scores.unlink()
    run(plugins, tables, path, session)
    assert (path / "checkpoints" / "source_only.pt").stat().st_mtime_ns == trained
    assert comparable(path) == comparable(plain[0])


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"scoring": null}', '{"scoring": "long"}'])
def test_damaged_seconds_are_named_and_begin_again_once_they_are_deleted(
    plain, plugins, tables, tmp_path, session, content
):
    path = tmp_path / "run"
    with pytest.raises(StoppedError):
        run(plugins, tables, path, session, stop_after=12)
    (path / "seconds.json").write_text(content)
    with pytest.raises(RunError, match=r"seconds\.json: damaged \(.*\); delete it, the times begin again"):
        run(plugins, tables, path, session)
    (path / "seconds.json").unlink()
    run(plugins, tables, path, session)
    assert comparable(path) == comparable(plain[0])


@pytest.mark.parametrize("content", ["", '{"recipe": "tiny", "se', "[]", '{"rows": []}', None])
def test_damaged_results_are_written_anew_from_the_scores(plain, plugins, tables, tmp_path, session, content):
    path = tmp_path / "run"
    first, _ = run(plugins, tables, path, session)
    whole = json.loads((path / "results.json").read_text())
    (path / "results.json").write_bytes(b"\xff" if content is None else content.encode())
    made = {file: file.stat().st_mtime_ns for file in path.rglob("*.p*") if file.is_file()}
    again, recorder = run(plugins, tables, path, session)
    assert recorder.stages == [] and again.rows == first.rows and again.seconds == first.seconds
    now = json.loads((path / "results.json").read_text())
    assert now | {"environment": None} == whole | {"environment": None}
    assert {file: file.stat().st_mtime_ns for file in made} == made
