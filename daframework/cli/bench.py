"""``daf bench``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daframework.cli.options import installed_plugins, set_option

if TYPE_CHECKING:
    from rich.console import Console

    from daframework.registry import Plugins
    from daframework.suites.comparison import TaskTable
    from daframework.suites.plan import Plan
    from daframework.suites.processes import Executor
    from daframework.suites.status import Status

_UNCUT = 10_000
FORMATS = ("rich", "markdown", "csv", "json", "latex")


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and len(part) <= 10 for part in parts) or len(set(map(int, parts))) < len(parts):
        raise click.BadParameter("must be different whole numbers with commas between them, as in 0,1,2")
    return [int(part) for part in parts]


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(parts):
        raise click.BadParameter("must be names with commas between them, as in fda,cyclegan")
    return parts


def _place(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and value.partition(":")[0] != "ray":
        raise click.BadParameter(f"must be ray, or ray:HOST:PORT for the cluster at that address, not {value}")
    return value


@click.command("bench")
@click.argument("suite")
@click.option("--seeds", callback=_numbers, metavar="N,N,...", help="Seeds to run, instead of the suite's.")
@click.option("--only", callback=_names, metavar="METHOD,...", help="These methods, beside source_only and oracle.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="rich", help="How to print the tables.")
@click.option("--per-class", is_flag=True, help="Print the IoU of every class too.")
@click.option("--out", type=click.Path(path_type=Path), help="The suite's folder; bench/<name> unless given.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Runs at a time; one a GPU, or one a core up to 8, unless given."
)
@click.option("--on", callback=_place, metavar="ray[:ADDRESS]", help="Run on the nodes of a Ray cluster, not here.")
@click.option("--dry-run", is_flag=True, help="Check every recipe, tell what would run and how long it will take.")
@click.option("--collect", is_flag=True, help="Make the tables of what is there, and run nothing.")
@set_option
def command(
    suite: str,
    seeds: list[int] | None,
    only: list[str] | None,
    form: str,
    per_class: bool,
    out: Path | None,
    jobs: int | None,
    on: str | None,
    dry_run: bool,
    collect: bool,
    overrides: tuple[str, ...],
) -> None:
    """Run SUITE: what is missing of its recipes, seeds and tasks, each in a process of its own, then print its tables.

    SUITE is a file, or the name of a suite that a plugin offers. The same command again goes on where the last one
    stopped. Tables and figures are left in the suite's folder too.
    """
    from rich.console import Console

    from daframework.errors import RunError
    from daframework.recipes.read import locate
    from daframework.suites.plan import make_plan
    from daframework.suites.status import status
    from daframework.suites.suite import read_suite

    plugins = installed_plugins()
    path = locate(plugins, suite, "daf_suites")
    loaded = read_suite(path, overrides)
    plan = make_plan(plugins, loaded, path, out or Path("bench") / loaded.name, seeds=seeds, only=only)
    # The tables alone go to standard output, so that they can be piped.
    console = Console(stderr=True)
    click.echo(f"suite {path}, into {plan.out}", err=True)
    if dry_run:
        _tell(plugins, plan)
        return
    failures = {} if collect else _run(plugins, plan, jobs, on, console)
    found = {cell.name: status(cell) for cell in plan.cells}
    _report(plugins, plan, found, failures, form, per_class, console)
    if failures:
        raise RunError(
            f"{len(failures)} of {len(plan.cells)} runs failed ({', '.join(failures)}); "
            f"their logs are in {plan.out / 'logs'}"
        )


def _tell(plugins: "Plugins", plan: "Plan") -> None:
    """What would be done, and how long it would take."""
    from daframework.errors import warn
    from daframework.suites.checks import check_cells
    from daframework.suites.estimate import duration, left_by_cell
    from daframework.suites.status import status

    for line in check_cells(plugins, plan, plan.cells):
        warn(line)
    found = {cell.name: status(cell) for cell in plan.cells}
    left = left_by_cell(plan, found)
    width = max(len(name) for name in found)
    for name, one in found.items():
        seconds = left.get(name)
        about = f", about {duration(seconds)}" if seconds is not None else ""
        click.echo(f"{name:{width}}  {one.state.value}{about}{f' ({one.problem})' if one.problem else ''}")
    known = [seconds for seconds in left.values() if seconds is not None]
    total = f"about {duration(sum(known))} one after another" if len(known) == len(left) else "never measured here"
    click.echo(f"{len(left)} of {len(found)} runs to do, {total}")


def _run(plugins: "Plugins", plan: "Plan", jobs: int | None, on: str | None, console: "Console") -> dict[str, str]:
    """Run what is missing; why each run that failed did, by its name."""
    from daframework.compute.session import StoppedError
    from daframework.errors import DataError
    from daframework.suites.estimate import left_by_cell
    from daframework.suites.status import State, status

    found = {cell.name: status(cell) for cell in plan.cells}
    todo = [cell for cell in plan.cells if found[cell.name].state in (State.MISSING, State.STARTED)]
    if not todo:
        return {}

    from daframework.cli.bench_view import BenchView
    from daframework.cli.interrupt import stop_on_signal
    from daframework.storage.lock import held
    from daframework.suites.checks import check_cells
    from daframework.suites.processes import run_cells

    for missing in check_cells(plugins, plan, todo):
        raise DataError(missing)

    def left() -> dict[str, float | None]:
        return left_by_cell(plan, {cell.name: status(cell) for cell in plan.cells})

    done = sum(one.state is State.DONE for one in found.values())
    try:
        with (
            held(plan.out),
            _executor(on, jobs) as executor,
            stop_on_signal() as stopping,
            BenchView(console, todo, done, left, executor.places) as view,
        ):
            return run_cells(plan, todo, executor, view, stopping)
    except StoppedError as stopped:
        click.echo(f"{stopped}; the same command goes on from there", err=True)
        sys.exit(stopping.exit_code)


@contextmanager
def _executor(on: str | None, jobs: int | None) -> "Iterator[Executor]":
    """Where runs are carried out: this machine, or the Ray cluster that ``on`` names."""
    if on is not None:
        from daframework.suites.cluster import ray_cluster

        with ray_cluster(on.partition(":")[2] or None, jobs) as cluster:
            yield cluster
        return

    import os

    import torch

    from daframework.suites.processes import choose_slots

    yield choose_slots(jobs, torch.cuda.device_count() if torch.cuda.is_available() else 0, os.cpu_count() or 1)


def _report(
    plugins: "Plugins",
    plan: "Plan",
    found: "dict[str, Status]",
    failures: dict[str, str],
    form: str,
    per_class: bool,
    console: "Console",
) -> None:
    """Print the tables, and leave them and the figures in the suite's folder."""
    from rich.console import Console

    from daframework.errors import RunError
    from daframework.storage.files import write_text
    from daframework.suites.facts import facts
    from daframework.suites.formats import as_json, class_grid, markdown, method_grid, render

    tables = [_table(plugins, plan, task, found, failures) for task in plan.tasks]
    if not any(row.seeds for table in tables for row in table.rows):
        raise RunError("\n".join([f"{plan.out} holds no finished run of suite '{plan.name}'", *_reasons(tables)]))
    notes = [facts(plan, table) for table in tables]
    grids = [method_grid(table, lines) for table, lines in zip(tables, notes, strict=True)]
    by_class = [class_grid(table) for table in tables]
    content = as_json(tables, notes)
    write_text(plan.out / "table.json", content)
    write_text(plan.out / "table.md", "\n".join(markdown(grid) for grid in (*grids, *by_class)))
    _draw(plugins, plan, found, tables)
    if form == "json":
        click.echo(content, nl=False)
    else:
        # A file or a pipe has no width of its own to cut a table to.
        width = None if sys.stdout.isatty() else _UNCUT
        render([*by_class, *grids] if per_class else grids, form)(Console(width=width))
    console.print(f"tables and figures in {plan.out}", markup=False, highlight=False, soft_wrap=True)


