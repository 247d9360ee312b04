"""``daf data cache``."""

import time
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table
from rich.text import Text

from daframework.cli.display import Display
from daframework.cli.interrupt import stop_on_signal
from daframework.cli.options import installed_plugins, set_option
from daframework.errors import visible
from daframework.recipes.read import locate, read
from daframework.recipes.tables import Recipe

if TYPE_CHECKING:
    from daframework.cli.data.parts import DomainPart
    from daframework.data.cache.layout import Listing


@click.command("cache")
@click.argument("recipe", required=False)
@set_option
@click.option("--list", "listing", is_flag=True, help="List the caches on this machine; no RECIPE.")
@click.option("--clear", is_flag=True, help="Delete the caches of RECIPE's domains, or all of them without RECIPE.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
def command(recipe: str | None, overrides: tuple[str, ...], listing: bool, clear: bool, yes: bool) -> None:
    """Build the cache of decoded images of RECIPE's domains, or list or delete what was built.

    A run of a recipe with data.cache = true builds what it needs by itself. Caches lie in the folder that the
    environment variable DAF_CACHE names, or in ~/.cache/daframework.
    """
    if listing + clear > 1 or (listing and recipe is not None):
        raise click.UsageError("--list and --clear exclude each other, and --list takes no RECIPE")
    if yes and not clear:
        raise click.UsageError("--yes goes with --clear")
    if not listing and not clear and recipe is None:
        raise click.UsageError("name a RECIPE to build its cache, or say --list or --clear")
    if listing:
        _list()
        return
    loaded, parts = (None, []) if recipe is None else _open(recipe, overrides)
    if clear:
        _clear(loaded, parts, yes=yes)
    elif loaded is not None:
        _build(loaded, parts)


def _open(recipe: str, overrides: tuple[str, ...]) -> "tuple[Recipe, list[DomainPart]]":
    from daframework.cli.data.parts import open_all

    plugins = installed_plugins()
    loaded = read(locate(plugins, recipe), overrides)
    return loaded, open_all(plugins, loaded)


def _build(recipe: Recipe, parts: "list[DomainPart]") -> None:
    from lightning_fabric import Fabric

    from daframework.compute.session import Session
    from daframework.data.cache.layout import gigabytes
    from daframework.data.cache.open import open_cached
    from daframework.data.parallel import default_workers
    from daframework.report.table import make_console
    from daframework.runs.context import set_title

    console, table = make_console(), Table("set", "images", "labels", "size", "seconds", "folders", box=box.SIMPLE)
    resize, workers = recipe.data.resize, recipe.hardware.workers or default_workers()
    with stop_on_signal("the same command goes on from there") as stopping, Display(console) as display:
        session = Session(Fabric(accelerator="cpu", devices=1), display, stopping)
        for part in parts:
            start, name = time.monotonic(), set_title(recipe, part.domain, part.split)
            found = open_cached(session, part.dataset, name=name, resize=resize, workers=workers, types=part.types_read)
            seconds, stored = f"{time.monotonic() - start:.1f}", found.stored if found is not None else []
            size = gigabytes(sum(one.size for one in stored)) if stored else "not cached"
            folders = "\n".join(str(one.part.folder) for one in stored)
            labels = f"{len(part.dataset):,}" if part.labelled else "not read"
            table.add_row(Text(name), f"{len(part.dataset):,}", labels, size, seconds, Text(folders))
    console.print(table)


def _list() -> None:
    from daframework.data.cache.layout import cache_root, gigabytes, list_caches
    from daframework.report.table import make_console

    found = list_caches()
    if found:
        table = Table("set", "holds", "height x width", "size", "last used", "folder", box=box.SIMPLE)
        for one in found:
            resize = "its own" if one.resize is None else " x ".join(map(str, one.resize))
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
            holds = f"{'' if one.stored == one.count else f'{one.stored:,} of '}{one.count:,} {one.kind}"
            table.add_row(Text(visible(one.dataset)), holds, resize, gigabytes(one.size), used, Text(one.folder.name))
        make_console().print(table)
    click.echo(f"{_total(found)} in {cache_root()}")


def _total(found: "list[Listing]") -> str:
    from daframework.data.cache.layout import gigabytes

    return f"{len(found)} cache{'s' * (len(found) != 1)}, {gigabytes(sum(one.size for one in found))},"


def _clear(recipe: "Recipe | None", parts: "list[DomainPart]", *, yes: bool) -> None:
    from daframework.data.cache.layout import cache_root, list_caches, remove_cache
    from daframework.data.cache.open import find_parts

    found = list_caches()
    if recipe is not None:
        kept = [find_parts(part.dataset, recipe.data.resize, part.types_read) or [] for part in parts]
        folders = {one.folder for several in kept for one in several}
        found = [one for one in found if one.folder in folders]
    if not found:
        click.echo(f"no cache to delete in {cache_root()}")
        return
    if not yes:
        click.confirm(f"Delete {_total(found)} in {cache_root()}?", abort=True)
    for one in found:
        remove_cache(one.folder)
    click.echo(f"deleted {_total(found)} in {cache_root()}")
