"""A suite's tables in the formats that people need: for a terminal, a README, a spreadsheet, a program, a paper."""

import csv
import io
import json
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from daframework.errors import visible
from daframework.report.table import spread
from daframework.runs.rows import ORACLE
from daframework.storage.results import CONTENT_PRESERVATION, scores_to_json
from daframework.suites.bootstrap import Difference
from daframework.suites.comparison import MethodRow, TaskTable

NOTHING = "-"


@frozen
class Grid:
    """A table as text: a title, headings, a row of cells a method, which rows are best, and lines to stand under it.

    No text holds a line break or another control character, whatever classes are called and runs have printed.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[int]
    notes: tuple[str, ...]


def method_grid(table: TaskTable, notes: Sequence[str]) -> Grid:
    """A row a method: mIoU, differences, share of the gap, content preservation, minutes and images a second."""
    headings = ["method", "mIoU", "vs source_only"]
    if table.baseline is not None:
        headings.append(f"vs {table.baseline}")
    headings += ["gap closed", "content preservation", "minutes", "images/s"]
    rows = []
    for row in table.rows:
        cells = [row.method + (" †" if row.notes else ""), spread(row.miou), _signed(row.to_source_only)]
        if table.baseline is not None:
            cells.append(_difference(row))
        cells += [
            NOTHING if row.recovered is None else f"{_unsigned_zero(100 * row.recovered, 0):.0f} %",
            spread([one.row.preserved for one in row.seeds]),
            NOTHING if row.minutes is None else f"{row.minutes:.1f}",
            NOTHING if row.images_per_second is None else f"{row.images_per_second:.0f}",
        ]
        rows.append(tuple(cells))
    shown = tuple(map(visible, notes))
    return Grid(f"{table.task}: mIoU on the target's test set", tuple(headings), tuple(rows), _best(table), shown)


def class_grid(table: TaskTable) -> Grid:
    """A row a method, a column a class: IoU in percent, ``-`` where the class never occurs."""
    rows = [
        (row.method, *(spread([one.row.scores.iou[place] for one in row.seeds]) for place in range(len(table.classes))))
        for row in table.rows
    ]
    title = f"{table.task}: IoU on the target's test set"
    return Grid(title, ("method", *map(visible, table.classes)), tuple(rows), _best(table), ())


def _best(table: TaskTable) -> frozenset[int]:
    """The best methods: those of the highest mean, the oracle apart, which has seen the target's labels."""
    means = {place: row.mean for place, row in enumerate(table.rows) if row.mean is not None and row.method != ORACLE}
    return frozenset(place for place, mean in means.items() if mean == max(means.values()))


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{_unsigned_zero(100 * value, 1):+.1f}"


def _unsigned_zero(value: float, digits: int) -> float:
    """``value`` rounded, and what rounds to -0 as 0."""
    return round(value, digits) + 0.0


def _difference(row: MethodRow) -> str:
    if not isinstance(row.to_baseline, Difference):
        return _signed(row.to_baseline)
    low, high = row.to_baseline.interval.low, row.to_baseline.interval.high
    verdict = f" {row.verdict}" if row.verdict else ""
    return f"{_signed(row.to_baseline.estimate)} [{_signed(low)}, {_signed(high)}]{verdict}"


def render(grids: Sequence[Grid], form: str) -> Callable[[Console], None]:
    """How to print ``grids`` as ``"rich"``, ``"markdown"``, ``"csv"`` or ``"latex"``."""
    if form == "rich":
        return lambda console: console.print(*(_rich(grid, console.width) for grid in grids), sep="\n")
    text = "\n".join({"markdown": markdown, "csv": as_csv, "latex": latex}[form](grid) for grid in grids)
    return lambda console: console.out(text, highlight=False)


def _rich(grid: Grid, width: int) -> Group:
    tables = []
    for columns in _pieces(grid, width):
        table = Table()
        for column in columns:
            table.add_column(Text(grid.headings[column]), justify="right" if column else "left", overflow="fold")
        for place, row in enumerate(grid.rows):
            table.add_row(*(Text(row[column]) for column in columns), style="bold" if place in grid.best else None)
        tables.append(table)
    return Group(Text(f"{grid.title}, percent"), *tables, *(Text(note, style="dim") for note in grid.notes))


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


def markdown(grid: Grid) -> str:
    """A table for a README, notes below it."""
    lines = [
        f"{_md(grid.title)}, percent",
        "",
        f"| {' | '.join(map(_md, grid.headings))} |",
        f"| --- |{' ---: |' * (len(grid.headings) - 1)}",
    ]
    for place, row in enumerate(grid.rows):
        cells = [_md(text) for text in row]
        lines.append(f"| {' | '.join(f'**{text}**' if place in grid.best else text for text in cells)} |")
    return "\n".join([*lines, "", *(f"- {_md(note)}" for note in grid.notes), ""])


def _md(text: str) -> str:
    """Text that Markdown shows as it is; underscores inside a word, which mean nothing there, stay readable."""
    escaped = re.sub(r"[\\`*|~$]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def as_csv(grid: Grid) -> str:
    """Comma-separated values with a line of headings; no notes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([grid.headings, *grid.rows])
    return text.getvalue()


def latex(grid: Grid) -> str:
    """A booktabs table, notes below it as comments."""
    lines = [f"% {grid.title}, percent", rf"\begin{{tabular}}{{l{'r' * (len(grid.headings) - 1)}}}", r"\toprule"]
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


def as_json(tables: Sequence[TaskTable], notes: Sequence[Sequence[str]]) -> str:
    """Everything in the tables as numbers; fractions in [0, 1], null where there is nothing to measure."""
    content = [
        {
            "task": table.task,
            "classes": list(table.classes),
            "baseline": table.baseline,
            "rows": [_row_to_json(row, table.classes) for row in table.rows],
            "notes": list(lines),
        }
        for table, lines in zip(tables, notes, strict=True)
    ]
    return json.dumps({"tables": content}, indent=2, allow_nan=False) + "\n"


def _row_to_json(row: MethodRow, classes: Sequence[str]) -> dict[str, Any]:
    difference = row.to_baseline
    interval = [difference.interval.low, difference.interval.high] if isinstance(difference, Difference) else None
    return {
        "method": row.method,
        "mIoU": {
            "mean": row.mean,
            "standard_deviation": statistics.stdev(row.miou) if len(row.miou) > 1 else None,
        },
        "to_source_only": row.to_source_only,
        "to_baseline": difference.estimate if isinstance(difference, Difference) else difference,
        "to_baseline_interval": interval,
        "verdict": row.verdict or None,
        "gap_closed": row.recovered,
        "minutes": row.minutes,
        "images_per_second": row.images_per_second,
        "notes": list(row.notes),
        "seeds": [
            {"seed": one.seed}
            | scores_to_json(one.row.scores, classes)
            | {
                CONTENT_PRESERVATION: one.row.content_preservation
                and scores_to_json(one.row.content_preservation, classes),
                "seconds": one.results.seconds,
                "environment": one.results.environment,
            }
            for one in row.seeds
        ],
    }