def _reasons(tables: "list[TaskTable]") -> list[str]:
    """Each note of the rows once, after the methods that it is about."""
    methods: dict[str, dict[str, None]] = {}
    for table in tables:
        for row in table.rows:
            for note in row.notes:
                methods.setdefault(note, {})[row.method] = None
    return [f"{', '.join(of)}: {note}" for note, of in methods.items()]


def _table(
    plugins: "Plugins", plan: "Plan", task: str, found: "dict[str, Status]", failures: dict[str, str]
) -> "TaskTable":
    from daframework.build import make_task
    from daframework.errors import RunError
    from daframework.suites.comparison import task_table

    cells = [cell for cell in plan.cells if cell.task == task]
    classes = next((results.classes for cell in cells if (results := found[cell.name].results)), ())
    built = make_task(plugins, cells[0].recipe, len(classes)) if classes else None
    try:
        return task_table(plan, task, found, failures, built)
    except ValueError as error:
        raise RunError(f"no intervals for task '{task}': {error}; --set bootstrap=0 makes the table without") from error


def _draw(plugins: "Plugins", plan: "Plan", found: "dict[str, Status]", tables: "list[TaskTable]") -> None:
    from daframework.errors import DataError, warn
    from daframework.runs.context import checked
    from daframework.runs.datasets import open_datasets
    from daframework.suites.drawings import draw_scores, draw_sheet

    for table in tables:
        draw_scores(plan, table)
    recipe = plan.cells[0].recipe
    try:
        draw_sheet(plan, found, checked(recipe, open_datasets(plugins, recipe).source))
    except DataError as error:
        warn(f"no sheet of images: {error}")
