"""``daf run``."""

import sys
from pathlib import Path

import click

from daframework.cli.options import installed_plugins, recipe_argument, seed_option, set_option


@click.command("run")
@recipe_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The run's folder; runs/<name>/seed<seed> unless given.",
)
@set_option
@seed_option
@click.option("--until-stdin-closes", "supervised", is_flag=True, hidden=True, help="End with the process that asked.")
def command(recipe: str, out: Path | None, overrides: tuple[str, ...], seed: int | None, supervised: bool) -> None:
    """Run RECIPE: train, translate, score, and print the table.

    RECIPE is a file, or the name of a recipe that a plugin offers (see daf recipes). The same command again goes on
    where the last one stopped.
    """
    from rich.console import Console

    from daframework.cli.display import Display
    from daframework.cli.interrupt import end_with_stdin, stop_on_signal
    from daframework.errors import DataError
    from daframework.recipe import locate, read
    from daframework.report.table import class_table, results_table
    from daframework.run.check import check
    from daframework.run.folder import open_folder
    from daframework.run.log import RunLog
    from daframework.run.stages import execute, make_fabric
    from daframework.session import Session, StoppedError

    if supervised:
        end_with_stdin()
    console = Console()
    plugins = installed_plugins()
    path = locate(plugins, recipe)
    loaded = read(path, overrides, seed=seed)
    for missing in check(plugins, loaded, str(path)):
        raise DataError(missing)
    folder = open_folder(out or Path("runs") / loaded.name / f"seed{loaded.seed}", loaded)
    click.echo(f"recipe {path}, seed {loaded.seed}, into {folder.path}")
    try:
        with stop_on_signal() as stopping, Display(console) as display:
            log = RunLog(folder.log, plugins, display)
            results = execute(Session(make_fabric(loaded), log, stopping), plugins, loaded, folder)
    except StoppedError as stopped:
        click.echo(f"{stopped}; the same command goes on from there", err=True)
        sys.exit(130)
    console.print(class_table([results]), results_table([results]))
    if not loaded.downstream.score:
        click.echo("nothing was scored, as downstream.score = false asks; daf predict uses the models")
    click.echo(f"results in {folder.results}")
    if folder.samples.exists():
        click.echo(f"sample images in {folder.samples}")
