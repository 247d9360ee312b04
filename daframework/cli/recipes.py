"""``daf recipes``."""

import click

from daframework.cli.options import complete_offered, echo_json, echo_named, installed_plugins, json_option
from daframework.recipes.read import locate, offered_files, read_tables, read_toml


@click.command("recipes")
@click.argument("name", required=False, shell_complete=complete_offered)
@json_option
def command(name: str | None, as_data: bool) -> None:
    """List the recipes that plugins offer, or print the one called NAME."""
    plugins = installed_plugins()
    if name is not None and as_data:
        echo_json(read_tables(locate(plugins, name)))
        return
    if name is not None:
        click.echo(read_toml(locate(plugins, name)), nl=False)
        return
    offered = [(stem, _first_comment(read_toml(file)), file, origin) for stem, file, origin in offered_files(plugins)]
    if as_data:
        keys = ("name", "description", "file", "plugin")
        echo_json([dict(zip(keys, map(str, one), strict=True)) for one in offered])
        return
    echo_named((stem, comment) for stem, comment, *_ in offered)


def _first_comment(text: str) -> str:
    first = text.partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
