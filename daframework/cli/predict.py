"""``daf predict``."""

from pathlib import Path

import click

from daframework.cli.options import PATH
from daframework.storage.completion import complete_rows, complete_runs

WRITTEN = ("index", "id", "colour")


@click.command("predict")
@click.argument("run", type=PATH, shell_complete=complete_runs)
@click.argument("images", type=PATH)
@click.argument("out", type=PATH)
@click.option("--row", shell_complete=complete_rows, help="The row of the model; the recipe's own unless given.")
@click.option(
    "--write",
    "kind",
    type=click.Choice(WRITTEN),
    default="index",
    help="Class indices (train ids, of cityscapes19), the label space's ids, as official servers want, or colours.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
def command(run: Path, images: Path, out: Path, row: str | None, kind: str, overwrite: bool) -> None:
    """Segment every image below the folder IMAGES with a model trained in the folder RUN; write PNG files into OUT.

    Images may have any size; names and sub-folders are kept, and a prediction has its image's size. A task of other
    labels than classes, such as depth, writes numbers as .npy, or a picture with --write colour.
    """
    from functools import partial

    from daframework import api
    from daframework.cli.over_images import over_images

    work = partial(api.open(run).predict_folder, images, out, row=row, write=kind, overwrite=overwrite)
    smaller = "predict smaller images, or on a machine with more memory"
    over_images(images, f"predictions in {out}", smaller, work)
