"""A suite's tables as people get them: names are text, nothing is cut off, absent is ``-``, zero has no minus."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

from daframework.report.table import Grid, as_json, as_text, over_seeds, show
from daframework.suites.comparison import TaskTable
from daframework.suites.outcome import Bench, class_grids, method_grid

CLASSES = ("road", "[red]sky[/red]", "a|b_c & 10 % <i>", "\x1b[2Jwall\nnew")
SHOWN = ("road", "[red]sky[/red]", "a|b_c & 10 % <i>", r"\x1b[2Jwall\nnew")
SHARP = {"mIoU": 0.5, "pixel_accuracy": 0.9, "IoU": dict(zip(CLASSES, (0.5, 0.25, None, 0.0), strict=True))}


def row(method, *mious, preservation=None, mutual_information=(), **measured):
    told = {"semantic_preservation": preservation, "seconds": {"scoring": 1.5}, "environment": {"device": "cpu"}}
    seeds = [{"seed": seed} | SHARP | {"mIoU": miou} | told for seed, miou in enumerate(mious)]
    keys = "to_source_only to_baseline to_baseline_interval verdict gap_closed minutes images_per_second"
    found = {
        "method": method,
        "mIoU": over_seeds(mious),
        "mutual_information": over_seeds(mutual_information),
    } | dict.fromkeys(keys.split())
    return found | {"notes": [], "seeds": seeds} | measured


def interval(estimate, low, high, verdict=None):
    return {"to_baseline": estimate, "to_baseline_interval": [low, high], "verdict": verdict}


NOTES = ("base: seed 1: failed: \x1b[31mno |memory|", "[bold]made[/bold] by 100 % _hand_")
TABLE = TaskTable(
    "unet_1",
    CLASSES,
    "base",
    (
        row("oracle", 0.8, 0.7, to_source_only=0.5, **interval(0.3, 0.2, 0.4, "better")),
        row(
            "good_one",
            0.5,
            0.6,
            preservation=SHARP,
            mutual_information=(0.5, 0.6),
            to_source_only=0.3,
            **interval(0.1, 0.05, 0.1512, "better"),
            gap_closed=0.6,
            minutes=12.34,
            images_per_second=150.4,
        ),
        row(
            "base",
            0.45,
            mutual_information=(0.4,),
            to_source_only=-0.0004,
            gap_closed=-0.001,
            notes=["seed 1: failed: no memory"],
        ),
        row("source_only", 0.25, 0.25, **interval(-0.0002, -0.2, -0.0001, "worse")),
        row("none", notes=["seeds 0, 1: to run"]),
    ),
    NOTES,
)
NOTES_SHOWN = [r"base: seed 1: failed: \x1b[31mno |memory|", "[bold]made[/bold] by 100 % _hand_"]

METHODS = [
    ["oracle", "75.0 ± 7.1", "+50.0", "+30.0 [+20.0, +40.0] better", "-", "-", "-", "-", "-"],
    ["good_one", "55.0 ± 7.1", "+30.0", "+10.0 [+5.0, +15.1] better", "60 %", "50.0 ± 0.0", "1", "12.3", "150"],
    ["base †", "45.0", "+0.0", "-", "0 %", "-", "2", "-", "-"],
    ["source_only", "25.0 ± 0.0", "-", "+0.0 [-20.0, +0.0] worse", "-", "-", "-", "-", "-"],
    ["none †", "-", "-", "-", "-", "-", "-", "-", "-"],
]
HEADINGS = ["method", "mIoU", "vs source_only", "vs base", "gap closed", "content preservation", "pick", "minutes"]
HEADINGS += ["images/s"]
IOU = ["50.0 ± 0.0", "25.0 ± 0.0", "-", "0.0 ± 0.0"]


def printed(form, width=200, terminal=False):
    """What is printed of both tables."""
    out = io.StringIO()
    color = {"force_terminal": True, "color_system": "standard"} if terminal else {"color_system": None}
    show([method_grid(TABLE), *class_grids(TABLE)], form, Console(file=out, width=width, **color))
    return out.getvalue()


def boxed(text):
    lines = [line.replace("┃", "│").split("│") for line in text.splitlines()]
    return [[cell.strip() for cell in line[1:-1]] for line in lines if len(line) > 2]


def test_a_grid_holds_the_numbers_in_percent():
    grid = method_grid(TABLE)
    assert list(grid.headings) == HEADINGS and list(map(list, grid.rows)) == METHODS
    (by_class,) = class_grids(TABLE)
    assert by_class.headings == ("method", *SHOWN) and list(by_class.rows[1]) == ["good_one", *IOU]
    assert by_class.rows[4] == ("none", "-", "-", "-", "-")


def test_without_a_baseline_there_is_no_column_for_it():
    table = TaskTable("t", CLASSES, None, (row("a", 0.5),))
    assert list(method_grid(table).headings) == [one for one in HEADINGS if one != "vs base"]


def test_a_baseline_of_source_only_has_one_column_with_its_interval():
    found = row("a", 0.5, to_source_only=0.1, **interval(0.1, 0.05, 0.2, "better"))
    grid = method_grid(TaskTable("t", CLASSES, "source_only", (found,)))
    assert list(grid.headings) == [one for one in HEADINGS if one != "vs base"]
    assert grid.rows[0][2] == "+10.0 [+5.0, +20.0] better"


@pytest.mark.parametrize("value", [-0.0, -0.0004, 0.0004, 0.0])
def test_zero_never_has_a_minus(value):
    table = TaskTable("t", (), "b", (row("a", 0.5, to_source_only=value, gap_closed=value, to_baseline=value),))
    assert method_grid(table).rows[0][2:5] == ("+0.0", "+0.0", "0 %")
    table = TaskTable("t", (), "b", (row("a", 0.5, **interval(value, value, value)),))
    assert method_grid(table).rows[0][3].startswith("+0.0 [+0.0, +0.0]")


def test_the_best_is_the_highest_mean_that_has_not_seen_the_targets_labels():
    assert method_grid(TABLE).best == class_grids(TABLE)[0].best == {1}
    alike = TaskTable("t", (), None, (row("a", 0.5), row("b", 0.25, 0.75), row("c", 0.25)))
    assert method_grid(alike).best == {0, 1}
    assert method_grid(TaskTable("t", (), None, (row("oracle", 0.5), row("none")))).best == frozenset()


# --- for a terminal ---


def test_a_terminal_shows_names_as_text_and_only_the_best_in_bold():
    text = printed("rich")
    cells = boxed(text)
    assert cells[0] == HEADINGS and cells[1:6] == METHODS
    assert cells[6] == ["method", *SHOWN]
    assert all(note in text for note in NOTES_SHOWN) and "\x1b" not in text
    styled = [line for line in printed("rich", terminal=True).splitlines() if "\x1b[1m" in line and "┃" not in line]
    assert len(styled) == 2 and all("good_one" in line for line in styled)


def test_markup_in_a_cell_is_shown_as_text():
    out = io.StringIO()
    show([Grid("[b]t", ("[i]m",), (("[red]a[/red]",),), notes=("[u]n",))], console=Console(file=out))
    assert out.getvalue().startswith("[b]t\n") and out.getvalue().endswith("\n[u]n\n")
    assert boxed(out.getvalue()) == [["[i]m"], ["[red]a[/red]"]]


@pytest.mark.parametrize("width", [50, 60, 80, 100])
def test_a_narrow_terminal_shows_every_number_whole(width):
    text = printed("rich", width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    values = {cell for line in boxed(text) for cell in line}
    assert {cell for line in METHODS for cell in line} | {"50.0 ± 0.0", "25.0 ± 0.0"} <= values


def test_a_wide_table_is_not_cut_in_a_file(capsys):
    heads = tuple(f"class number {place}" for place in range(150))
    show([Grid("t", ("method", *heads), (("a", *["50.0 ± 26.5"] * 150),), notes=("note " * 100,))])
    text = capsys.readouterr().out
    assert [len(line) for line in boxed(text)] == [151, 151] and len(text.splitlines()) == 7


# --- for a README ---


def unescaped(text):
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")


def test_markdown_shows_names_as_text_and_the_best_in_bold():
    lines = printed("markdown").splitlines()
    table = [line for line in lines if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    assert [unescaped(cell) for cell in cells[0]] == HEADINGS
    assert cells[1] == ["---", *["---:"] * 8]
    assert [[unescaped(cell) for cell in line] for line in cells[2:7] if line != cells[3]] == [
        line for line in METHODS if line[0] != "good_one"
    ]
    assert cells[3] == [f"**{cell}**" for cell in METHODS[1]]
    assert [unescaped(cell) for cell in cells[7]] == ["method", *SHOWN]
    assert [unescaped(line[2:]) for line in lines if line.startswith("- ")] == NOTES_SHOWN


def test_markdown_escapes_what_would_be_markup_and_nothing_else():
    names = ("a|b", "*a*", "_a_", "a_b", "`a`", "<a>", "&lt;", "[a](b)", "~a~", "$a$", "a\\b", "[+0.1, +0.2]")
    shown = as_text([Grid("t", names, ())], "markdown").splitlines()[2]
    assert shown == (
        r"| a\|b | \*a\* | \_a\_ | a_b | \`a\` | &lt;a> | &amp;lt; | [a]\(b) | \~a\~ | \$a\$ | a\\b | [+0.1, +0.2] |"
    )


# --- for a spreadsheet ---


def test_csv_is_read_as_it_was_written():
    found = list(csv.reader(io.StringIO(as_text([method_grid(TABLE)], "csv"))))
    assert found == [HEADINGS, *METHODS]
    (head, *lines) = csv.reader(io.StringIO(as_text(class_grids(TABLE), "csv")))
    assert head == ["method", *SHOWN] and lines[1] == ["good_one", *IOU]
    odd = Grid("t", ('say "a, b"',), (("x\\y",),))
    assert list(csv.reader(io.StringIO(as_text([odd], "csv")))) == [['say "a, b"'], ["x\\y"]]


# --- for a paper ---


def test_latex_escapes_names_and_sets_the_best_in_bold():
    lines = printed("latex").splitlines()
    assert lines[:3] == [
        "% unet_1: mIoU on the target's test set, percent",
        r"\begin{tabular}{lrrrrrrrr}",
        r"\toprule",
    ]
    assert lines[3].startswith(r"method & mIoU & vs source\_only & vs base & ") and lines[3].endswith(r"images/s \\")
    assert lines[6].startswith(r"\textbf{good\_one} & \textbf{55.0 $\pm$ 7.1} & \textbf{+30.0} & ")
    assert r"\textbf{60 \%}" in lines[6] and lines[7].startswith(r"base \textdagger{} & 45.0 & ")
    assert [line for line in lines if r"\textbf" in line and r"\textbf{good\_one}" not in line] == []
    assert rf"% {NOTES_SHOWN[0]}" in lines
    heading = r"method & road & [red]sky[/red] & a\textbar{}b\_c \& 10 \% \textless{}i\textgreater{} & "
    assert heading + r"\textbackslash{}x1b[2Jwall\textbackslash{}nnew \\" in lines


def test_latex_leaves_no_special_character_alone():
    text = as_text([Grid("t", tuple(r"\~^&%$#_{}<>|"), ())], "latex").splitlines()[3]
    bare = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}", "", text.removesuffix(r" \\").replace(" & ", ""))
    assert bare == ""


# --- for a program ---


def test_json_holds_fractions_and_null_where_there_is_nothing(tmp_path):
    made = Bench(tmp_path, (TABLE,), {})
    (table,) = json.loads(made.text("json"))["tables"]
    assert (table["task"], table["classes"], table["baseline"]) == ("unet_1", list(CLASSES), "base")
    assert table["notes"] == list(NOTES) and table["rows"] == list(TABLE.rows)
    assert made.rows[1] == {"task": "unet_1"} | table["rows"][1]
    assert table["rows"][1]["mIoU"] == {"mean": pytest.approx(0.55), "standard_deviation": pytest.approx(0.0707107)}
    assert table["rows"][2]["mIoU"] == {"mean": 0.45, "standard_deviation": None}
    assert table["rows"][4]["mIoU"] == {"mean": None, "standard_deviation": None}
    assert str(made) == made.text() == as_text([method_grid(TABLE)], "markdown")
    assert made.text("csv", per_class=True).startswith("method,road,")


def test_json_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"minutes": float("nan")})
