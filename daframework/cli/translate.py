"""``daf translate``."""

import sys
from pathlib import Path

import click


@click.command("translate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
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
    from rich.console import Console

    from daframework.adapt.translate import translate_folder
    from daframework.cli.display import Display
    from daframework.cli.failures import Failures
    from daframework.cli.interrupt import stop_on_signal
    from daframework.cli.options import installed_plugins
    from daframework.compute.memory import is_out_of_memory
    from daframework.compute.session import Session, StoppedError
    from daframework.data.scaling import scaling_of
    from daframework.errors import RunError
    from daframework.runs.precision import open_device
    from daframework.runs.translation import load_generator
    from daframework.storage.run_folder import RunFolder, read_recipe

    folder = RunFolder(run)
    recipe, plugins = read_recipe(folder, as_written=True), installed_plugins()
    failures = Failures()
    try:
        with stop_on_signal() as stopping, Display(Console()) as display:
            session = Session(open_device(plugins, recipe)[0], display, stopping)
            generator = load_generator(session, plugins, recipe, folder)
            count = translate_folder(
                session,
                generator,
                images,
                out,
                overwrite=overwrite,
                seed=recipe.seed,
                tile=tile,
                scaling=scaling_of(recipe.source.options),
                failed=failures,
            )
    except StoppedError as stopped:
        click.echo(f"{stopped}; add --overwrite to begin again", err=True)
        sys.exit(stopping.exit_code)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        at = "; ".join(getattr(error, "__notes__", ())) or str(images)
        tiles = "in tiles: --tile 512 512" if tile is None else f"in smaller tiles than --tile {tile[0]} {tile[1]}"
        raise RunError(f"{at}: out of memory; translate {tiles}") from error
    failures.end(count, f"images in {out}")
