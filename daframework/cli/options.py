"""What several commands share: arguments, options, and the plugins with a word on those that are broken."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from daframework.errors import RecipeError, warn
from daframework.recipes.read import locate, offered_files, read, read_tables
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, load_plugins


def complete_offered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: the recipes or suites that plugins offer, by what the parameter is called; else the user's files."""
    hook = "daf_suites" if parameter.name == "suite" else "daf_recipes"
    names = [name for name, _, _ in offered_files(load_plugins(), hook) if name.startswith(incomplete)]
    return [*map(CompletionItem, sorted(names)), CompletionItem(incomplete, type="file")]


PATH = click.Path(path_type=Path)
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


def installed_plugins() -> Plugins:
    """The plugins of this installation; what the user should know of one is a warning, now or when it is used."""
    return load_plugins(warn=warn)


def read_recipe(plugins: Plugins, recipe: str, overrides: tuple[str, ...], seed: int | None) -> tuple[Path, Recipe]:
    """The file meant by ``recipe``, and what is in it.

    Raises:
        RecipeError: with everything that is wrong with its keys and, if that is anything, with its components too.
    """
    path = locate(plugins, recipe)
    try:
        return path, read(path, overrides, seed=seed)
    except RecipeError as error:
        tables = read_tables(path, overrides)  # which raises the same where there are none
        from daframework.build import component_problems  # which takes torch's seconds to import

        problems = [f"{path}: {line}" for line in component_problems(plugins, tables)]
        raise RecipeError([*error.problems, *problems]) from error
