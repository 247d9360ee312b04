"""Tables of rows, which are plain dictionaries, in the formats that people need: for a terminal, a README, a
spreadsheet, a program, a paper.
"""

import csv
import io
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from daframework.errors import visible
from daframework.scores import PERCENT, Metric
from daframework.storage.row_names import ORACLE

NOTHING = "-"
_UNCUT = 10_000  # columns
FRACTION = Metric("fraction", PERCENT, higher_is_better=True)
"""How any fraction is shown."""

Record = dict[str, Any]
"""A row as plain data: a ``method``, its metrics by name as `over_seeds` gives them, and whatever else a table has."""

Column = tuple[str, str | Callable[[Record], Any]]
"""A heading, and the key of a row's cell, or what makes one: text, None, or fractions as `over_seeds` gives them."""


def mean(values: Iterable[float | None]) -> float | None:
    """Of those there are; None where there are none."""
    found = [value for value in values if value is not None]
    return statistics.mean(found) if found else None


def over_seeds(values: Iterable[float | None]) -> dict[str, float | None]:
    """``mean`` and sample ``standard_deviation`` of those there are; None where there are too few."""
    found = [value for value in values if value is not None]
    return {"mean": mean(found), "standard_deviation": statistics.stdev(found) if len(found) > 1 else None}


def spread(found: Mapping[str, float | None], metric: Metric = FRACTION) -> str:
    """What `over_seeds` gives of a metric's values: mean ± standard deviation; ``-`` where there is none."""
    middle, deviation = found["mean"], found["standard_deviation"]
    if middle is None:
        return NOTHING
    return metric.text(middle) if deviation is None else f"{metric.text(middle)} ± {metric.text(deviation)}"


def metric_column(metric: Metric, told: Metric) -> Column:
    """The column of a metric that rows have under its name; with its unit, unless that is the title's, of ``told``."""
    unit = f", {metric.unit}" if metric.unit and metric.unit != told.unit else ""
    return f"{metric.title}{unit}", lambda row: spread(row[metric.name], metric)


def ranked(rows: Iterable[Record], metric: Metric) -> list[Record]:
    """The best mean of ``metric`` first; rows without one come last."""
    return sorted(rows, key=lambda row: metric.rank(row[metric.name]["mean"]))


def without_oracle(rows: Iterable[Record]) -> list[Record]:
    """The rows that have not seen the target's labels."""
    return [row for row in rows if row["method"].split()[0] != ORACLE]


def best(rows: Sequence[Record], metric: Metric) -> frozenset[int]:
    """Places of the best mean of ``metric``, the oracle apart, which has seen the target's labels."""
    free = [row for row in ranked(without_oracle(rows), metric) if row[metric.name]["mean"] is not None]
    found = [row for row in free if row[metric.name]["mean"] == free[0][metric.name]["mean"]]
    return frozenset(place for place, row in enumerate(rows) if row in found)


