import copy
import re
import subprocess
import sys

import pytest
import torch
from conftest import TABLES
from test_bench_formats import boxed

from daframework.errors import RunError
from daframework.interfaces import Scores
from daframework.recipes.read import parse
from daframework.report.pick import pick_notes, picks, rank_correlation
from daframework.report.summary import class_grids, gather, results_grid, summarise
from daframework.report.table import as_text, over_seeds
from daframework.scores import SEGMENTATION
from daframework.storage.results import Results, Row, write_results
from daframework.storage.run_folder import open_folder

CLASSES = ("road", "sky")
MIOU = SEGMENTATION[0]


def scores(miou, accuracy=0.5, iou=(0.5, 0.5)):
    return Scores(miou, accuracy, iou)


def results(recipe, seed, rows, classes=CLASSES):
    made = tuple(
        Row(method, found, None if method in ("source_only", "oracle") else scores(0.9))
        for method, found in rows.items()
    )
    return Results(recipe, seed, classes, made, {}, {})


def shown(table):
    return as_text([table], "rich")


def cells(table):
    return boxed(shown(table))


THREE = [
    results("a", 0, {"source_only": scores(0.10), "a": scores(0.30)}),
    results("a", 1, {"source_only": scores(0.20), "a": scores(0.40)}),
    results("a", 2, {"source_only": scores(0.60), "a": scores(0.80)}),
]


def test_mean_and_sample_standard_deviation_over_seeds():
    table = cells(results_grid(THREE))
    # 10, 20, 60: mean 30, deviations -20, -10, 30, so sqrt((400 + 100 + 900) / 2) = 26.458; the same around 50.
    assert table == [
        ["method", "mIoU", "pixel accuracy", "content preservation", "pick"],
        ["a", "50.0 ± 26.5", "50.0 ± 0.0", "90.0 ± 0.0", "-"],
        ["source_only", "30.0 ± 26.5", "50.0 ± 0.0", "-", "-"],
    ]


def test_the_command_shows_its_table_without_torch(tmp_path):
    write_results(tmp_path / "results.json", THREE[0])
    script = "import sys; sys.modules['torch'] = None; from daframework.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "report", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0 and "source_only" in done.stdout, done.stderr


def test_one_seed_has_no_deviation():
    assert cells(results_grid(THREE[:1]))[1] == ["a", "30.0", "50.0", "90.0", "-"]


def test_methods_come_by_falling_mean():
    assert [one["method"] for one in summarise(THREE)] == ["a", "source_only"]
    worse = [results("b", 0, {"source_only": scores(0.5), "b": scores(None), "oracle": scores(0.9)})]
    assert [one["method"] for one in summarise(worse)] == ["oracle", "source_only", "b"]


def test_a_row_that_runs_share_counts_once_a_seed():
    other = [
        results("b", seed, {"source_only": found, "b": scores(0.7)})
        for seed, found in enumerate((scores(0.10), scores(0.20), scores(0.60)))
    ]
    table = {row[0]: row[1] for row in cells(results_grid(THREE + other))}
    assert table["source_only"] == "30.0 ± 26.5" and table["b"] == "70.0 ± 0.0"
    assert {one["method"]: len(one["seeds"]) for one in summarise(THREE + other)} == {"a": 3, "b": 3, "source_only": 3}


def test_rows_that_differ_between_recipes_are_told_apart():
    other = [results("b", 0, {"source_only": scores(0.11), "b": scores(0.7)})]
    found = {one["method"]: len(one["seeds"]) for one in summarise(THREE + other)}
    assert found == {"a": 3, "b": 1, "source_only (in a)": 3, "source_only (in b)": 1}


def test_a_run_given_twice_counts_once(tmp_path):
    for seed, one in enumerate(THREE):
        write_results(tmp_path / f"seed{seed}" / "results.json", one)
    found = gather([tmp_path, tmp_path / "seed1"])
    assert cells(results_grid(found)) == cells(results_grid(THREE))


def test_two_runs_of_one_recipe_and_seed_that_differ_are_refused(tmp_path):
    write_results(tmp_path / "one" / "results.json", THREE[0])
    write_results(tmp_path / "two" / "results.json", results("a", 0, {"source_only": scores(0.1), "a": scores(0.31)}))
    with pytest.raises(RunError, match=r"one and .*two hold different results of recipe 'a' with seed 0"):
        gather([tmp_path])


def test_a_class_that_never_occurs_has_no_number_and_lowers_no_mean():
    found = [
        results("a", 0, {"a": scores(0.5, iou=(0.4, None))}),
        results("a", 1, {"a": scores(0.5, iou=(0.6, None))}),
        results("a", 2, {"a": scores(0.5, iou=(None, None))}),
    ]
    assert cells(class_grids(found)[0]) == [["class", "a"], ["road", "50.0 ± 14.1"], ["sky", "-"]]


