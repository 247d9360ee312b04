"""``daf bench``."""

from pathlib import Path

import click

from daframework.cli.options import PATH, complete_offered, echo_named, format_option, installed_plugins, set_option
from daframework.errors import RunError, warn
from daframework.registry import Plugins
from daframework.suites.bench_folder import LOGS
from daframework.suites.plan import Plan


def _parts(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    """What stands between commas; an option that is given twice asks for both, and not for the last alone."""
    return [part.strip() for one in value for part in one.split(",")] or None


def _numbers(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[int] | None:
    parts = _parts(context, parameter, value) or []
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) <= 10]
    if len(set(numbers)) < len(parts):
        raise click.BadParameter("must be different whole numbers with commas between them, as in 0,1,2")
    return numbers or None


def _place(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and value.partition(":")[0] != "ray":
        raise click.BadParameter(f"must be ray, or ray:HOST:PORT for the cluster at that address, not {value}")
    return value


jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), help="Runs at a time; one a GPU, or one a core up to 8, unless given."
)
on_option = click.option("--on", callback=_place, metavar="ray[:ADDRESS]", help="Run on a Ray cluster, not here.")


@click.command("bench")
@click.argument("suite", shell_complete=complete_offered)
@click.option("--seeds", multiple=True, callback=_numbers, metavar="N,N,...", help="Seeds, instead of the suite's.")
@click.option(
    "--only", multiple=True, callback=_parts, metavar="METHOD,...", help="These methods, beside source_only and oracle."
)
@format_option
@click.option("--per-class", is_flag=True, help="Print the IoU of every class too.")
@click.option("--out", type=PATH, help="The suite's folder; bench/<name> unless given.")
@jobs_option
@on_option
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
    from daframework.cli.interrupt import stop_on_signal
    from daframework.report.table import make_console, show
    from daframework.storage.run_folder import RunFolder
    from daframework.suites.bench import compare, finish, open_suite

    plugins = installed_plugins()
    plan = open_suite(plugins, suite, out=out, seeds=seeds, only=only, overrides=overrides)
    # The tables alone go to standard output, so that they can be piped.
    console = make_console(stderr=True)
    click.echo(f"suite {plan.file}, into {plan.out}", err=True)
    if dry_run:
        _tell(plugins, plan)
        return
    failures: dict[str, str] = {}
    if not collect:
        with stop_on_signal("the same command goes on from there") as stopping:
            failures = finish(plugins, plan, jobs=jobs, on=on, console=console, stopping=stopping)
    made = compare(plugins, plan, failures)
    if form == "json":
        click.echo(made.text("json"), nl=False)
    else:
        show(made.grids(per_class=per_class), form)
    left = "tables, figures and report.html" if RunFolder(plan.out).report.exists() else "tables and figures"
    console.print(f"{left} in {plan.out}", markup=False, highlight=False, soft_wrap=True)
    if failures:
        logs = plan.out / LOGS
        raise RunError(f"{len(failures)} of {len(plan.cells)} runs failed ({', '.join(failures)}); logs are in {logs}")


def _tell(plugins: Plugins, plan: Plan) -> None:
    """What would be done, and how long it would take."""
    from daframework.suites.bench import statuses
    from daframework.suites.checks import check_cells
    from daframework.suites.estimate import duration, left_by_cell

    for line in check_cells(plugins, plan, plan.cells):
        warn(line)
    found = statuses(plan)
    left = left_by_cell(plan, found)
    lines = []
    for name, one in found.items():
        about = "" if (seconds := left.get(name)) is None else f", about {duration(seconds)}"
        lines.append((name, f"{one.state.value}{about}{f' ({one.problem})' if one.problem else ''}"))
    echo_named(lines)
    known = [seconds for seconds in left.values() if seconds is not None]
    total = f"about {duration(sum(known))} one after another" if len(known) == len(left) else "never measured here"
    click.echo(f"{len(left)} of {len(found)} runs to do, {total}")
