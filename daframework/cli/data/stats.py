"""``daf data stats``."""

import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from daframework.cli.data.options import Request, json_option, request_arguments, workers_option, write_json
from daframework.cli.data.progress import FileProgress
from daframework.cli.interrupt import stop_on_signal
from daframework.cli.options import PATH, installed_plugins
from daframework.errors import DataError, visible
from daframework.registry import Plugins

if TYPE_CHECKING:
    from daframework.cli.data.parts import DomainPart
    from daframework.data.frequencies import ClassShare, Occurrence

    Tables = Mapping[str, Mapping[str, ClassShare]]


@click.command("stats")
@request_arguments
@workers_option
@click.option("--images", type=click.IntRange(min=1), default=2000, show_default=True, help="Images to read of each.")
@click.option("--target-labels", is_flag=True, help="Read the labels of the target's training images, not of its test.")
@click.option("--plot", type=PATH, metavar="STEM", help="Draw STEM.png and STEM.svg.")
@json_option
def command(
    request: Request, workers: int | None, images: int, target_labels: bool, plot: Path | None, json_to: str | None
) -> None:
    """Show how often each class occurs in RECIPE's source and target, or in the dataset NAME in the folder ROOT.

    Of the target, the labels of the test set are counted: those of its training images are for nobody to see who adapts
    to it, unless --target-labels asks for them. Of one dataset, its training images are counted.
    """
    from daframework.report.table import make_console

    written = [] if plot is None else [plot.with_name(f"{plot.name}.{ending}") for ending in ("png", "svg")]
    request.refuse_existing(*written, json_to)
    progress = FileProgress(make_console(stderr=json_to == "-"))
    progress.say(f"counting classes of {request}")
    counted: dict[str, tuple[DomainPart, Occurrence]] = {}
    plugins = installed_plugins()
    # Importing torch, as this does, takes seconds: something is to be seen before.
    from daframework.data.frequencies import class_shares
    from daframework.report.figures import class_shares_figure, save_figure

    with stop_on_signal() as stopping, progress:
        for part in _parts(plugins, request, target_labels, progress):
            found = _count(part, images, workers, progress, stopping)
            if stopping():
                progress.say(f"stopped after {0 if found is None else found.images:,} images of {part.title}")
                sys.exit(stopping.exit_code)
            if found is not None:
                counted[part.title] = (part, found)
    tables = {title: class_shares(part.dataset.classes, found) for title, (part, found) in counted.items()}
    _print(tables, counted, progress)
    if plot is not None:
        pixels = {title: {name: share.pixels for name, share in table.items()} for title, table in tables.items()}
        save_figure(class_shares_figure(pixels, f"{request.what}: how often classes occur"), plot.parent, plot.name)
        progress.say(f"drawn in {written[0]} and {written[1]}")
    if json_to is not None:
        _write_json(json_to, tables, counted)


def _parts(plugins: Plugins, request: Request, target_labels: bool, progress: FileProgress) -> "list[DomainPart]":
    from daframework.cli.data.parts import open_parts

    parts = open_parts(plugins, request, ["train"])
    if len(parts) == 1:  # of a dataset
        return parts
    source, target, *tests = parts
    if target_labels:
        return [source, target]
    what = "the labels of its test set" if tests else "has no test set, so that only the source is shown"
    progress.say(f"target: {what}; --target-labels counts the labels of its training images")
    return [source, *tests]


def _count(
    part: "DomainPart", images: int, workers: int | None, progress: FileProgress, stopping: "Callable[[], bool]"
) -> "Occurrence | None":
    """Count classes in images spread over the set; None, and a word on it, where a target has no labels."""
    from daframework.cli.data.parts import no_labels
    from daframework.data.frequencies import occurrence
    from daframework.data.spread import evenly_spread

    if reason := no_labels(part.dataset):
        if part.domain != "target":
            raise DataError(f"{part.title}: no classes can be counted without labels: {reason}")
        progress.say(f"{part.title}: its labels cannot be read, so that only the source is shown: {reason}", "warning")
        return None
    indices = evenly_spread(len(part.dataset), images)
    progress.begin(part.title, len(indices))
    found = None
    for found in occurrence(part.dataset, indices, workers=workers, stopping=stopping):
        progress.advance(found.images)
    return found


def _ratios(tables: "Tables") -> dict[str, float | None]:
    """Of the shares of pixels in two sets, by class; nothing where there is but one."""
    from daframework.data.frequencies import pixel_ratio

    if len(tables) != 2:
        return {}
    first, second = tables.values()
    return {name: pixel_ratio(first.get(name), second.get(name)) for name in {**first, **second}}


def _print(tables: "Tables", counted: "Mapping[str, tuple[DomainPart, Occurrence]]", progress: FileProgress) -> None:
    table = Table("class", box=box.SIMPLE)
    for title, (_, found) in counted.items():
        table.add_column(f"{title}\npercent of pixels", justify="right")
        table.add_column(f"\nof {found.images:,} images", justify="right")
    ratios = _ratios(tables)
    if ratios:
        table.add_column("ratio\nof pixels", justify="right")
    names: Iterable[str] = ratios or chain.from_iterable(tables.values())
    for name in names:
        cells: list[str] = []
        for shares in tables.values():
            cells += [f"{100 * share:.2f}" if share else "-" for share in shares.get(name, (0.0, 0.0))]
        if ratios:
            times = ratios[name]
            cells.append("-" if times is None else f"{times:.2f}")
        table.add_row(Text(visible(name)), *cells)
    progress.console.print(table)


def _write_json(json_to: str, tables: "Tables", counted: "Mapping[str, tuple[DomainPart, Occurrence]]") -> None:
    content: dict[str, Any] = {"sets": []}
    for title, (part, found) in counted.items():
        shares = {name: share._asdict() for name, share in tables[title].items()}
        content["sets"].append({"set": title, "images": found.images, "of": len(part.dataset), "shares": shares})
    if ratios := _ratios(tables):
        content["ratio"] = ratios
    write_json(json_to, content)
