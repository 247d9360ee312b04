"""What several commands share: arguments, options, and the plugins with a word on those that are broken."""

from typing import TYPE_CHECKING

import click

from daframework.errors import warn

if TYPE_CHECKING:
    from daframework.registry import Plugins

recipe_argument = click.argument("recipe")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the recipe, as in --set translation.steps=10; the value is TOML. May be repeated.",
)
seed_option = click.option("--seed", type=int, help="The recipe's seed, instead of the one written in it.")


def installed_plugins() -> "Plugins":
    """The plugins of this installation; what the user should know of one is a warning, now or when it is used."""
    from daframework.registry import load_plugins

    return load_plugins(warn=warn)
