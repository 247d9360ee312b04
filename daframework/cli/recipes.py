"""``daf recipes``."""

import click

from daframework.cli.options import complete_offered, installed_plugins
from daframework.recipes.read import locate, offered_files, read_toml


@click.command("recipes")
@click.argument("name", required=False, shell_complete=complete_offered)
def command(name: str | None) -> None:
    """List the recipes that plugins offer, or print the one called NAME."""
    plugins = installed_plugins()
    if name is not None:
        click.echo(read_toml(locate(plugins, name)), nl=False)
        return
    offered = offered_files(plugins)
    width = max((len(stem) for stem, _, _ in offered), default=0)
    for stem, file, _ in offered:
        first = read_toml(file).partition("\n")[0]
        click.echo(f"{stem:{width}}  {first.removeprefix('#').strip() if first.startswith('#') else ''}")