def test_a_score_that_does_not_exist_is_a_dash():
    assert cells(results_grid([results("a", 0, {"a": scores(None, None)})]))[1] == ["a", "-", "-", "90.0", "-"]


def test_the_title_names_the_seeds():
    assert "percent, seeds 0, 1, 2" in shown(results_grid(THREE))
    assert "percent, seed 0\n" in shown(class_grids(THREE[:1])[0]).replace(" \n", "\n")


def test_a_folder_stands_for_all_runs_below_it(tmp_path):
    for seed, one in enumerate(THREE):
        write_results(tmp_path / "a" / f"seed{seed}" / "results.json", one)
    assert gather([tmp_path / "a"]) == THREE
    assert gather([tmp_path / "a" / "seed1"]) == [THREE[1]]


def test_a_folder_without_a_finished_run_is_named(tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path} holds no finished run"):
        gather([tmp_path])
    with pytest.raises(RunError, match="gone holds no finished run"):
        gather([tmp_path / "gone"])


def test_damaged_results_are_named(tmp_path):
    write_results(tmp_path / "one" / "results.json", THREE[0])
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "results.json").write_text('{"recipe": "a"')
    with pytest.raises(RunError, match=r"two/results\.json: not a results file"):
        gather([tmp_path])


def test_scores_that_are_no_fractions_are_named(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, THREE[0])
    path.write_text(path.read_text().replace("0.3", '"high"'))
    with pytest.raises(RunError, match=r"results\.json: not a results file \(.*'high'"):
        gather([tmp_path])


def test_runs_with_other_classes_are_refused(tmp_path):
    write_results(tmp_path / "one" / "results.json", THREE[0])
    write_results(tmp_path / "two" / "results.json", results("b", 0, {"b": scores(0.1)}, classes=("sky", "road")))
    with pytest.raises(RunError, match="runs of 'a' and 'b' have different classes"):
        gather([tmp_path])


def test_runs_of_other_targets_are_told(tmp_path, capsys):
    tables = copy.deepcopy(TABLES)
    for name in ("one", "again", "two"):
        tables["target"]["look"] = "dusk" if name == "two" else "dark"
        open_folder(tmp_path / name, parse(tables | {"name": name}, "r"))
        write_results(tmp_path / name / "results.json", results(name, 0, {name: scores(0.1)}))
        assert len(gather([tmp_path])) and bool(said := capsys.readouterr().err) == (name == "two")
    assert re.search(r"again and .*two name other targets or sizes: scores of other images cannot be compared", said)


# --- which row to take where no label says so ---


def record(method, miou, *mutual_information):
    return {"method": method, "mIoU": over_seeds([miou]), "mutual_information": over_seeds(mutual_information)}


def test_rows_are_picked_by_falling_mutual_information_and_the_oracle_never():
    rows = [record("oracle", 0.9, 0.9), record("a", 0.5, 0.4), record("b", 0.4, 0.5), record("old", 0.3)]
    assert picks(rows) == {"b": 1, "a": 2}
    best, correlation = pick_notes([*rows, record("c", 0.2, 0.1)], MIOU)
    assert (
        best.startswith("pick: b, by mutual information")
        and "10.0 points of mutual information before a, of one seed" in best
    )
    assert "0.50 over 3 rows" in correlation  # places 1, 2, 3 for 2, 1, 3


@pytest.mark.parametrize(("second", "says"), [((0.1, 0.2), "more"), ((0.4, 0.6), "less")])
def test_a_lead_is_told_beside_how_much_it_differs_over_seeds(second, says):
    (line,) = pick_notes([record("a", None, 0.5, 0.6), record("b", None, *second)], MIOU)
    assert f"{says} than it differs over seeds" in line


def test_one_row_is_no_choice():
    assert pick_notes([record("a", 0.5, 0.5)], MIOU) == [] == pick_notes([record("a", 0.5), record("b", 0.5)], MIOU)


@pytest.mark.parametrize("count", [3, 7, 20])
def test_the_rank_correlation_is_spearmans(count):
    """As 1 - 6 sum d^2 / (n (n^2 - 1)) where nothing is alike, and 0 on average where it is drawn."""
    random = torch.Generator().manual_seed(count)
    first, second = (torch.rand(count, generator=random).tolist() for _ in range(2))
    places = [[sorted(values).index(one) for one in values] for values in (first, second)]
    squares = sum((one - other) ** 2 for one, other in zip(*places, strict=True))
    assert rank_correlation(first, second) == pytest.approx(1 - 6 * squares / (count * (count**2 - 1)))


def test_values_that_are_alike_share_their_place_and_two_rows_say_nothing():
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3]) == pytest.approx(1)
    assert rank_correlation([1, 2], [1, 2]) is None is rank_correlation([1, 1, 1], [1, 2, 3])
