"""What a suite's finished runs found: as plain rows, and as tables for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from daframework.report.pick import picks
from daframework.report.table import Column, Grid, Record, as_json, as_text, best, grid, over_seeds
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
        by_class = [class_grid(table) for table in self.tables] if per_class else []
        return [*by_class, *map(method_grid, self.tables)]

    def text(self, form: str = "markdown", *, per_class: bool = False) -> str:
        """The tables as "markdown", "csv", "latex", "rich", or as "json", which holds every class anyway."""
        if form == "json":
            return as_json({"tables": [asdict(table, recurse=False) for table in self.tables]})
        return as_text(self.grids(per_class=per_class), form)

    def __str__(self) -> str:
        return self.text()


def method_grid(table: TaskTable) -> Grid:
    """A row a method: mIoU, differences, share of the gap, content preservation, pick, minutes and images a second."""
    places = picks(table.rows)
    columns: list[Column] = [
        ("method", lambda row: row["method"] + " †" * bool(row["notes"])),
        ("mIoU", "mIoU"),
        ("vs source_only", lambda row: signed(row["to_source_only"])),
        (f"vs {table.baseline}", to_baseline),
        ("gap closed", lambda row: percent(row["gap_closed"])),
        ("content preservation", _content_preservation),
        ("pick", lambda row: places.get(row["method"])),
        ("minutes", lambda row: _number(row["minutes"], 1, ".1f")),
        ("images/s", lambda row: _number(row["images_per_second"], 1, ".0f")),
    ]
    if table.baseline is None:
        del columns[3]
    title = f"{table.task}: mIoU on the target's test set, percent"
    return grid(title, table.rows, columns, best=best(table.rows), notes=table.notes)


def class_grid(table: TaskTable) -> Grid:
    """A row a method, a column a class: IoU in percent, ``-`` where the class never occurs."""

    def of(name: str) -> Callable[[Record], Any]:
        return lambda row: over_seeds(one["IoU"][name] for one in row["seeds"])

    columns: list[Column] = [("method", "method"), *((name, of(name)) for name in table.classes)]
    return grid(f"{table.task}: IoU on the target's test set, percent", table.rows, columns, best=best(table.rows))


def _content_preservation(row: Record) -> Record:
    return over_seeds((one["semantic_preservation"] or {}).get("mIoU") for one in row["seeds"])


def to_baseline(row: Record) -> str | None:
    """The difference to the baseline in percent, with its interval and verdict."""
    if row["to_baseline_interval"] is None:
        return signed(row["to_baseline"])
    low, high = map(signed, row["to_baseline_interval"])
    return f"{signed(row['to_baseline'])} [{low}, {high}] {row['verdict'] or ''}".rstrip()


def signed(value: float | None) -> str | None:
    """A difference of fractions in percent, with its sign; none of 0."""
    return _number(value, 100, "+.1f")


def percent(value: float | None) -> str | None:
    """A fraction as ``41 %``."""
    return _number(value, 100, ".0f", " %")


def _number(value: float | None, factor: int, form: str, unit: str = "") -> str | None:
    """``value`` written as ``form`` says; what rounds to -0 as 0."""
    return None if value is None else f"{round(factor * value, int(form[-2])) + 0.0:{form}}{unit}"
