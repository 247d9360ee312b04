"""A run's losses, pictures, hyper-parameters and table for TensorBoard, where ``log.to`` names it."""

from pathlib import Path

from daframework import hookimpl
from daframework.errors import needing
from daframework.listener import Listener
from daframework.recipes.read import dump, flat
from daframework.recipes.tables import Recipe


@hookimpl
def daf_listener(run_folder: Path, recipe: Recipe) -> Listener | None:
    """Write event files to ``tensorboard`` in the run's folder, if the recipe asks for it.

    Raises:
        RunError: it does, and TensorBoard is not installed.
    """
    if "tensorboard" not in recipe.log.to:
        return None
    with needing("log.to asks for TensorBoard, which is not there", extra="tensorboard"):
        from daf_tensorboard.event_files import EventFiles
    return EventFiles(run_folder, flat(dump(recipe)))