@frozen
class Grid:
    """A table as text: a title, headings, rows of cells, which rows are best, and lines to stand under it.

    No text holds a line break or another control character, whatever classes are called and runs have printed.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def grid(
    title: str,
    rows: Iterable[Record],
    columns: Iterable[Column],
    *,
    best: frozenset[int] = frozenset(),
    notes: Iterable[str] = (),
) -> Grid:
    """The table of ``rows`` with these ``columns``, the first of which names the rows."""
    headings, keys = zip(*columns, strict=True)
    cells = tuple(tuple(visible(_cell(row, key)) for key in keys) for row in rows)
    return Grid(visible(title), tuple(map(visible, headings)), cells, best, tuple(map(visible, notes)))


def _cell(row: Record, key: str | Callable[[Record], Any]) -> str:
    value = row[key] if isinstance(key, str) else key(row)
    return spread(value) if isinstance(value, dict) else NOTHING if value is None else str(value)


def show(grids: Sequence[Grid], form: str = "rich", console: Console | None = None) -> None:
    """Print ``grids`` as "rich", "markdown", "csv" or "latex", to standard output unless ``console`` is given."""
    console = console or make_console()
    if form == "rich":
        console.print(*(_rich(one, console.width) for one in grids), sep="\n")
    else:
        console.out(as_text(grids, form), highlight=False)


def make_console(*, stderr: bool = False) -> Console:
    """A console that cuts nothing where output goes to a file or a pipe, which have no width of their own."""
    stream = sys.stderr if stderr else sys.stdout
    at_terminal = stream is not None and stream.isatty()  # None where it was closed
    return Console(stderr=stderr, width=None if at_terminal else _UNCUT)


def as_text(grids: Sequence[Grid], form: str) -> str:
    """``grids`` as "rich", as a terminal shows them, "markdown", "csv" or "latex"."""
    if form == "rich":
        show(grids, console=Console(file=(page := io.StringIO()), width=_UNCUT))
        return page.getvalue()
    return "\n".join({"markdown": _markdown, "csv": _csv, "latex": _latex}[form](one) for one in grids)


def as_json(content: Any) -> str:
    """Rows and what is told with them, as numbers; null where there is nothing to measure.

    Raises:
        ValueError: a number is infinite or none.
    """
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _rich(grid: Grid, width: int) -> Group:
    tables = []
    for columns in _pieces(grid, width):
        table = Table()
        for column in columns:
            table.add_column(Text(grid.headings[column]), justify="right" if column else "left", overflow="fold")
        for place, row in enumerate(grid.rows):
            table.add_row(*(Text(row[column]) for column in columns), style="bold" if place in grid.best else None)
        tables.append(table)
    return Group(Text(grid.title), *tables, *(Text(note, style="dim") for note in grid.notes))


def _pieces(grid: Grid, width: int) -> list[list[int]]:
    """The columns of one table or, where a terminal is too narrow for it, of several, each with the first column.

    A number that is cut off would be taken for another one.
    """
    wide = [max(map(cell_len, texts)) + 3 for texts in zip(grid.headings, *grid.rows, strict=True)]
    pieces, used = [[0]], 1 + wide[0]
    for column in range(1, len(wide)):
        if used + wide[column] > width and len(pieces[-1]) > 1:
            pieces.append([0])
            used = 1 + wide[0]
        pieces[-1].append(column)
        used += wide[column]
    return pieces


def _markdown(grid: Grid) -> str:
    """A table for a README, notes below it."""
    lines = [
        _md(grid.title),
        "",
        f"| {' | '.join(map(_md, grid.headings))} |",
        f"| --- |{' ---: |' * (len(grid.headings) - 1)}",
    ]
    for place, row in enumerate(grid.rows):
        cells = [f"**{_md(text)}**" if place in grid.best else _md(text) for text in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {_md(note)}" for note in grid.notes), ""])


def _md(text: str) -> str:
    """Text that Markdown shows as it is; underscores inside a word, which mean nothing there, stay readable."""
    escaped = re.sub(r"[\\`*|~$]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _csv(grid: Grid) -> str:
    """Comma-separated values with a line of headings; no notes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([grid.headings, *grid.rows])
    return text.getvalue()


def _latex(grid: Grid) -> str:
    """A booktabs table, notes below it as comments."""
    lines = [f"% {grid.title}", rf"\begin{{tabular}}{{l{'r' * (len(grid.headings) - 1)}}}", r"\toprule"]
    lines += [" & ".join(map(_tex, grid.headings)) + r" \\", r"\midrule"]
    for place, row in enumerate(grid.rows):
        cells = [rf"\textbf{{{_tex(text)}}}" if place in grid.best else _tex(text) for text in row]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in grid.notes), ""])


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    special |= {sign: rf"\{sign}" for sign in "&%$#_{}"} | {"±": r"$\pm$", "†": r"\textdagger{}"}
    return "".join(special.get(sign, sign) for sign in text)
