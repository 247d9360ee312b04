"""Arguments and options that several commands share."""

import click

recipe_argument = click.argument("recipe")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the recipe, as in --set translation.steps=10; the value is TOML. May be repeated.",
)
seed_option = click.option("--seed", type=int, help="The recipe's seed, instead of the one written in it.")
