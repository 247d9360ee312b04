"""The numbers of a suite's table, worked out by hand from made-up scores."""

from math import isclose

import pytest
import tiny
import torch
from conftest import TABLES
from tiny_suite import RECIPES, plan_of

from daframework.errors import RunError
from daframework.interfaces import Scores
from daframework.report.table import best, over_seeds, ranked
from daframework.scores import SEGMENTATION, Metric
from daframework.storage import checkpoint
from daframework.storage.results import Results, Row
from daframework.suites.comparison import gap_closed, task_table, verdict
from daframework.suites.status import State, Status

CLASSES = ("road", "sky")


@pytest.fixture
def plan(plugins, tmp_path):
    """Three methods, one task, three seeds, no intervals."""
    files = RECIPES | {"other.toml": TABLES | {"name": "other"}}
    return plan_of(plugins, tmp_path, files, seeds=[0, 1, 2], bootstrap=0, tasks=[{"label": "t", "name": "pixels"}])


def scores(miou, iou=(0.5, 0.5)):
    return Scores(miou, 0.5, iou)


def made(plan, mious, *, classes=CLASSES, seconds=None, stale=None, kept=None):
    """Statuses as if the suite's runs had found these: mIoU by method and seed; a run without one is missing."""
    found = {}
    for cell in plan.cells:
        methods = ("source_only", "oracle") if cell.method == "source_only" else (cell.method,)
        rows = [
            Row(method, mious[method][cell.seed], kept)
            if isinstance(mious[method][cell.seed], Scores)
            else Row(method, scores(mious[method][cell.seed]), kept)
            for method in methods
            if cell.seed in mious.get(method, {})
        ]
        results = Results(cell.method, cell.seed, classes, tuple(rows), seconds or {}, {}, {"source": 300})
        found[cell.name] = Status(State.DONE, results, stale) if rows else Status(State.MISSING)
    return found


def table_of(plan, mious, failures=None, built=None, **made_up):
    return task_table(plan, "t", made(plan, mious, **made_up), failures or {}, built)


def rows_of(*arguments, **made_up):
    return {row["method"]: row for row in table_of(*arguments, **made_up).rows}


ALL = {
    "source_only": {0: 0.10, 1: 0.20, 2: 0.30},
    "oracle": {0: 0.50, 1: 0.60, 2: 0.70},
    "one": {0: 0.30, 1: 0.30, 2: 0.60},
    "other": {0: 0.20, 1: 0.50, 2: 0.50},
    "coloured": {0: 0.05, 1: 0.15, 2: 0.10},
}


def test_methods_come_by_falling_mean_and_those_without_a_result_last(plan):
    alike = {"one": {0: 0.25, 1: 0.5}, "other": {0: 0.5, 1: 0.25}}
    order = [row["method"] for row in table_of(plan, ALL | alike).rows]
    # Of two that are alike, the suite's first comes first.
    assert order == ["oracle", "one", "other", "source_only", "coloured"]
    order = [row["method"] for row in table_of(plan, ALL | {"one": {}, "source_only": {0: 0.0}}).rows]
    assert order == ["oracle", "other", "coloured", "source_only", "one"]


def test_the_mean_is_over_the_seeds_there_are(plan):
    rows = rows_of(plan, ALL | {"one": {0: 0.30, 2: 0.60}})
    assert isclose(rows["one"]["mIoU"]["mean"], 0.45) and [one["mIoU"] for one in rows["one"]["seeds"]] == [0.30, 0.60]
    assert rows_of(plan, ALL | {"one": {}})["one"]["mIoU"]["mean"] is None


def test_the_difference_to_source_only_is_over_the_seeds_that_both_have(plan):
    rows = rows_of(plan, ALL)
    assert isclose(rows["one"]["to_source_only"], 0.20)  # 20, 10, 30
    assert isclose(rows["coloured"]["to_source_only"], -0.10)
    assert isclose(rows["oracle"]["to_source_only"], 0.40)
    assert rows["source_only"]["to_source_only"] is None
    few = rows_of(plan, ALL | {"one": {0: 0.30, 1: 0.30}, "source_only": {1: 0.20, 2: 0.30}})
    assert isclose(few["one"]["to_source_only"], 0.10)  # seed 1 alone
    assert rows_of(plan, ALL | {"one": {0: 0.3}, "source_only": {2: 0.3}})["one"]["to_source_only"] is None


def test_the_share_of_the_gap_is_of_the_means_over_the_seeds_that_all_three_have(plan):
    rows = rows_of(plan, ALL)
    assert isclose(rows["one"]["gap_closed"], (0.40 - 0.20) / (0.60 - 0.20))
    assert isclose(rows["coloured"]["gap_closed"], (0.10 - 0.20) / 0.40)
    assert rows["source_only"]["gap_closed"] is None and rows["oracle"]["gap_closed"] is None
    few = rows_of(plan, ALL | {"one": {0: 0.30, 1: 0.30}, "oracle": {1: 0.60, 2: 0.70}})
    assert isclose(few["one"]["gap_closed"], (0.30 - 0.20) / (0.60 - 0.20))  # seed 1 alone


