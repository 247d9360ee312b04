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
    from daframework.run.stages import make_fabric
    from daframework.run.translation import load_generator
    from daframework.session import Session, StoppedError

    folder = RunFolder(run)
    recipe = read_recipe(folder)
    try:
        with stop_on_signal() as stopping, Display(Console()) as display:
            session = Session(make_fabric(recipe), display, stopping)
            generator = load_generator(session, load_plugins(), recipe, folder)
            count = translate_folder(session, generator, images, out, overwrite=overwrite, seed=recipe.seed)
    except StoppedError as stopped:
        click.echo(f"{stopped}; add --overwrite to begin again", err=True)
        sys.exit(130)
    click.echo(f"{count} images in {out}")
