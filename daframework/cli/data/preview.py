"""``daf data preview``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

from daframework.cli.data.options import Request, request_arguments
from daframework.cli.options import PATH, installed_plugins
from daframework.errors import visible
from daframework.registry import Plugins

if TYPE_CHECKING:
    from daframework.cli.data.parts import DomainPart
    from daframework.report.sheets import Tile

_DARK = (50, 50, 50)
_SIDE = 480  # pixels: the longer side of an image on the sheet, more than its place has


@click.command("preview")
@request_arguments
@click.option("--count", type=click.IntRange(1, 200), default=8, show_default=True, help="Images of each set.")
@click.option("--out", type=PATH, metavar="FILE.png", help="preview_<name>.png unless given.")
def command(request: Request, count: int, out: Path | None) -> None:
    """Draw a sheet of images spread over RECIPE's domains, or over both splits of the dataset NAME in the folder ROOT.

    Labels lie over the images in their classes' colours, and what is ignored is dark; labels of another type, if
    RECIPE's task learns them, are pictures beside. The target's training images are shown without labels.
    """
    file = out or Path(f"preview_{Path(request.what).stem}.png")
    if file.suffix.lower() != ".png":
        raise click.BadParameter(f"the sheet is a PNG file, got '{file}'", param_hint="--out")
    request.refuse_existing(file)

    from daframework.report.figures import save_figure
    from daframework.report.sheets import contact_sheet

    parts = _parts(installed_plugins(), request)
    sections, legend = {}, dict[str, tuple[int, int, int]]()
    for part in parts:
        labels = "" if part.types_read else ", without labels"
        sections[f"{part.title}: {len(part.dataset):,} images{labels}"] = _tiles(part, count)
        if any(one.of_classes for one in part.types_read):
            legend |= dict(zip(part.dataset.classes, part.dataset.palette, strict=True))
            legend.setdefault("ignored", _DARK)
    save_figure(contact_sheet(sections, legend, request.what), file.parent, file.stem, endings=[file.suffix[1:]])
    click.echo(f"sheet in {file}")


def _parts(plugins: Plugins, request: Request) -> "list[DomainPart]":
    from daframework.cli.data.parts import no_labels, open_parts
    from daframework.data.checks.duplicates import same_files

    parts = open_parts(plugins, request)
    if parts[0].domain == parts[1].domain and same_files(parts[0].dataset, parts[1].dataset):  # of a dataset
        parts = parts[:1]
    parts = [evolve(part, labelled=(part.domain, part.split) != ("target", "train")) for part in parts]
    for place, part in enumerate(parts):
        if part.labelled and (reason := no_labels(part.dataset, part.types)):
            unknown = {*part.dataset.labels} - {one.name for one in part.types}
            hint = "; give a recipe whose task learns what it has" if unknown else ""
            click.echo(f"warning: {part.title}: shown without labels: {visible(reason)}{hint}", err=True)
            parts[place] = evolve(part, labelled=False)
    return parts


def _tiles(part: "DomainPart", count: int) -> "list[Tile]":
    from daframework.data.checked import check_sample, labels_of, resize_image
    from daframework.data.spread import evenly_spread
    from daframework.interfaces import IGNORE_INDEX
    from daframework.report.sheets import Tile, overlaid

    tiles = []
    for index in evenly_spread(len(part.dataset), count):
        sample = part.dataset[index] if part.labelled else part.dataset.unlabelled(index)
        check_sample(sample, len(part.dataset.classes), part.types_read)
        pictures = {sample.name: sample.image}
        for one, label in zip(part.types_read, labels_of(sample, part.types_read), strict=True):
            try:
                shown = one.render(label[None], part.dataset.palette)[0]
            except TypeError:  # it has no picture
                continue
            if one.of_classes:
                pictures[sample.name] = overlaid(sample.image, shown, label, IGNORE_INDEX)
            else:
                pictures[f"{sample.name}: {one.name}"] = shown
        for name, picture in pictures.items():
            scale = min(1.0, _SIDE / max(picture.shape[1:]))
            size = [max(1, round(side * scale)) for side in picture.shape[1:]]
            tiles.append(Tile(name, resize_image(picture, size)))
    return tiles
