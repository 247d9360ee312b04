"""A run from its recipe to its results: check everything, take its folder, compute what is not there."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import torch

from daframework.compute.device import SINGLE, make_fabric
from daframework.compute.place import ALONE, Place
from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.compute.signals import Signals
from daframework.compute.watch import require_same, watch
from daframework.errors import DataError, StoppedError
from daframework.listener import Listener
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.check import check
from daframework.runs.log import Listeners, LogFile, plugin_listeners
from daframework.runs.precision import Precision, open_device
from daframework.runs.stages import execute
from daframework.storage.lock import held
from daframework.storage.results import Results
from daframework.storage.run_folder import RunFolder, find_folder, open_folder


def begin(
    plugins: Plugins,
    recipe: Recipe,
    where: str,
    out: Path | None,
    listeners: Callable[[RunFolder, torch.device, Precision], Iterable[Listener]],
    *,
    place: Place = ALONE,
    asked: Signals | None = None,
) -> tuple[RunFolder, Results]:
    """Begin a run of ``recipe``, or go on with one, and end it: its folder and what came out.

    The folder is ``runs/<name>/seed<seed>`` unless ``out``. ``where`` names the recipe in messages. The process at
    ``place`` that is the run's first makes ``listeners`` once it knows where the run lies and how it is computed.

    Raises:
        DafError: the recipe is wrong, data is missing, the folder is another run's or in use, or what `execute` does.
        StoppedError: ``asked`` was to stop; what there is so far is saved.
    """
    asked = asked or Signals()
    with ExitStack() as stack:
        if place.ranks > 1:
            make_fabric(recipe, SINGLE, place)
            stack.enter_context(watch(place, asked))
            require_same(recipe)
        folder = RunFolder(from_first(lambda: _take_folder(stack, plugins, recipe, where, out)))
        if asked():
            raise StoppedError("stopped before anything was computed")
        fabric, precision = open_device(plugins, recipe, folder, place)
        told: list[Listener] = []
        if place.rank == 0:
            told += [LogFile(folder.log), *plugin_listeners(plugins, folder.path, recipe)]
            told += listeners(folder, fabric.device, precision)
        session = Session(fabric, Listeners(told), asked, asked.saving)
        return folder, execute(session, plugins, recipe, folder, precision)


def _take_folder(stack: ExitStack, plugins: Plugins, recipe: Recipe, where: str, out: Path | None) -> Path:
    """The run's folder, held until ``stack`` is closed."""
    for missing in check(plugins, recipe, where):
        raise DataError(missing)
    folder = find_folder(out or Path("runs") / recipe.name / f"seed{recipe.seed}", recipe)
    stack.enter_context(held(folder.path))
    return open_folder(folder.path, recipe).path
