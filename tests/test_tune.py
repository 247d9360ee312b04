"""``daf tune``: which trials it makes, what it keeps of them, and that no label of the target is read for them."""

import json
import os
import shutil
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import tiny
from conftest import TABLES, refused
from test_bench_stop import end, hold, processes_of
from tiny_suite import install_parts

import daframework as door
from daframework.errors import DafError, RunError
from daframework.interfaces import Sample, Scores
from daframework.recipes.read import parse
from daframework.runs.stages import execute
from daframework.storage.results import Results, Row, write_results
from daframework.storage.run_folder import RunFolder, read_recipe
from daframework.suites.work import Ending
from daframework.tuning import search
from daframework.tuning.space import with_values

OUT = Path("tune/tiny/seed0")
OWN = {"losses.tiny_cycle.weight": 10.0, "translation.lr": 0.01, "translation.discriminator_lr": 0.01}


class Done:
    """A job that has ended once it was asked ``looks`` times."""

    begun = True

    def __init__(self, ending, looks):
        self._ending, self._looks = ending, looks

    def ending(self):
        self._looks -= 1
        return None if self._looks > 0 else self._ending

    def says(self):
        return ""

    def stop(self): ...

    def wait(self): ...


class Here:
    """Takes ``jobs`` runs at once, and lets ``work`` do each in this process; it ends after ``looks`` of its number."""

    poll_seconds = 0.0

    def __init__(self, work, jobs=1, looks=lambda number: 1):
        self._work, self.jobs, self.places, self._looks, self.submitted = work, jobs, jobs, looks, []

    def submit(self, work, log, slot):
        self.submitted.append(work.number)
        try:
            self._work(work)
        except DafError as error:
            return Done(Ending(1, f"error: {error}"), self._looks(work.number))
        return Done(Ending(0, ""), self._looks(work.number))


@pytest.fixture
def by(monkeypatch):
    """Let an executor take the runs of all searches."""

    def put(executor):
        monkeypatch.setattr(search, "open_executor", lambda on, jobs: nullcontext(executor))
        return executor

    return put


@pytest.fixture
def trained(by, plugins, session):
    """Trials are trained, in this process."""
    return by(Here(lambda work: execute(session(), plugins, work.recipe, work.folder)))


def made_up(work):
    """Results whose score is the higher the nearer the learning rate is to 0.02; one above 0.035 is too high."""
    lr = work.recipe.translation.lr
    if lr > 0.035:
        raise RunError(f"a rate of {lr} is too high")
    row = Row(work.recipe.name, Scores(None, None, (None,) * 3), mutual_information=1 - abs(lr - 0.02) / 0.04)
    write_results(
        work.folder.results, Results(work.recipe.name, work.recipe.seed, tiny.CLASSES, (row,), {"a": 2.0}, {})
    )


def trials_in(out):
    """What was tried, without how long it took."""
    trials = json.loads((out / "trials.json").read_text())["trials"]
    return [{key: value for key, value in one.items() if key != "seconds"} for one in trials]


# --- what a trial is ---


