"""What a suite's finished runs found: as plain rows, and as tables for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from daframework.report.pick import picks
from daframework.report.table import (
    FRACTION,
    Column,
    Grid,
    Record,
    as_json,
    as_text,
    best,
    grid,
    metric_column,
    over_seeds,
    spread,
)
from daframework.scores import Metric
from daframework.storage.results import CONTENT_PRESERVATION
from daframework.storage.row_names import SOURCE_ONLY
from daframework.suites.comparison import TaskTable


@frozen
class Bench:
    """A table for each task of the suite, the ``folder`` they lie in, and why each run that failed did, by its name."""

    folder: Path
    tables: tuple[TaskTable, ...]
    failures: dict[str, str]

    @property
    def rows(self) -> list[Record]:
        """The rows of all tasks, each with its ``task``: plain dictionaries, as docs/bench.md says of table.json."""
        return [{"task": table.task} | row for table in self.tables for row in table.rows]

    def grids(self, *, per_class: bool = False) -> list[Grid]:
        """The tables as text; with ``per_class`` those of every class before them."""
        by_class = [one for table in self.tables for one in class_grids(table)] if per_class else []
        return [*by_class, *map(method_grid, self.tables)]

    def text(self, form: str = "markdown", *, per_class: bool = False) -> str:
        """The tables as "markdown", "csv", "latex", "rich", or as "json", which holds every class anyway."""
        if form == "json":
            return as_json({"tables": [asdict(table) for table in self.tables]})
        return as_text(self.grids(per_class=per_class), form)

    def __str__(self) -> str:
        return self.text()


def method_grid(table: TaskTable) -> Grid:
    """A row a method: its first metric, differences, share of the gap, content preservation, pick, minutes and images a
    second.
    """
    places, metric = picks(table.rows), table.primary
    columns: list[Column] = [
        ("method", lambda row: row["method"] + " †" * bool(row["notes"])),
        metric_column(metric, metric),
        ("vs source_only", lambda row: signed(row["to_source_only"], metric)),
        (f"vs {table.baseline}", lambda row: to_baseline(row, metric)),
        ("gap closed", lambda row: percent(row["gap_closed"])),
        ("content preservation", lambda row: _content_preservation(row, metric)),
        ("pick", lambda row: places.get(row["method"])),
        ("minutes", lambda row: _number(row["minutes"], 1, ".1f")),
        ("images/s", lambda row: _number(row["images_per_second"], 1, ".0f")),
    ]
    if table.baseline is None:
        del columns[3]
    elif table.baseline == SOURCE_ONLY:  # the same difference, and its interval
        del columns[2]
    title = f"{table.task}: {metric.title} on the target's test set{metric.shown_in}"
    return grid(title, table.rows, columns, best=best(table.rows, metric), notes=table.notes)


def class_grids(table: TaskTable) -> list[Grid]:
    """For each metric with parts, a row a method and a column a class; ``-`` where there is nothing to measure."""

    def of(metric: Metric, name: str) -> Callable[[Record], Any]:
        return lambda row: spread(over_seeds(one[metric.by_class][name] for one in row["seeds"]), metric)

    found = []
    for metric in table.metrics:
        if metric.by_class is not None:
            columns: list[Column] = [("method", "method"), *((name, of(metric, name)) for name in table.classes)]
            title = f"{table.task}: {metric.by_class} on the target's test set{metric.shown_in}"
            found.append(grid(title, table.rows, columns, best=best(table.rows, table.primary)))
    return found


def _content_preservation(row: Record, metric: Metric) -> str:
    return spread(over_seeds((one[CONTENT_PRESERVATION] or {}).get(metric.name) for one in row["seeds"]), metric)


def to_baseline(row: Record, metric: Metric) -> str | None:
    """The difference to the baseline in the metric's unit, with its interval and verdict."""
    if row["to_baseline_interval"] is None:
        return signed(row["to_baseline"], metric)
    low, high = (signed(end, metric) for end in row["to_baseline_interval"])
    return f"{signed(row['to_baseline'], metric)} [{low}, {high}] {row['verdict'] or ''}".rstrip()


def signed(value: float | None, metric: Metric = FRACTION) -> str | None:
    """A difference of the metric's values, with its sign."""
    return None if value is None else metric.text(value, signed=True)


def percent(value: float | None) -> str | None:
    """A fraction as ``41 %``."""
    return _number(value, 100, ".0f", " %")


def _number(value: float | None, factor: int, form: str, unit: str = "") -> str | None:
    """``value`` written as ``form`` says; what rounds to -0 as 0."""
    return None if value is None else f"{round(factor * value, int(form[-2])) + 0.0:{form}}{unit}"
