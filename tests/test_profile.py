"""``daf run --profile``: which steps are recorded, and that every millisecond of them is counted once."""

import gzip
import json
import re
from contextlib import nullcontext

import pytest
import torch
from conftest import refused

from daframework.compute import profiler as profile
from daframework.compute.profiler import REST, StepProfiler
from daframework.errors import StoppedError
from daframework.spans import PREFIX, span

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Stages in tests are short."""
    monkeypatch.setattr(profile, "SKIPPED", 2)
    monkeypatch.setattr(profile, "RECORDED", 3)


def work(*names):
    """A step whose parts have these names."""
    for name in names:
        with span(name):
            torch.ones(8).sum()


def recorded(path, steps, *names, total=None, stage="training", done=0):
    """What a log records of a stage of ``steps`` steps with parts of these names."""
    with StepProfiler(path, CPU) as log:
        log.begin(stage, total or steps, done)
        for step in range(done, steps):
            work(*names)
            log.advance(step + 1)
    return log.profiles


def spans_in(path):
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return [event["name"] for event in events if event.get("cat") == "user_annotation"]


# --- spans ---


def test_a_span_is_nothing_where_nobody_profiles():
    assert isinstance(span("x"), nullcontext) and span("x") is span("y")


def test_code_with_spans_compiles_whole_and_once():
    compiled = 0

    def count(graph, inputs):
        nonlocal compiled
        compiled += 1
        return graph.forward

    def step(image):
        with span("inside"):
            return image * 2

    fast = torch.compile(step, fullgraph=True, backend=count)
    fast(torch.ones(3))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        assert torch.equal(fast(torch.ones(3)), torch.full((3,), 2.0))
    assert compiled == 1


# --- which steps are recorded ---


@pytest.mark.parametrize(
    "steps, first, count",
    [(2, 2, 1), (3, 2, 2), (4, 3, 2), (5, 3, 3), (60, 3, 3)],
)
def test_the_first_steps_are_skipped_and_a_few_recorded(tmp_path, steps, first, count):
    (found,) = recorded(tmp_path, steps, "a")
    assert (found.first_step, found.steps) == (first, count)
    assert spans_in(found.trace).count(f"{PREFIX}a") == count


def test_a_stage_that_goes_on_is_recorded_from_there(tmp_path):
    (found,) = recorded(tmp_path, 60, "a", done=40)
    assert (found.first_step, found.steps) == (43, 3)


def test_a_stage_of_one_step_or_without_named_parts_leaves_nothing(tmp_path):
    assert recorded(tmp_path, 1, "a") == [] == recorded(tmp_path, 9)
    assert list(tmp_path.iterdir()) == []


def test_of_a_stage_that_is_cut_off_whole_steps_count(tmp_path):
    (found,) = recorded(tmp_path, 4, "a", total=60)
    assert (found.first_step, found.steps) == (3, 2)
    assert recorded(tmp_path / "early", 2, "a", total=60) == []


def test_a_stage_that_comes_again_is_recorded_once(tmp_path):
    with StepProfiler(tmp_path, CPU) as log:
        for _ in range(2):
            log.begin("training", 4, 0)
            for step in range(4):
                work("a")
                log.advance(step + 1)
    assert len(log.profiles) == 1


@pytest.mark.parametrize("error, count", [(StoppedError("stopped"), 1), (ValueError("x"), 0)])
def test_a_stop_keeps_what_was_recorded_and_an_error_does_not(tmp_path, error, count):
    with pytest.raises(type(error)), StepProfiler(tmp_path, CPU) as log:
        log.begin("training", 60, 0)
        for step in range(4):
            work("a")
            log.advance(step + 1)
        raise error
    assert len(log.profiles) == count == len(list(tmp_path.glob("*.json")))
    assert isinstance(span("x"), nullcontext), "the profiler still runs"


# --- where the time went ---


def test_a_moment_belongs_to_the_innermost_span(tmp_path):
    def busy():
        torch.ones(200, 200) @ torch.ones(200, 200)

    with StepProfiler(tmp_path, CPU) as log:
        log.begin("training", 60, 0)
        for step in range(60):
            with span("outer"):
                busy()
                with span("inner"), span("innermost"):
                    busy()
                busy()
            log.advance(step + 1)
    (found,) = log.profiles
    events = json.loads(gzip.decompress(found.trace.read_bytes()))["traceEvents"]
    whole = {
        name: sum(one["dur"] for one in events if one["name"] == PREFIX + name) / 3000
        for name in ("outer", "inner", "innermost")
    }
    parts = {part.part: part.ms for part in found.parts}
    assert parts["outer"] == pytest.approx(whole["outer"] - whole["inner"], abs=2e-3)
    assert parts["inner"] == pytest.approx(whole["inner"] - whole["innermost"], abs=2e-3)
    assert parts["innermost"] == pytest.approx(whole["innermost"], abs=2e-3) and list(parts)[-1] == REST


def test_shares_of_a_recorded_stage_add_up_to_its_steps(tmp_path):
    (found,) = recorded(tmp_path, 60, "a", "b", "a")
    content = json.loads((tmp_path / "training.json").read_text())
    assert content["steps"] == 3 and content["trace"] == "training.trace.json.gz"
    assert {part["part"]: part["times"] for part in content["parts"]} == {"a": 2, "b": 1, REST: 0}
    assert sum(part["share"] for part in content["parts"]) == pytest.approx(1, abs=1e-3)
    assert sum(part.ms for part in found.parts) == pytest.approx(found.ms)
    events = json.loads(gzip.decompress(found.trace.read_bytes()))["traceEvents"]
    frames = [one["dur"] for one in events if one["name"].startswith("ProfilerStep#")]
    assert len(frames) == 3 and 3 * found.ms == pytest.approx(sum(frames) / 1000, abs=1e-3)


# --- the command ---


def test_a_run_shows_where_its_time_went_and_keeps_it(daf, write, tables):
    path = write(tables)
    assert daf("run", path, "--out", "plain")[0] == 0
    code, out, errors = daf("run", path, "--out", "run", "--profile")
    assert (code, errors) == (0, "")
    stages = ["training on source_only", "training on oracle", "translation", "training on tiny"]
    assert re.findall("^(.*): where the time goes, 2 steps, 3 to 4$", out, re.MULTILINE) == stages
    assert out.index("results in ") < out.index("where the time goes") < out.index("these tables and traces in ")
    kept = (path.parent / "work" / "run" / "profile" / "tables.txt").read_text()
    assert all(f"{stage}: where the time goes" in kept for stage in stages)
    translation = json.loads((path.parent / "work" / "run" / "profile" / "translation.json").read_text())
    names = {part["part"] for part in translation["parts"]}
    assert {"waiting for data", "generators forward", "discriminators backward"} <= names
    # Watching changes nothing.
    rows = [json.loads((path.parent / "work" / name / "results.json").read_text())["rows"] for name in ("run", "plain")]
    assert rows[0] == rows[1]


def test_a_finished_run_has_nothing_to_profile(daf, write, tables):
    path = write(tables)
    assert daf("run", path, "--out", "run")[0] == 0
    code, out, errors = daf("run", path, "--out", "run", "--profile")
    assert (code, errors) == (0, "")
    assert out.endswith(
        "nothing to profile: no stage had two training steps left to do; give another folder with --out\n"
    )


def test_a_run_of_single_steps_has_nothing_to_profile(daf, write, tables):
    tables["translation"]["steps"] = tables["downstream"]["steps"] = 1
    code, out, _ = daf("run", write(tables), "--profile")
    assert code == 0 and "nothing to profile: no stage had two training steps left to do; give another folder" in out


def test_a_folder_that_cannot_be_written_is_a_line(daf, write, tables, tmp_path):
    path = write(tables)
    run = tmp_path / "work" / "run"
    daf("run", path, "--out", run)
    (run / "results.json").unlink()
    for file in run.glob("scores/source_only.*"):
        file.unlink()
    (run / "checkpoints" / "source_only.pt").unlink()
    (run / "profile").write_text("")
    refused(daf("run", path, "--out", run, "--profile"), r"profile/.* cannot be written: ")
