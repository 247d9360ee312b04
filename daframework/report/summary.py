"""Finished runs as one table: a row a method, mean and standard deviation over seeds."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from daframework.errors import RunError
from daframework.report.pick import pick_notes, picks
from daframework.report.table import Column, Grid, Record, best, grid, over_seeds, ranked
from daframework.storage.results import Results, read_results
from daframework.storage.run_folder import RunFolder


def gather(folders: Sequence[Path]) -> list[Results]:
    """The results in ``folders``; a folder without results of its own stands for all runs below it.

    Raises:
        RunError: a folder holds no finished run, the runs have different classes, or two of one recipe and seed differ.
    """
    results: list[Results] = []
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
                raise RunError(
                    f"{first.parent} and {file.parent} hold different results of recipe '{one.recipe}' with seed "
                    f"{one.seed}; report them apart, or give one of the recipes another name"
                )
            results.append(one)
    for other in results[1:]:
        if other.classes != results[0].classes:
            raise RunError(
                f"runs of '{results[0].recipe}' and '{other.recipe}' have different classes, and one table cannot "
                "hold both; report them apart"
            )
    return results


def summarise(results: Sequence[Results]) -> list[Record]:
    """Methods by falling mean mIoU: for every key of `Results.table` its mean and standard deviation over ``seeds``.

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
    return ranked(summaries)


def _summary(method: str, by_seed: dict[int, Record]) -> Record:
    rows = list(by_seed.values())
    keys = [key for key in rows[0] if key != "method"]
    return {"method": method, "seeds": sorted(by_seed)} | {key: over_seeds(row[key] for row in rows) for key in keys}


def results_grid(results: Sequence[Results]) -> Grid:
    """A row a method: mIoU, pixel accuracy, content preservation where images were translated, and `picks`."""
    rows = summarise(results)
    places = picks(rows)
    columns: list[Column] = [
        ("method", "method"),
        ("mIoU", "mIoU"),
        ("pixel accuracy", "pixel_accuracy"),
        ("content preservation", "content_preservation"),
        ("pick", lambda row: places.get(row["method"])),
    ]
    title = _title("mIoU on the target's test set", results)
    return grid(title, rows, columns, best=best(rows), notes=pick_notes(rows))


def class_grid(results: Sequence[Results]) -> Grid:
    """A row a class, a column a method: IoU; ``-`` where the class occurs neither in labels nor in predictions."""
    columns = {f"IoU of {one['method']}": one for one in summarise(results)}
    rows = [{"class": name} | {key: one[f"IoU/{name}"] for key, one in columns.items()} for name in results[0].classes]
    headings = [("class", "class"), *((str(one["method"]), key) for key, one in columns.items())]
    return grid(_title("IoU on the target's test set", results), rows, headings)


def _title(what: str, results: Iterable[Results]) -> str:
    seeds = sorted({result.seed for result in results})
    return f"{what}, percent, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
