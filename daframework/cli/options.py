"""What several commands share: arguments, options, and the plugins with a word on those that are broken."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from attrs import asdict
from click.shell_completion import CompletionItem

from daframework.errors import DafError, RecipeError, visible, warn
from daframework.recipes.read import dump, flat, locate, offered_files, read, read_tables
from daframework.recipes.tables import Recipe
from daframework.registry import KINDS, Component, Plugins, components, load_plugins


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no garbage is collected: importing torch and timm makes a million objects, and all of them stay.

    To go through them again and again takes a fifth of a command's time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def complete_offered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: the recipes or suites that plugins offer, by what the parameter is called; else the user's files."""
    hook = "daf_suites" if parameter.name == "suite" else "daf_recipes"
    names = [name for name, _, _ in offered_files(load_plugins(), hook) if name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *map(CompletionItem, sorted(names))]


def complete_keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: the keys of the recipe that stands before in the command, also those that it leaves as they are."""
    try:
        recipe = context.params.get("recipe") or context.args[0]  # where --set still lacks its value
        tables = dump(read(locate(load_plugins(), recipe)))
    except (DafError, IndexError):  # there is none, or not yet
        return []
    return [CompletionItem(f"{key}=") for key in flat(tables) if key.startswith(incomplete)]


def complete_components(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: every component, as KIND:NAME. That takes torch's seconds, since plugins import what they name."""
    plugins = load_plugins()
    names = [f"{kind}:{name}" for kind in KINDS for name in components(plugins, kind)]
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


PATH = click.Path(path_type=Path)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_keys,
    help="Set one key of the recipe, as in --set translation.steps=10; the value is TOML. May be repeated.",
)
FORMATS = ("rich", "markdown", "csv", "json", "latex")
json_option = click.option("--json", "as_data", is_flag=True, help="Print JSON, for a script.")


def format_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options ``--format``, as ``form``, and ``--json``, which is one of them."""
    command = click.option("--json", "form", flag_value="json", help="Print JSON, for a script.")(command)
    forms = click.Choice(FORMATS)
    return click.option("--format", "form", type=forms, default="rich", help="How to print the tables.")(command)


def recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` what `read_recipe` reads: the argument RECIPE, and the options ``--set`` and ``--seed``."""
    command = click.option("--seed", type=int, help="The recipe's seed, instead of the one written in it.")(command)
    return click.argument("recipe", shell_complete=complete_offered)(set_option(command))


def echo_json(content: Any) -> None:
    """Print ``content`` as every command with ``--json`` does."""
    from daframework.report.table import as_json

    click.echo(as_json(content), nl=False)


def echo_named(texts: Iterable[tuple[str, str]]) -> None:
    """Print each text behind its name, all of them in one column."""
    named = list(texts)
    width = max((len(name) for name, _ in named), default=0)
    for name, text in named:
        click.echo(visible(f"{name:{width}}  {text}"))


def listed(component: Component) -> dict[str, Any]:
    """A component for a script: its kind and name, and where it comes from."""
    return {"kind": component.kind, "name": component.name} | asdict(component.origin)


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
