"""Begin a run, or go on with one: check everything, then take its folder."""

from contextlib import ExitStack
from pathlib import Path

from daframework.errors import DataError
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.check import check
from daframework.storage.lock import held
from daframework.storage.run_folder import RunFolder, find_folder, open_folder


def begin(stack: ExitStack, plugins: Plugins, recipe: Recipe, where: str, out: Path | None) -> RunFolder:
    """The folder of a run of ``recipe``, ``runs/<name>/seed<seed>`` unless ``out``, held until ``stack`` is closed.

    ``where`` names the recipe in messages.

    Raises:
        DafError: the recipe is wrong, data is missing, or the folder is another run's or in use.
    """
    for missing in check(plugins, recipe, where):
        raise DataError(missing)
    folder = find_folder(out or Path("runs") / recipe.name / f"seed{recipe.seed}", recipe)
    stack.enter_context(held(folder.path))
    return open_folder(folder.path, recipe)
