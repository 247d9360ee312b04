"""``daf run``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daframework.cli.options import installed_plugins, recipe_argument, seed_option, set_option

if TYPE_CHECKING:
    from rich.console import Console

    from daframework.run.profile import ProfilingLog


@click.command("run")
@recipe_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The run's folder; runs/<name>/seed<seed> unless given.",
)
@set_option
@seed_option
@click.option(
    "--profile", is_flag=True, help="Show where the time of a training step goes; traces go to profile/ in the folder."
)
@click.option("--until-stdin-closes", "supervised", is_flag=True, hidden=True, help="End with the process that asked.")
def command(
    recipe: str, out: Path | None, overrides: tuple[str, ...], seed: int | None, profile: bool, supervised: bool
) -> None:
    """Run RECIPE: train, translate, score, and print the table.

    RECIPE is a file, or the name of a recipe that a plugin offers (see daf recipes). The same command again goes on
    where the last one stopped.
    """
    from contextlib import ExitStack

    from rich.console import Console

    from daframework.cli.display import Display
    from daframework.cli.interrupt import end_with_stdin, stop_on_signal
    from daframework.errors import DataError
    from daframework.recipe import locate, read
    from daframework.report.table import class_table, results_table
    from daframework.run.check import check
    from daframework.run.folder import find_folder, open_folder
    from daframework.run.hardware import open_device
    from daframework.run.lock import held
    from daframework.run.log import RunLog
    from daframework.run.profile import ProfilingLog
    from daframework.run.stages import execute
    from daframework.session import Log, Session, StoppedError

    if supervised:
        end_with_stdin()
    console = Console()
    plugins = installed_plugins()
    path = locate(plugins, recipe)
    loaded = read(path, overrides, seed=seed)
    for missing in check(plugins, loaded, str(path)):
        raise DataError(missing)
    folder = find_folder(out or Path("runs") / loaded.name / f"seed{loaded.seed}", loaded)
    click.echo(f"recipe {path}, seed {loaded.seed}, into {folder.path}")
    finished, profiler = folder.results.exists(), None
    try:
        with ExitStack() as stack:
            stack.enter_context(held(folder.path))
            open_folder(folder.path, loaded)
            stopping = stack.enter_context(stop_on_signal())
            log: Log = RunLog(folder.log, plugins, stack.enter_context(Display(console)))
            fabric, formats = open_device(plugins, loaded, folder)
            click.echo(str(formats))
            if profile:
                log = profiler = stack.enter_context(ProfilingLog(log, folder.path / "profile", fabric.device))
            results = execute(Session(fabric, log, stopping, stopping.saving), plugins, loaded, folder, formats)
    except StoppedError as stopped:
        if profiler is not None and profiler.profiles:
            _show(console, profiler, finished=finished)
        click.echo(f"{stopped}; the same command goes on from there", err=True)
        sys.exit(stopping.exit_code)
    console.print(class_table([results]), results_table([results]))
    if not loaded.downstream.score:
        click.echo("nothing was scored, as downstream.score = false asks; daf predict uses the models")
    click.echo(f"results in {folder.results}")
    if folder.samples.exists():
        click.echo(f"sample images in {folder.samples}")
    if profiler is not None:
        _show(console, profiler, finished=finished)


def _show(console: "Console", profiler: "ProfilingLog", *, finished: bool) -> None:
    """Print where the time went, and keep these tables beside the traces."""
    from io import StringIO

    from rich.console import Console

    from daframework.report.step_table import step_tables
    from daframework.run.files import write_text

    if not profiler.profiles:
        why = "this run was finished before" if finished else "no stage had two training steps left to do"
        click.echo(f"nothing to profile: {why}; give another folder with --out")
        return
    tables, page = step_tables(profiler.profiles), StringIO()
    console.print(tables)
    Console(file=page, width=100).print(tables)
    write_text(profiler.folder / "tables.txt", page.getvalue())
    click.echo(f"these tables and traces in {profiler.folder}; open a trace at ui.perfetto.dev or chrome://tracing")
