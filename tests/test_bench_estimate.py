"""How long a suite will take, what ``--dry-run`` says of it, and what is shown while it runs."""

import io
import re

import pytest
from conftest import TABLES
from rich.console import Console
from tiny_suite import RECIPES, finish, plan_of, write_suite

from daframework.storage.results import Results
from daframework.storage.run_folder import open_folder
from daframework.suites.bench_view import BenchView
from daframework.suites.estimate import duration, left_by_cell
from daframework.suites.status import State, Status

TIMES = {
    0: "0 s",
    0.4: "0 s",
    40: "40 s",
    89.4: "89 s",
    90: "2 min",
    720: "12 min",
    89.4 * 60: "89 min",
    90 * 60: "1 h 30 min",
    11_100: "3 h 05 min",
    100 * 3600 + 59: "100 h 01 min",
}


@pytest.mark.parametrize("seconds, says", TIMES.items())
def test_a_duration_is_said_as_people_say_it(seconds, says):
    assert duration(seconds) == says


# --- what is left ---


@pytest.fixture
def plan(plugins, tmp_path):
    """Two tasks, two seeds, methods that train a translation (one, other), that do not (coloured)."""
    files = RECIPES | {"other.toml": TABLES | {"name": "other"}}
    return plan_of(plugins, tmp_path, files, seeds=[0, 1])


def left(plan, measured):
    """What is estimated where the runs named have taken these seconds by stage and the others are missing."""
    found = {cell.name: Status(State.MISSING) for cell in plan.cells}
    for name, seconds in measured.items():
        found[name] = Status(State.DONE, Results("r", 0, (), (), seconds, {}))
    return left_by_cell(plan, found)


def test_where_nothing_was_measured_nothing_is_known(plan):
    assert left(plan, {}) == dict.fromkeys((cell.name for cell in plan.cells), None)


def test_a_run_takes_as_long_as_those_of_its_method_and_task(plan):
    known = left(plan, {"narrow/coloured/seed0": {"training on coloured": 30.0}})
    assert known["narrow/coloured/seed1"] == 30.0 and "narrow/coloured/seed0" not in known
    # In another task too, until that has been measured; and so does what trains no translation either.
    assert known["wide/coloured/seed0"] == known["narrow/source_only/seed0"] == 30.0
    assert known["narrow/one/seed0"] is None
    known = left(plan, {"narrow/coloured/seed0": {"scoring": 30.0}, "narrow/source_only/seed0": {"scoring": 60.0}})
    assert (known["wide/coloured/seed0"], known["wide/source_only/seed0"]) == (30.0, 60.0)
    nearer = left(
        plan,
        {
            "narrow/coloured/seed0": {"training on coloured": 30.0},
            "wide/coloured/seed0": {"training on coloured": 50.0, "scoring": 1.0},
        },
    )
    assert nearer["wide/coloured/seed1"] == 51.0 and nearer["narrow/coloured/seed1"] == 30.0
    assert nearer["narrow/source_only/seed0"] == 40.5


def test_what_tasks_share_counts_in_the_first_one_alone(plan):
    spent = {"translation": 100.0, "translating": 10.0, "training on one": 7.0, "scoring": 1.0}
    known = left(plan, {"narrow/one/seed0": spent})
    assert (known["narrow/one/seed1"], known["wide/one/seed0"], known["wide/one/seed1"]) == (118.0, 8.0, 8.0)
    assert (known["narrow/other/seed0"], known["wide/other/seed0"]) == (118.0, 8.0)
    assert known["narrow/coloured/seed0"] is None
    # The second task's run was handed the translation's seconds with its images.
    known = left(plan, {"narrow/one/seed0": spent, "wide/one/seed0": spent | {"training on one": 20.0}})
    assert (known["narrow/one/seed1"], known["wide/one/seed1"]) == (118.0, 21.0)
    assert left(plan, {"wide/one/seed0": spent})["narrow/one/seed0"] is None


def test_a_started_run_needs_what_is_left(plan):
    spent = {"translation": 100.0, "training on one": 10.0}
    found = {cell.name: Status(State.MISSING) for cell in plan.cells}
    found["narrow/one/seed0"] = Status(State.DONE, Results("r", 0, (), (), spent, {}))
    for name, seconds in (("narrow/one/seed1", '{"translation": 70}'), ("wide/one/seed0", '{"translation": 100}')):
        cell = next(cell for cell in plan.cells if cell.name == name)
        open_folder(cell.folder.path, cell.recipe).seconds.write_text(seconds)
        found[name] = Status(State.STARTED)
    assert left_by_cell(plan, found)["narrow/one/seed1"] == 40.0
    assert left_by_cell(plan, found)["wide/one/seed0"] == 10.0  # what it was handed was none of its own time
    cell.folder.seconds.write_text('{"training on one": 30}')
    assert left_by_cell(plan, found)["wide/one/seed0"] == 0.0
    cell.folder.seconds.write_text("{")
    assert left_by_cell(plan, found)["wide/one/seed0"] == 10.0


