"""``daf check``."""

import click

from daframework.cli.options import installed_plugins, read_recipe, recipe_options, uncollected
from daframework.errors import visible, warn


@click.command("check")
@recipe_options
def command(recipe: str, overrides: tuple[str, ...], seed: int | None) -> None:
    """Check RECIPE without computing anything: every key, every component, the first step of every stage.

    Networks are tried at the recipe's batch and crop and at the sizes of the whole images that they will be given.
    Data that is not there is a warning here, and an error of daf run.
    """
    with uncollected():
        from daframework.runs.check import check

        plugins = installed_plugins()
        path, loaded = read_recipe(plugins, recipe, overrides, seed)
        for line in check(plugins, loaded, str(path)):
            warn(line)
    click.echo(visible(f"{path}: {loaded.name} is sound"))
