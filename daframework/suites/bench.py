"""A suite from its name to its tables: what ``daf bench`` and `daframework.bench` do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from daframework.build import make_task
from daframework.cores import asked_threads, given_cores
from daframework.errors import DataError, RunError, needing, warn
from daframework.recipes.read import Overrides, locate
from daframework.registry import Plugins, each
from daframework.report.table import Record
from daframework.runs.context import checked
from daframework.runs.datasets import open_datasets
from daframework.storage.files import write_text
from daframework.storage.lock import held
from daframework.suites.bench_folder import TABLE
from daframework.suites.bench_view import QUIET, BenchView
from daframework.suites.checks import check_cells
from daframework.suites.comparison import TaskTable, task_table
from daframework.suites.drawings import draw_scores, draw_sheet
from daframework.suites.estimate import left_by_cell
from daframework.suites.outcome import Bench
from daframework.suites.plan import Plan, make_plan
from daframework.suites.processes import choose_slots, run_cells
from daframework.suites.status import State, Statuses, status
from daframework.suites.suite import read_suite
from daframework.suites.work import Executor


def open_suite(
    plugins: Plugins,
    suite: str,
    *,
    out: Path | None = None,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
    overrides: Overrides = (),
) -> Plan:
    """The runs of a suite, a file or the name of one that a plugin offers; in ``bench/<name>`` unless ``out``.

    Raises:
        RecipeError: with every problem found.
    """
    path = locate(plugins, suite, "daf_suites")
    loaded = read_suite(path, overrides)
    return make_plan(plugins, loaded, path, out or Path("bench") / loaded.name, seeds=seeds, only=only)


def statuses(plan: Plan) -> Statuses:
    """How far each run is, by its name."""
    return {cell.name: status(cell) for cell in plan.cells}


def finish(
    plugins: Plugins,
    plan: Plan,
    *,
    jobs: int | None = None,
    on: str | None = None,
    console: Console = QUIET,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """Run what is missing, each run in a process of its own; why each that failed did, by its name.

    ``jobs`` go on at a time, on this machine or, where ``on`` is "ray" or "ray:HOST:PORT", on the nodes of a cluster.
    They are shown on ``console``.

    Raises:
        DafError: a recipe is wrong, data is missing, or the folder is in use.
        StoppedError: the user asked to stop; the runs have saved what they had.
    """
    found = statuses(plan)
    todo = [cell for cell in plan.cells if found[cell.name].state in (State.MISSING, State.STARTED)]
    if not todo:
        return {}
    for missing in check_cells(plugins, plan, todo):
        raise DataError(missing)
    done = sum(one.state is State.DONE for one in found.values())
    names = [cell.name for cell in todo]
    with (
        held(plan.out),
        open_executor(on, jobs) as executor,
        BenchView(console, names, done, lambda: left_by_cell(plan, statuses(plan)), executor.places) as view,
    ):
        return run_cells(plan, todo, executor, view, stopping)


@contextmanager
def open_executor(on: str | None, jobs: int | None) -> Iterator[Executor]:
    """Where runs are carried out, ``jobs`` at a time: here, or ``on`` a Ray cluster, "ray" or "ray:HOST:PORT".

    Raises:
        RunError: there is no such cluster, or Ray is not installed; or ``jobs`` is less than 1.
    """
    if jobs is not None and jobs < 1:
        raise RunError(f"jobs must be 1 or more, got {jobs}")
    if on is None:
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        yield choose_slots(jobs, gpus, given_cores(), asked_threads())
        return
    with needing("--on ray needs Ray", extra="ray"):
        from daframework.suites.cluster import ray_cluster
    with ray_cluster(on.partition(":")[2] or None, jobs) as cluster:
        yield cluster


def compare(plugins: Plugins, plan: Plan, failures: Mapping[str, str]) -> Bench:
    """The tables of the runs that are finished, left in the suite's folder too, with figures; plugins are told.

    ``failures`` say why runs failed, by their names.

    Raises:
        RunError: no run is finished, one's files are damaged, or there are too few test images for intervals.
    """
    found = statuses(plan)
    tables = tuple(_table(plugins, plan, task, found, failures) for task in plan.tasks)
    made = Bench(plan.out, tables, dict(failures))
    if not any(row["seeds"] for row in made.rows):
        raise RunError("\n".join([f"{plan.out} holds no finished run of suite '{plan.name}'", *_reasons(made.rows)]))
    write_text(plan.out / TABLE, made.text("json"))
    write_text(plan.out / "table.md", made.text(per_class=True))
    for table in tables:
        draw_scores(plan, table)
    recipe = plan.cells[0].recipe
    try:
        draw_sheet(plan, found, checked(recipe, open_datasets(plugins, recipe).source))
    except DataError as error:
        warn(f"no sheet of images: {error}")
    for _ in each(plugins, "daf_bench", folder=plan.out):
        pass  # each is called in its turn, and gives nothing
    return made


def _reasons(rows: Sequence[Record]) -> list[str]:
    """Each note of the rows once, after the methods that it is about."""
    methods: dict[str, dict[str, None]] = {}
    for row in rows:
        for note in row["notes"]:
            methods.setdefault(note, {})[row["method"]] = None
    return [f"{', '.join(of)}: {note}" for note, of in methods.items()]


def _table(plugins: Plugins, plan: Plan, task: str, found: Statuses, failures: Mapping[str, str]) -> TaskTable:
    cells = [cell for cell in plan.cells if cell.task == task]
    classes = next((results.classes for cell in cells if (results := found[cell.name].results)), ())
    built = make_task(plugins, cells[0].recipe, len(classes)) if classes else None
    try:
        return task_table(plan, task, found, failures, built)
    except ValueError as error:
        raise RunError(f"no intervals for task '{task}': {error}; --set bootstrap=0 makes the table without") from error
