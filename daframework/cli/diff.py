"""``daf diff``."""

from pathlib import Path

import click

from daframework.cli.options import PATH, echo_json, json_option
from daframework.storage.completion import complete_runs
from daframework.storage.run_folder import RunFolder


@click.command("diff")
@click.argument("first", type=PATH, shell_complete=complete_runs)
@click.argument("second", type=PATH, shell_complete=complete_runs)
@json_option
def command(first: Path, second: Path, as_data: bool) -> None:
    """Show what differs between the runs in two folders: recipes, where they ran (versions and commit too), results."""
    from daframework.report.differences import difference_grids, differences
    from daframework.report.table import show

    found = differences(first, second)
    if as_data:
        echo_json(found)
        return
    if any(found.values()):
        show(difference_grids(found, (first, second)))
    else:
        click.echo("nothing differs")
    for folder in (first, second):
        if not RunFolder(folder).results.exists():
            click.echo(f"{folder} is not finished: it has no results yet")