def test_what_will_not_be_run_takes_no_time(plan):
    found = {cell.name: Status(State.FOREIGN) for cell in plan.cells}
    assert left_by_cell(plan, found) == {}


# --- what is said ---


def test_a_dry_run_names_every_run_and_what_is_left_and_runs_nothing(daf, plugins, tmp_path, session):
    path, out = write_suite(tmp_path), tmp_path / "bench"
    plan = plan_of(plugins, tmp_path)
    code, text, errors = daf("bench", path, "--out", out, "--dry-run")
    assert (code, errors) == (0, f"suite {path}, into {out}\n")
    assert text.splitlines() == [
        "narrow/source_only/seed0  to run",
        "wide/source_only/seed0    to run",
        "narrow/one/seed0          to run",
        "narrow/coloured/seed0     to run",
        "wide/one/seed0            to run",
        "wide/coloured/seed0       to run",
        "6 of 6 runs to do, never measured here",
    ]
    assert not out.exists()
    cells = {cell.name: cell for cell in plan.cells}
    for name in ("narrow/source_only/seed0", "narrow/one/seed0", "wide/one/seed0"):
        finish(plugins, plan, cells[name], session)
    cells["narrow/one/seed0"].folder.results.write_text("{")
    other = cells["wide/coloured/seed0"]
    open_folder(other.folder.path, plan_of(plugins, tmp_path, seeds=[7]).cells[-1].recipe)
    before = sorted(out.rglob("*"))
    code, text, _ = daf("bench", path, "--out", out, "--dry-run")
    lines = text.splitlines()
    assert code == 0 and lines[0] == "narrow/source_only/seed0  done"
    assert re.fullmatch(r"wide/source_only/seed0    to run, about \d+ s", lines[1])
    assert lines[2].startswith("narrow/one/seed0          to go on with") and "(results.json is damaged" in lines[2]
    assert lines[5] == "wide/coloured/seed0       of another recipe (seed was 7, now 0)"
    assert lines[6].startswith("3 of 6 runs to do, ") and sorted(out.rglob("*")) == before


class Told:
    """What a view is told is left."""

    def __init__(self, plan, seconds):
        self.left = dict.fromkeys((cell.name for cell in plan.cells), seconds)


def test_the_view_counts_runs_and_shows_what_they_say_as_text(plan):
    out = io.StringIO()
    first, second, third = plan.cells[:3]
    told = Told(plan, None)
    with BenchView(
        Console(file=out, width=200), [first.name, second.name, third.name], 9, lambda: told.left, jobs=2
    ) as view:
        view.started(first)
        view.started(second)
        view.says(second, "step [red]3[/red]")
        told.left = dict.fromkeys(told.left, 600.0) | {first.name: 0.0}
        view.ended(first, 125.0, None)
        view.ended(second, 3.0, "no \x1b[31mmemory[/red]")
        view.started(third)
    assert out.getvalue().splitlines() == [
        f"{first.name}: begins",
        f"{second.name}: begins",
        # Of three runs one is done: two of ten minutes are left, two at a time.
        f"{first.name}: done in 2 min; 10 of 12 runs done, 1 running, 1 left, about 10 min left",
        rf"{second.name}: failed after 3 s: no \x1b[31mmemory[/red]; "
        "10 of 12 runs done, 0 running, 1 left, 1 failed, about 5 min left",
        f"{third.name}: begins",
    ]


def test_the_live_view_shows_each_running_run_and_its_last_line(plan):
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    told = Told(plan, None)
    with BenchView(console, [cell.name for cell in plan.cells], 0, lambda: told.left, jobs=2) as view:
        view.started(plan.cells[0])
        view.says(plan.cells[0], "translation 3/4 \x1b[2J[red]")
        view.says(plan.cells[1], "is not running")
    text = out.getvalue()
    assert r"translation 3/4 \x1b[2J[red]" in text and "is not running" not in text and "\x1b[2J" not in text
    assert "0 of 16 runs done, 1 running, 15 left, time left not known yet" in text