@pytest.mark.parametrize("oracle", [{}, {0: 0.10, 1: 0.20, 2: 0.30}, {0: 0.05, 1: 0.15, 2: 0.25}])
def test_without_an_oracle_above_source_only_there_is_no_gap_to_close(plan, oracle):
    assert rows_of(plan, ALL | {"oracle": oracle})["one"]["gap_closed"] is None


def test_without_a_bootstrap_the_difference_to_the_baseline_has_no_interval(plan):
    rows = rows_of(plan, ALL)
    assert isclose(rows["other"]["to_baseline"], 0.0, abs_tol=1e-9)  # -10, +20, -10
    assert isclose(rows["source_only"]["to_baseline"], -0.20)
    assert rows["one"]["to_baseline"] is None and {row["verdict"] for row in rows.values()} == {None}
    few = rows_of(plan, ALL | {"other": {1: 0.50, 2: 0.50}, "one": {0: 0.30, 1: 0.30}})
    assert isclose(few["other"]["to_baseline"], 0.20)  # seed 1 alone
    assert rows_of(plan, ALL | {"one": {}})["other"]["to_baseline"] is None


def test_a_seed_without_a_score_counts_nowhere(plan):
    rows = rows_of(plan, ALL | {"one": {0: 0.30, 1: scores(None), 2: 0.60}})
    assert isclose(rows["one"]["mIoU"]["mean"], 0.45) and isclose(rows["one"]["to_source_only"], 0.25)  # 20, 30
    assert isclose(rows["one"]["gap_closed"], (0.45 - 0.20) / (0.60 - 0.20))  # seeds 0 and 2
    assert isclose(rows["other"]["to_baseline"], -0.10)  # -10, -10


# --- intervals ---


def leave_statistics(plan, method, by_seed):
    """A confusion matrix for each test image, as the run of each seed would leave it."""
    for seed, matrices in by_seed.items():
        path = plan.cell("t", method, seed).folder.statistics(method)
        checkpoint.save(path, {"statistics": torch.tensor(matrices)})


def of_statistics(matrices, seeds=(0, 1)):
    """The scores that these add up to, by seed."""
    return {seed: tiny.pixels(num_classes=2).scores(torch.tensor(matrices[seed]).sum(0)) for seed in seeds}


GOOD, BAD = [[8, 2], [0, 10]], [[6, 4], [0, 10]]
GOOD_MIOU = (8 / 10 + 10 / 12) / 2
BAD_MIOU = (6 / 10 + 10 / 14) / 2


@pytest.fixture
def judged(plugins, tmp_path):
    """The same with intervals, for two seeds: ``judged(other, one)`` is other's difference to one and its verdict."""
    files = {name: tables | {"name": name} for name, tables in (("one", TABLES), ("other", TABLES))}
    plan = plan_of(
        plugins, tmp_path, files, seeds=[0, 1], bootstrap=200, tasks=[{"label": "t", "name": "pixels"}]
    )  # 200 draws are enough for 20 images

    def judge(other, one, seeds=(0, 1)):
        leave_statistics(plan, "other", dict(enumerate(other)))
        leave_statistics(plan, "one", dict(enumerate(one)))
        found = {"one": of_statistics(one, seeds), "other": of_statistics(other)}
        row = rows_of(plan, found, built=tiny.pixels(num_classes=2))["other"]
        return row["to_baseline"], row["to_baseline_interval"], row["verdict"]

    judge.plan = plan
    return judge


def test_a_method_that_is_better_on_every_image_is_called_better(judged):
    estimate, (low, high), verdict = judged([[GOOD] * 20] * 2, [[BAD] * 20] * 2)
    assert verdict == "better" and isclose(estimate, GOOD_MIOU - BAD_MIOU)
    # Every resample has the same score, so the interval is a point.
    assert isclose(low, high) and low > 0
    assert judged([[BAD] * 20] * 2, [[GOOD] * 20] * 2)[2] == "worse"


def test_a_method_that_is_better_on_half_of_the_images_is_not_called_better(judged):
    mixed = [GOOD, BAD] * 10
    estimate, (low, high), verdict = judged([mixed] * 2, [mixed[::-1]] * 2)
    assert verdict is None and isclose(estimate, 0, abs_tol=1e-9)
    assert low < 0 < high


def test_the_same_images_are_drawn_for_both_methods(judged):
    mixed = [GOOD, BAD] * 10
    assert judged([mixed] * 2, [mixed] * 2) == (0.0, [0.0, 0.0], None)


def test_the_difference_is_the_mean_over_the_seeds_that_both_have(judged):
    other, one = [[GOOD] * 20, [BAD] * 20], [[BAD] * 20, [BAD] * 20]
    assert isclose(judged(other, one)[0], (GOOD_MIOU - BAD_MIOU) / 2)
    assert isclose(judged(other, one, seeds=[0])[0], GOOD_MIOU - BAD_MIOU)


