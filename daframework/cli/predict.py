"""``daf predict``."""

import sys
from pathlib import Path

import click

WRITTEN = ("index", "id", "colour")


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--row", help="Whose model: a row of the run's table; the recipe's own unless given.")
@click.option(
    "--write",
    "kind",
    type=click.Choice(WRITTEN),
    default="index",
    help="Class indices (for cityscapes19 these are the train ids), the label space's ids, as official servers want "
    "them, or colours.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
def command(run: Path, images: Path, out: Path, row: str | None, kind: str, overwrite: bool) -> None:
    """Segment every image below the folder IMAGES with a model trained in the folder RUN; write PNG files into OUT.

    Images may have any size; names and sub-folders are kept, and a prediction has its image's size.
    """
    from rich.console import Console

    from daframework.build import make_task
    from daframework.cli.display import Display
    from daframework.cli.failures import Failures
    from daframework.cli.interrupt import stop_on_signal
    from daframework.cli.options import installed_plugins
    from daframework.compute.device import SINGLE, make_fabric
    from daframework.compute.memory import is_out_of_memory
    from daframework.compute.session import Session, StoppedError
    from daframework.data.scaling import scaling_of
    from daframework.downstream.predict import predict_folder
    from daframework.errors import RunError
    from daframework.runs.prediction import load_models, written_values
    from daframework.storage.run_folder import RunFolder, read_recipe

    folder, plugins = RunFolder(run), installed_plugins()
    recipe = read_recipe(folder, as_written=True)
    failures = Failures()
    try:
        with stop_on_signal() as stopping, Display(Console()) as display:
            session = Session(make_fabric(recipe, SINGLE), display, stopping)
            values = written_values(plugins, recipe, folder, kind)
            task = make_task(plugins, recipe, len(values))
            count = predict_folder(
                session,
                load_models(session, task, recipe, folder, row),
                images,
                out,
                values=values,
                resize=recipe.data.resize,
                multiple=task.multiple,
                smallest=task.smallest,
                overwrite=overwrite,
                scaling=scaling_of(recipe.target.options),
                failed=failures,
            )
    except StoppedError as stopped:
        click.echo(f"{stopped}; add --overwrite to begin again", err=True)
        sys.exit(stopping.exit_code)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"{images}: out of memory; predict smaller images, or on a machine with more memory") from error
    failures.end(count, f"predictions in {out}")
