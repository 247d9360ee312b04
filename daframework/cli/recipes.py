"""``daf recipes``."""

from pathlib import Path

import click


@click.command("recipes")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes that plugins offer, or print the one called NAME."""
    from daframework.cli.options import installed_plugins
    from daframework.recipe import locate, offered_files

    plugins = installed_plugins()
    if name is not None:
        click.echo(locate(plugins, name).read_text(encoding="utf-8"), nl=False)
        return
    offered = offered_files(plugins)
    width = max((len(stem) for stem, _, _ in offered), default=0)
    for stem, file, _ in offered:
        click.echo(f"{stem:{width}}  {_first_comment(file)}")


def _first_comment(file: Path) -> str:
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