def test_intervals_are_the_same_every_time(judged):
    other, one = [[GOOD, BAD, BAD, GOOD, BAD] * 4] * 2, [[BAD, GOOD, BAD, BAD, BAD] * 4] * 2
    first = judged(other, one)
    assert first == judged(other, one) and first[1][0] < first[1][1]


def test_too_few_images_and_missing_statistics_are_told(judged):
    with pytest.raises(ValueError, match="at least 20 test images"):
        judged([[GOOD] * 19] * 2, [[BAD] * 19] * 2)
    judged.plan.cell("t", "one", 1).folder.statistics("one").unlink()
    mious = {"one": of_statistics([[BAD] * 19] * 2), "other": of_statistics([[GOOD] * 19] * 2)}
    with pytest.raises(RunError, match=r"one/seed1/scores/one\.pt is missing.*; delete .*one/seed1 to run again"):
        rows_of(judged.plan, mious, built=tiny.pixels(num_classes=2))


@pytest.mark.parametrize(
    "low, high, said",
    [(0.01, 0.02, "better"), (-0.02, -0.01, "worse"), (-0.01, 0.3, None), (0.0, 0.1, None), (-0.1, 0.0, None)],
)
def test_only_an_interval_wholly_on_one_side_of_zero_is_a_verdict(low, high, said):
    assert verdict(SEGMENTATION[0], [low, high]) == said
    error = Metric("AbsRel", higher_is_better=False)
    assert verdict(error, [-high, -low]) == said and verdict(error, None) is None


def test_where_lower_is_better_the_lowest_comes_first_and_the_gap_is_closed_downwards():
    error = Metric("AbsRel", higher_is_better=False)
    rows = [{"method": name, "AbsRel": over_seeds(values)} for name, values in (("a", [0.5]), ("b", []), ("c", [0.2]))]
    assert [row["method"] for row in ranked(rows, error)] == ["c", "a", "b"]
    assert best(rows, error) == {2}
    assert isclose(gap_closed(error, 0.3, 0.5, 0.1), 0.5) and gap_closed(error, 0.3, 0.1, 0.5) is None


# --- times and notes ---


def test_minutes_are_those_of_training_and_speed_is_that_of_translating(plan):
    seconds = {
        "translation": 90.0,
        "training on one": 30.0,
        "training on oracle": 12.0,
        "training on other": 0.0,
        "translating": 2.0,
        "scoring": 500.0,
    }
    rows = rows_of(plan, ALL | {"one": {0: 0.3, 1: 0.4}}, seconds=seconds)
    assert (rows["one"]["minutes"], rows["one"]["images_per_second"]) == (2.0, 150.0)
    assert rows["other"]["minutes"] == 1.5
    assert rows_of(plan, ALL)["one"]["minutes"] is None and rows_of(plan, ALL)["one"]["images_per_second"] is None


def test_notes_say_which_seeds_are_missing_stale_or_failed(plan):
    found = made(plan, ALL | {"one": {0: 0.3}}, stale="commit abc")
    found["t/other/seed1"] = Status(State.FOREIGN, problem="seed was 0, now 1")
    found["t/other/seed2"] = Status(State.STARTED)
    found["t/coloured/seed2"] = Status(State.STARTED, problem="results.json is damaged")
    failures = {"t/other/seed2": "no memory"}
    rows = {row["method"]: row["notes"] for row in task_table(plan, "t", found, failures, None).rows}
    stale = "stale: made by commit abc of daframework, not by what is installed now"
    assert rows["source_only"] == rows["oracle"] == [f"seeds 0, 1, 2: {stale}"]
    assert rows["one"] == [f"seed 0: {stale}", "seeds 1, 2: to run"]
    assert rows["other"] == [
        f"seed 0: {stale}",
        "seed 1: stale and left out: its folder holds a run of another recipe (seed was 0, now 1); delete the folder, "
        "or give another one with --out",
        "seed 2: failed: no memory",
    ]
    assert rows["coloured"][-1] == "seed 2: to go on with (results.json is damaged)"
    assert {note for row in table_of(plan, ALL).rows for note in row["notes"]} == set()


def test_runs_of_different_classes_cannot_stand_in_one_table(plan):
    found = made(plan, ALL)
    found["t/one/seed1"] = made(plan, ALL, classes=("sky", "road"))["t/one/seed1"]
    with pytest.raises(RunError, match=r"runs of task 't' in .* differ in classes"):
        task_table(plan, "t", found, {}, None)


def test_facts_say_data_sizes_budgets_seeds_and_who_made_it(plan):
    table = table_of(plan, {name: {0: 0.1} for name in ALL})
    lines = table.notes
    assert lines[0] == (
        "blocks (look bright) to blocks (images 20, size [16, 24]); images: 300 source; "
        "crops of 16 x 24 (height x width)"
    )
    assert lines[1] == "translation: 4 steps of 2; task pixels: 16 steps of 2; seeds 0, 1, 2"
    assert lines[2] == "percent; vs one: difference of mIoU"
    assert lines[3].startswith("made by daframework None, commit unknown, on None, ? of ? cores a run")
    assert list(lines[4:]) == [f"{row['method']}: seeds 1, 2: to run" for row in table.rows]
