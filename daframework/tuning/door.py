"""A search as scripts ask for it: ``daframework.tune``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daframework.errors import warn
from daframework.recipes.tables import Recipe
from daframework.registry import load_plugins
from daframework.tuning import search
from daframework.tuning.findings import Tuning as Tuning


def tune(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    trials: int = 20,
    space: str | Path | Mapping[str, Any] | None = None,
    jobs: int | None = None,
    on: str | None = None,
) -> Tuning:
    """Search keys of a recipe by a score without labels as ``daf tune`` does, each trial in a process of its own.

    The folder is ``tune/<name>/seed<seed>`` unless ``out``; ``space`` is a file, or ranges by key as docs/tune.md has
    them; ``jobs`` and ``on`` are as in `bench`.

    Raises:
        DafError: the recipe or the space is wrong, data or Optuna is missing, the folder is in use, or trials fail.
    """
    plugins, folder = load_plugins(warn=warn), None if out is None else Path(out)
    return search.tune(plugins, recipe, recipe.name, trials=trials, out=folder, space=space, jobs=jobs, on=on)
