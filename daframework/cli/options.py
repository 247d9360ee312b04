"""What several commands share: arguments, options, and the plugins with a word on those that are broken."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from daframework.errors import warn

if TYPE_CHECKING:
    from daframework.recipes.tables import Recipe
    from daframework.registry import Plugins


def complete_offered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: the recipes or suites that plugins offer, by what the parameter is called; else the user's files."""
    from daframework.recipes.read import offered_files
    from daframework.registry import load_plugins

    hook = "daf_suites" if parameter.name == "suite" else "daf_recipes"
    names = [name for name, _, _ in offered_files(load_plugins(), hook) if name.startswith(incomplete)]
    return [*map(CompletionItem, sorted(names)), CompletionItem(incomplete, type="file")]


recipe_argument = click.argument("recipe", shell_complete=complete_offered)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the recipe, as in --set translation.steps=10; the value is TOML. May be repeated.",
)
FORMATS = ("rich", "markdown", "csv", "json", "latex")
format_option = click.option(
    "--format", "form", type=click.Choice(FORMATS), default="rich", help="How to print the tables."
)
seed_option = click.option("--seed", type=int, help="The recipe's seed, instead of the one written in it.")


def installed_plugins() -> "Plugins":
    """The plugins of this installation; what the user should know of one is a warning, now or when it is used."""
    from daframework.registry import load_plugins

    return load_plugins(warn=warn)


def read_recipe(plugins: "Plugins", recipe: str, overrides: tuple[str, ...], seed: int | None) -> "tuple[Path, Recipe]":
    """The file meant by ``recipe``, and what is in it.

    Raises:
        RecipeError: with everything that is wrong with its keys and, if that is anything, with its components too.
    """
    from daframework.errors import RecipeError
    from daframework.recipes.read import locate, read, read_tables

    path = locate(plugins, recipe)
    try:
        return path, read(path, overrides, seed=seed)
    except RecipeError as error:
        tables = read_tables(path, overrides)  # which raises the same where there are none
        from daframework.build import component_problems  # which takes torch's seconds to import

        problems = [f"{path}: {line}" for line in component_problems(plugins, tables)]
        raise RecipeError([*error.problems, *problems]) from error
