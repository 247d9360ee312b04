"""Finished runs as one table: a row a method, mean and standard deviation over seeds."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from daframework.errors import RunError, warn
from daframework.report.pick import pick_notes, picks
from daframework.report.table import Column, Grid, Record, best, grid, metric_column, over_seeds, ranked, spread
from daframework.scores import Metric
from daframework.storage.results import Results, read_results
from daframework.storage.run_folder import RunFolder, read_recipe


def gather(folders: Sequence[Path]) -> list[Results]:
    """The results in ``folders``; a folder without results of its own stands for all runs below it.

    Raises:
        RunError: a folder holds no finished run, the runs have different classes or metrics, or two of one recipe and
            seed differ.
    """
    results: list[Results] = []
    looked_at: dict[Path, object] = {}
    known: dict[tuple[str, int], tuple[Path, Results]] = {}
    for folder in folders:
        own = RunFolder(folder).results
        files = [own] if own.exists() else sorted(folder.rglob(own.name))
        if not files:
            raise RunError(f"{folder} holds no finished run; give folders that daf run has finished")
        for file in files:
            one = read_results(file)
            first, before = known.setdefault((one.recipe, one.seed), (file, one))
            if before.rows != one.rows:
                what = f"different results of recipe '{one.recipe}' with seed {one.seed}"
                raise RunError(f"{first.parent} and {file.parent} hold {what}; report them apart, or rename a recipe")
            results.append(one)
            with suppress(RunError):  # results that lie somewhere by themselves
                recipe = read_recipe(RunFolder(file.parent))
                looked_at.setdefault(file.parent, (recipe.target, recipe.data.resize))
    told = list(looked_at)
    if unlike := next((one for one in told if looked_at[one] != looked_at[told[0]]), None):
        warn(f"{told[0]} and {unlike} name other targets or sizes: scores of other images cannot be compared")
    for other in results[1:]:
        what = "classes" if other.classes != results[0].classes else "metrics"
        if (other.classes, other.metrics) != (results[0].classes, results[0].metrics):
            runs = f"runs of '{results[0].recipe}' and '{other.recipe}'"
            raise RunError(f"{runs} have different {what}, and one table cannot hold both; report them apart")
    return results


def summarise(results: Sequence[Results]) -> list[Record]:
    """Methods, best first: for every key of `Results.table` its mean and standard deviation over ``seeds``.

    Rows that runs share, such as source_only, count once a seed. Where two recipes disagree on a row of one seed, as
    after different budgets, each recipe keeps a row of its own.
    """
    by_method: dict[str, dict[tuple[str, int], Record]] = {}
    for result in results:
        for row in result.table():
            by_method.setdefault(str(row["method"]), {})[result.recipe, result.seed] = row
    summaries = []
    for method, rows in by_method.items():
        by_seed = {seed: row for (_, seed), row in rows.items()}
        if all(row == by_seed[seed] for (_, seed), row in rows.items()):
            summaries.append(_summary(method, by_seed))
            continue
        for recipe in sorted({recipe for recipe, _ in rows}):
            own = {seed: row for (name, seed), row in rows.items() if name == recipe}
            summaries.append(_summary(f"{method} (in {recipe})", own))
    return ranked(summaries, results[0].metrics[0])


def _summary(method: str, by_seed: dict[int, Record]) -> Record:
    rows = list(by_seed.values())
    keys = [key for key in rows[0] if key != "method"]
    return {"method": method, "seeds": sorted(by_seed)} | {key: over_seeds(row[key] for row in rows) for key in keys}


def results_grid(results: Sequence[Results]) -> Grid:
    """A row a method: its metrics, content preservation where images were translated, and `picks` where there are."""
    rows, metrics = summarise(results), results[0].metrics
    places = picks(rows)
    columns: list[Column] = [
        ("method", "method"),
        *(metric_column(one, metrics[0]) for one in metrics),
        ("content preservation", lambda row: spread(row["content_preservation"], metrics[0])),
        ("pick", lambda row: places.get(row["method"])),
    ]
    title = _title(metrics[0].title, metrics[0], results)
    notes = [*dict.fromkeys(one.note for one in results if one.note), *pick_notes(rows, metrics[0])]
    if all(row[metrics[0].name]["mean"] is None for row in rows):
        notes.append("nothing was scored, as downstream.score = false asks; daf predict uses the models")
    return grid(title, rows, columns, best=best(rows, metrics[0]), notes=notes)


def class_grids(results: Sequence[Results]) -> list[Grid]:
    """For each metric with parts, a row a class and a column a method; ``-`` where there is nothing to measure."""
    summaries = summarise(results)
    headings: list[Column] = [("class", "class"), *((str(one["method"]), one["method"]) for one in summaries)]
    found = []
    for metric in results[0].metrics:
        if (parts := metric.by_class) is not None:
            rows = [
                {"class": name} | {one["method"]: spread(one[f"{parts}/{name}"], metric) for one in summaries}
                for name in results[0].classes
            ]
            found.append(grid(_title(parts, metric, results), rows, headings))
    return found


def _title(what: str, metric: Metric, results: Iterable[Results]) -> str:
    seeds = sorted({result.seed for result in results})
    which = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    return f"{what} on the target's test set{metric.shown_in}, {which}"
