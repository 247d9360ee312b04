"""``daf translate``."""

import sys
from pathlib import Path

import click


@click.command("translate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
def command(run: Path, images: Path, out: Path, overwrite: bool) -> None:
    """Translate every image below the folder IMAGES into OUT with the generator trained in the folder RUN.

    Images may have any size; names and sub-folders are kept.
    """
    from rich.console import Console

    from daframework.adapt.translate import translate_folder
    from daframework.cli.display import Display
    from daframework.cli.interrupt import stop_on_signal
    from daframework.registry import load_plugins
    from daframework.run.folder import RunFolder, read_recipe
    from daframework.run.stages import load_generator, make_fabric
    from daframework.session import Session, StoppedError

    folder = RunFolder(run)
    recipe = read_recipe(folder)
    fabric = make_fabric(recipe)
    generator = load_generator(load_plugins(), recipe, folder, fabric)
    try:
        with stop_on_signal() as stopping, Display(Console()) as display:
            count = translate_folder(Session(fabric, display, stopping), generator, images, out, overwrite=overwrite)
    except StoppedError as stopped:
        click.echo(f"{stopped}; add --overwrite to begin again", err=True)
        sys.exit(130)
    click.echo(f"{count} images in {out}")