def test_no_label_of_the_target_is_read_and_the_best_recipe_runs(daf, write, tables, trained, monkeypatch):
    with_labels = tiny.Blocks.__getitem__

    def guarded(self, index):
        assert self.shift == 0, "a label of the target was asked for"
        return with_labels(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(tiny.Blocks, "__getitem__", guarded)
        patch.setattr(tiny.Blocks, "unlabelled", lambda self, index: Sample(with_labels(self, index).image, None, "x"))
        tables["downstream"]["self_training"] = {"steps": 1}
        path = write(tables)
        code, text, errors = daf("tune", path, "--trials", 2)
    assert code == 0 and errors.startswith(f"recipe {path}, seed 0, into {OUT}\n"), errors
    trials = trials_in(OUT)
    for one in trials:
        folder = RunFolder(OUT / "trials" / f"{one['number']:04}")
        rows = json.loads(folder.results.read_text())["rows"]
        assert [row["method"] for row in rows] == ["tiny", "tiny+self_training"]
        assert one["score"] == rows[-1]["mutual_information"] > 0 and {row["mIoU"] for row in rows} == {None}
        changes = one["values"] if one["number"] else {}
        assert read_recipe(folder) == search.without_labels(with_values(parse(tables, "r"), changes))
    # Trial 0 is the recipe as it is.
    assert trials[0]["values"] == OWN and trials[1]["values"].keys() == OWN.keys() and trials[1]["values"] != OWN

    best = max(reversed(trials), key=lambda one: one["score"])
    assert f"best: trial {best['number']}" in text
    changes = best["values"] if best["number"] else {}
    assert door.recipe(OUT / "best.toml") == with_values(parse(tables, "r"), changes, "tiny_tuned")
    code, text, errors = daf("run", OUT / "best.toml")
    assert code == 0 and "tiny_tuned+self_training" in text and "oracle" in text, errors


def test_a_trial_whose_loss_is_no_number_is_kept_with_its_reason_and_the_search_goes_on(daf, write, tables, trained):
    (space := Path("space.toml")).write_text("translation.lr = { choices = [0.01, 0.02, 0.03, 1e30] }")
    code, text, errors = daf("tune", write(tables), "--space", space, "--trials", 4)
    failed = [one["failure"] is not None for one in trials_in(OUT)]
    assert code == 0 and failed == [one["values"]["translation.lr"] > 1 for one in trials_in(OUT)], errors
    assert True in failed and False in failed[failed.index(True) :]
    first = trials_in(OUT)[failed.index(True)]
    assert "not a finite number" in first["failure"] or "not finite numbers" in first["failure"]
    assert f"trial {first['number']} failed: {first['failure']}" in text


# --- which points ---


def points(folder, by, *, jobs=1, looks=lambda number: 1, trials=14, seed=0):
    by(Here(made_up, jobs, looks))
    made = door.tune(parse(TABLES | {"seed": seed}, "r"), folder, trials=trials)
    return [one.values for one in made.trials]


@pytest.mark.usefixtures("installed")
def test_a_seed_gives_the_same_points_whichever_run_is_the_quickest_and_another_seed_others(tmp_path, by):
    one = points(tmp_path / "a", by)
    assert one == points(tmp_path / "b", by) and one[:12] == points(tmp_path / "c", by, trials=12)
    two = points(tmp_path / "d", by, jobs=3)
    assert two == points(tmp_path / "e", by, jobs=3, looks=lambda number: 1 + 7 * number % 5)
    assert one[1:] != points(tmp_path / "f", by, seed=1)[1:]
    assert len({json.dumps(values) for values in one}) == len(one)


@pytest.mark.usefixtures("installed")
def test_points_come_nearer_to_the_best_ones(tmp_path, by):
    away = [abs(values["translation.lr"] - 0.02) for values in points(tmp_path / "a", by, trials=40)]
    assert sum(away[-10:]) < 0.7 * sum(away[1:11])


# --- going on ---


@pytest.mark.usefixtures("installed")
def test_a_search_that_was_stopped_asks_for_the_same_as_one_that_was_not(tmp_path, by):
    whole = points(tmp_path / "whole", by)

    def stops(work):
        if work.number == 11:
            raise KeyboardInterrupt
        made_up(work)

    by(Here(stops))
    with pytest.raises(KeyboardInterrupt):
        door.tune(parse(TABLES, "r"), tmp_path / "parts", trials=14)
    assert not (tmp_path / "parts" / "best.toml").exists()
    executor = by(Here(made_up))
    made = door.tune(parse(TABLES, "r"), tmp_path / "parts", trials=14)
    assert [one.values for one in made.trials] == whole and executor.submitted == [11, 12, 13]


@pytest.mark.parametrize(
    "number, code", [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.long)]
)
def test_a_search_that_is_asked_to_stop_or_killed_ends_its_runs_and_goes_on(
    tmp_path, plugins, session, write, tables, by, number, code
):
    site, path, out = install_parts(tmp_path / "site"), write(tables), tmp_path / "out"
    arguments = (path, "--trials", "2", "--jobs", "1", "--out", out)
    process = hold(site, "training on tiny 2", *arguments, command="tune")
    running = processes_of(out)
    os.killpg(process.pid, number)
    text, errors = process.communicate()
    assert (process.returncode, text) == (code, "") and running and end(running)
    if code > 0:
        assert errors.endswith("stopped with 2 of 2 runs left; the same command goes on from there\n")
    generator = out / "trials/0000/checkpoints/generator.pt"
    before = generator.stat().st_mtime_ns
    assert not (out / "best.toml").exists()
    by(Here(lambda work: execute(session(), plugins, work.recipe, work.folder)))
    for folder in (out, tmp_path / "whole"):
        search.tune(parse(tables, "r"), folder, trials=2, plugins=plugins)
    found, expected = trials_in(out), trials_in(tmp_path / "whole")
    assert [one["values"] for one in found] == [one["values"] for one in expected]
    # The process had as many threads as the machine has cores, which sum in another order.
    assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-6)
    assert generator.stat().st_mtime_ns == before


def test_a_finished_search_says_so_and_takes_more_trials_but_no_other_recipe_or_space(daf, write, tables, by):
    executor = by(Here(made_up))
    path = write(tables)
    assert daf("tune", path, "--trials", 3)[0] == 0
    code, text, errors = daf("tune", path, "--trials", 2)
    assert code == 0 and executor.submitted == [0, 1, 2] and "tiny: mutual_information" in text
    assert errors.splitlines()[1:] == [f"3 trials are done; the best as a recipe: {OUT}/best.toml"]
    assert daf("tune", path, "--trials", 4)[0] == 0 and executor.submitted == [0, 1, 2, 3]
    another = r"tune/tiny/seed0 holds another search \(%s\); give another folder with --out, or delete this one"
    code, text, errors = daf("tune", path, "--set", "translation.steps=5")
    refused((code, text, errors.partition("\n")[2]), another % "translation.steps was 4, now 5")
    (space := Path("space.toml")).write_text("[translation]\nlr = { low = 0.001, high = 0.1 }")
    code, text, errors = daf("tune", path, "--space", space)
    refused(
        (code, text, errors.partition("\n")[2]), another % "the range of losses.tiny_cycle.weight was .*, now not there"
    )


