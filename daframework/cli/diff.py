"""``daf diff``."""

from pathlib import Path

import click

from daframework.cli.options import PATH
from daframework.storage.run_folder import RunFolder


@click.command("diff")
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--json", "as_data", is_flag=True, help="Print JSON: for each part and key both values.")
def command(first: Path, second: Path, as_data: bool) -> None:
    """Show what differs between the runs in two folders: recipes, where they ran (versions and commit too), results."""
    from daframework.report.differences import difference_grids, differences
    from daframework.report.table import as_json, show

    found = differences(first, second)
    if as_data:
        click.echo(as_json(found), nl=False)
        return
    if any(found.values()):
        show(difference_grids(found, (first, second)))
    else:
        click.echo("nothing differs")
    for folder in (first, second):
        if not RunFolder(folder).results.exists():
            click.echo(f"{folder} is not finished: it has no results yet")
