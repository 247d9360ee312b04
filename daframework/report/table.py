"""One table over runs: a row a method, mean and standard deviation over seeds."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from rich.console import Group
from rich.table import Table
from rich.text import Text

from daframework.errors import RunError, visible
from daframework.storage.results import Results, Row, read_results
from daframework.storage.run_folder import RunFolder


@frozen
class Summary:
    """A method's rows of several seeds."""

    method: str
    rows: tuple[Row, ...]

    def mean(self) -> float:
        """Mean mIoU, -1 where there is none: for sorting."""
        found = [row.scores.miou for row in self.rows if row.scores.miou is not None]
        return statistics.mean(found) if found else -1.0


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


def summarise(results: Sequence[Results]) -> list[Summary]:
    """Methods by falling mean mIoU. Rows that runs share, such as source_only, count once a seed.

    Where two recipes disagree on a row of one seed, as after different budgets, each recipe keeps a row of its own.
    """
    by_method: dict[str, dict[tuple[str, int], Row]] = {}
    for result in results:
        for row in result.rows:
            by_method.setdefault(row.method, {})[result.recipe, result.seed] = row
    summaries = []
    for method, rows in by_method.items():
        by_seed: dict[int, set[Row]] = {}
        for (_, seed), row in rows.items():
            by_seed.setdefault(seed, set()).add(row)
        if all(len(found) == 1 for found in by_seed.values()):
            summaries.append(Summary(method, tuple(found.pop() for found in by_seed.values())))
            continue
        for recipe in sorted({recipe for recipe, _ in rows}):
            own = tuple(row for (name, _), row in rows.items() if name == recipe)
            summaries.append(Summary(f"{method} (in {recipe})", own))
    return sorted(summaries, key=Summary.mean, reverse=True)


def results_table(results: Sequence[Results]) -> Group:
    """A row a method: mIoU, pixel accuracy and, where images were translated, content preservation."""
    table = Table()
    table.add_column("method")
    for heading in ("mIoU", "pixel accuracy", "content preservation"):
        table.add_column(heading, justify="right")
    summaries = summarise(results)
    best = summaries[0].mean() if summaries else None
    for summary in summaries:
        scores = [row.scores for row in summary.rows]
        table.add_row(
            Text(visible(summary.method)),
            spread([one.miou for one in scores]),
            spread([one.pixel_accuracy for one in scores]),
            spread([row.preserved for row in summary.rows]),
            style="bold" if summary.mean() == best else None,
        )
    return Group(_title("mIoU on the target's test set", results), table)


def class_table(results: Sequence[Results]) -> Group:
    """A row a class, a column a method: IoU; ``-`` where the class occurs neither in labels nor in predictions."""
    table = Table()
    table.add_column("class")
    summaries = summarise(results)
    for summary in summaries:
        table.add_column(Text(visible(summary.method)), justify="right")
    for place, name in enumerate(results[0].classes):
        table.add_row(Text(visible(name)), *(spread([row.scores.iou[place] for row in one.rows]) for one in summaries))
    return Group(_title("IoU on the target's test set", results), table)


def _title(what: str, results: Sequence[Results]) -> Text:
    seeds = sorted({result.seed for result in results})
    return Text(f"{what}, percent, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}")


def spread(values: Sequence[float | None]) -> str:
    """Fractions as percent: mean ± standard deviation over seeds; ``-`` where there are none."""
    found = [100 * value for value in values if value is not None]
    if not found:
        return "-"
    if len(found) == 1:
        return f"{found[0]:.1f}"
    return f"{statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}"
