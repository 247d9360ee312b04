"""``daf run``."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daframework.cli.interrupt import stop_on_signal
from daframework.cli.options import PATH, installed_plugins, read_recipe, recipe_options, uncollected
from daframework.compute.place import Place, find_place
from daframework.compute.signals import SAVE, end_with_stdin
from daframework.errors import RunError, StoppedError
from daframework.listener import Listener
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, load_plugins
from daframework.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import torch

    from daframework.compute.profiler import StepProfiler
    from daframework.runs.precision import Precision
    from daframework.storage.results import Results


@click.command("run")
@recipe_options
@click.option("--out", type=PATH, help="The run's folder; runs/<name>/seed<seed> unless given.")
@click.option("--profile", is_flag=True, help="Show where the time of a training step goes; traces go to profile/.")
@click.option("--devices", type=click.IntRange(min=1), help="Devices of this machine to compute on; 1 unless given.")
@click.option("--until-stdin-closes", "supervised", is_flag=True, hidden=True, help="End with the process that asked.")
def command(
    recipe: str,
    out: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    profile: bool,
    devices: int | None,
    supervised: bool,
) -> None:
    """Run RECIPE: train, translate, score, and print the table.

    RECIPE is a file, or the name of a recipe that a plugin offers (see daf recipes). The same command again goes on
    where the last one stopped. Started by torchrun or srun, its processes compute together; see docs/scale.md.
    """
    if SAVE is not None:
        signal.signal(SAVE, signal.SIG_IGN)  # until there is something to save: it would end this process; inherited
    if supervised:
        end_with_stdin()
    place = find_place(os.environ)
    if devices is not None and place.ranks == 1 < devices:
        from daframework.cli.launch import launch

        sys.exit(launch(sys.argv[1:], devices))
    if devices is not None and place.ranks > 1 and devices != place.local_ranks:
        raise RunError(f"--devices {devices}: {place.local_ranks} processes were started here already; leave it out")

    if place.ranks > 1:
        # Before torch is imported, or every process would warn that unused weights are looked for.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    plugins = installed_plugins() if place.rank == 0 else load_plugins()
    path, loaded = read_recipe(plugins, recipe, overrides, seed)
    _run(place, plugins, loaded, path, out, profile=profile)


def _run(place: Place, plugins: Plugins, recipe: Recipe, path: Path, out: Path | None, *, profile: bool) -> None:
    """Be the process at ``place`` of a run of ``recipe``, which lies at ``path``; the first of them tells the user."""
    with uncollected():
        from rich.console import Console

        from daframework.cli.display import Display
        from daframework.compute.profiler import StepProfiler
        from daframework.runs.begin import begin

    first = place.rank == 0
    profilers: list[StepProfiler] = []

    def listeners(folder: RunFolder, device: "torch.device", precision: "Precision") -> Iterator[Listener]:
        click.echo(f"recipe {path}, seed {recipe.seed}, into {folder.path}")
        click.echo(f"{precision}{f', in {place.ranks} processes' * (place.ranks > 1)}")
        yield stack.enter_context(Display(Console()))
        if profile:
            profilers.append(stack.enter_context(StepProfiler(folder.path / "profile", device)))
            yield profilers[0]

    with stop_on_signal("the same command goes on from there" if first else None) as asked:
        try:
            with ExitStack() as stack:
                folder, results = begin(plugins, recipe, str(path), out, listeners, place=place, asked=asked)
        except StoppedError:
            for profiler in profilers:
                if profiler.profiles:
                    _show(profiler)
            raise
    if first:
        _tell(folder, results)
    for profiler in profilers:
        _show(profiler)


def _tell(folder: RunFolder, results: "Results") -> None:
    """Print what came out, and where it lies."""
    from daframework.report.summary import class_grids, results_grid
    from daframework.report.table import show

    show([*class_grids([results]), results_grid([results])])
    click.echo(f"results in {folder.results}")
    if folder.samples.exists():
        click.echo(f"sample images in {folder.samples}")
    if folder.report.exists():
        click.echo(f"all of it, to look at in a browser, in {folder.report}")


def _show(profiler: "StepProfiler") -> None:
    """Print where the time went, and keep these tables beside the traces."""
    from daframework.report.step_table import step_grid
    from daframework.report.table import as_text, show
    from daframework.storage.files import write_text

    if not profiler.profiles:
        click.echo("nothing to profile: no stage had two training steps left to do; give another folder with --out")
        return
    grids = [step_grid(one) for one in profiler.profiles]
    show(grids)
    write_text(profiler.folder / "tables.txt", as_text(grids, "rich"))
    click.echo(f"these tables and traces in {profiler.folder}; open a trace at ui.perfetto.dev or chrome://tracing")
