"""``daf translate``."""

from pathlib import Path

import click

from daframework.cli.options import PATH
from daframework.storage.completion import complete_runs


@click.command("translate")
@click.argument("run", type=PATH, shell_complete=complete_runs)
@click.argument("images", type=PATH)
@click.argument("out", type=PATH)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    nargs=2,
    metavar="HEIGHT WIDTH",
    help="Translate larger images in blended tiles of this size: where memory does not allow the whole.",
)
def command(run: Path, images: Path, out: Path, overwrite: bool, tile: tuple[int, int] | None) -> None:
    """Translate every image below the folder IMAGES into OUT with the generator trained in the folder RUN.

    Images may have any size; names and sub-folders are kept.
    """
    from functools import partial

    from daframework import api
    from daframework.cli.over_images import over_images

    work = partial(api.open(run).translate_folder, images, out, overwrite=overwrite, tile=tile)
    tiles = "in tiles: --tile 512 512" if tile is None else f"in smaller tiles than --tile {tile[0]} {tile[1]}"
    over_images(images, f"images in {out}", f"translate {tiles}", work)