@pytest.mark.usefixtures("installed")
def test_a_search_ends_where_every_trial_fails_and_tries_again_those_whose_folders_are_gone(tmp_path, by, recipe):
    def full(work):
        raise RunError("no space left")

    by(Here(full))
    with pytest.raises(
        RunError, match=r"3 trials failed and none was scored.* the last, .*/trials/0002: no space left;"
    ):
        door.tune(recipe, tmp_path / "out", trials=9)
    assert [one["failure"] for one in trials_in(tmp_path / "out")] == ["no space left"] * 3
    before = [one["values"] for one in trials_in(tmp_path / "out")]
    shutil.rmtree(tmp_path / "out/trials/0000")
    shutil.rmtree(tmp_path / "out/trials/0002")
    executor = by(Here(made_up))
    made = door.tune(recipe, tmp_path / "out", trials=3)
    assert executor.submitted == [0, 2] and [one.values for one in made.trials] == before
    assert [one.failure for one in made.trials] == [None, "no space left", None]
    assert {row["seconds"] for row in made.rows} == {2.0, None} and "trial 1 failed: no space left" in str(made)


# --- what is refused, and kept ---


def test_what_cannot_work_is_told_before_anything_is_run(daf, write, tables, source_only, monkeypatch):
    path = write(tables)

    def errors_of(*arguments):
        code, text, errors = daf("tune", *arguments)
        return code, text, errors.partition("\n")[2]

    (space := Path("space.toml")).write_text("translation.lrr = { low = 1, high = 2 }")
    refused(errors_of(path, "--space", space), r"space\.toml: translation: no key named 'lrr'; did you mean 'lr'\?")
    refused(errors_of(path, "--space", "no.toml"), r"no\.toml: cannot be read: No such file")
    refused(errors_of(write(source_only, "plain.toml")), "trains no translation.*--space")
    refused(errors_of(path, "--set", f"name={'n' * 96}"), "name: must be at most 100 bytes long")
    streets = {"name": "streets", "size": [32, 48], "train_images": 2, "test_images": 1}
    depth = {"source": streets | {"look": "game"}, "target": streets | {"look": "camera"}, "task": {"name": "depth"}}
    refused(
        errors_of(write(tables | depth, "depth.toml")), "task 'depth' has no score without labels; compare by daf bench"
    )
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused(errors_of(path), r"daf tune needs Optuna \(.*\); install it with: pip install 'daframework\[tune\]'")
    assert [one.name for one in Path().iterdir()] == ["space.toml"]


@pytest.mark.usefixtures("installed")
def test_nothing_of_the_users_is_overwritten(tmp_path, by, recipe):
    by(Here(made_up))
    door.tune(recipe, tmp_path / "out", trials=2)
    best = tmp_path / "out" / "best.toml"
    best.write_text(mine := best.read_text() + "# mine\n")
    with pytest.raises(RunError, match=r"best\.toml was changed since the search wrote it; give it another name"):
        door.tune(recipe, tmp_path / "out", trials=3)
    assert best.read_text() == mine and len(trials_in(tmp_path / "out")) == 2
    (tmp_path / "out" / "trials.json").write_text('{"trials": [')
    with pytest.raises(RunError, match=r"trials\.json: damaged \(.*\); give another folder with --out"):
        door.tune(recipe, tmp_path / "out", trials=3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(RunError, match="other is not empty and holds no search; give another folder"):
        door.tune(recipe, tmp_path / "other")
    assert [one.name for one in (tmp_path / "other").iterdir()] == ["thesis.tex"]


# --- the table ---


@pytest.mark.parametrize("form", ["markdown", "csv", "latex", "json"])
def test_the_table_alone_goes_to_standard_output_the_best_first_and_beside_the_recipe(daf, write, tables, by, form):
    by(Here(made_up))
    code, text, errors = daf("tune", write(tables), "--trials", 14, "--format", form)
    trials = sorted((one for one in trials_in(OUT) if one["score"]), key=lambda one: -one["score"])
    best, own = trials[0], next(one for one in trials if one["number"] == 0)
    assert code == 0 and best["score"] > own["score"] + 0.1, errors
    if form == "json":
        found = json.loads(text)
        assert found["best"] == best["number"] and [row["number"] for row in found["trials"]] == list(range(14))
    if form == "csv":
        rows = [line.split(",") for line in text.strip().splitlines()]
        assert rows[0] == ["trial", "mutual_information", "vs trial 0", *OWN]
        lead = f"{100 * (best['score'] - own['score']):+.1f}"
        assert rows[1][:3] == [str(best["number"]), f"{100 * best['score']:.1f}", lead]
        assert ["0: tiny", "75.0", "-", "10", "0.01", "0.01"] in rows and len(rows) in (11, 12)
    if form == "markdown":
        assert f"- best: trial {best['number']}, {100 * (best['score'] - own['score']):.1f} points before" in text
