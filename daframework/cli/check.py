"""``daf check``."""

import gc

import click

from daframework.cli.options import installed_plugins, read_recipe, recipe_argument, seed_option, set_option
from daframework.errors import visible, warn


@click.command("check")
@recipe_argument
@set_option
@seed_option
def command(recipe: str, overrides: tuple[str, ...], seed: int | None) -> None:
    """Check RECIPE without computing anything: every key, every component, the first step of every stage.

    Networks are tried at the recipe's batch and crop and at the sizes of the whole images that they will be given.
    Data that is not there is a warning here, and an error of daf run.
    """
    # Importing torch and timm makes a million objects, and all of them stay. To go through them again and again, and
    # once more when Python exits, would take a quarter of this command's time.
    gc.disable()
    from daframework.runs.check import check

    plugins = installed_plugins()
    path, loaded = read_recipe(plugins, recipe, overrides, seed)
    for line in check(plugins, loaded, str(path)):
        warn(line)
    click.echo(visible(f"{path}: {loaded.name} is sound"))
    gc.freeze()
    gc.enable()
