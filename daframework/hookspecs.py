"""The hooks a plugin may implement. A plugin is a module named in the entry-point group ``daframework``.

Every component hook returns a mapping from a name, as written in a recipe, to a factory. A factory is any callable with
keyword arguments: **the recipe's options are its keyword arguments, so its signature is the schema and its docstring
the reference.** A parameter named in `daframework.build.SUPPLIED` is filled in by daframework when the recipe leaves
it out. Import heavy modules inside the hook, not at the top of the plugin: listing recipes must not import torch.
"""

# mypy: disable-error-code="empty-body"

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pluggy import HookspecMarker

if TYPE_CHECKING:
    from click import Group

    from daframework.interfaces import Discriminator, Generator, ImageDataset, Loss, Task
    from daframework.listener import Listener
    from daframework.recipes.tables import Recipe

hookspec = HookspecMarker("daframework")


@hookspec
def daf_generators() -> "Mapping[str, Callable[..., Generator]]":
    """Generators by name. A recipe's ``[generator]`` is built twice, once for each direction."""


@hookspec
def daf_discriminators() -> "Mapping[str, Callable[..., Discriminator]]":
    """Discriminators by name. A recipe's ``[discriminator]`` is built twice, once for each domain."""


@hookspec
def daf_losses() -> "Mapping[str, Callable[..., Loss]]":
    """Losses by name. Each ``[[losses]]`` of a recipe is built once and sees both domains."""


@hookspec
def daf_tasks() -> "Mapping[str, Callable[..., Task]]":
    """Supervised tasks by name. A recipe's ``[task]`` is trained once for every row of its table."""


@hookspec
def daf_datasets() -> "Mapping[str, Callable[..., ImageDataset]]":
    """Datasets by name. ``split`` is supplied: "train" for both domains, "test" for the target's test set."""


@hookspec
def daf_recipes() -> Path:
    """A folder of recipes, ``<name>.toml`` each, that ``daf run <name>`` finds from anywhere."""


@hookspec
def daf_suites() -> Path:
    """A folder of suites, ``<name>.toml`` each."""


@hookspec
def daf_label_spaces() -> Path:
    """A folder of label spaces, ``<name>.toml`` each; see `daframework.data.spaces` for what one holds."""


@hookspec
def daf_listener(run_folder: Path, recipe: "Recipe") -> "Listener | None":
    """Called in a run's first process when it begins or goes on: what is to be told how it goes; None for nothing."""


@hookspec
def daf_bench(folder: Path) -> None:
    """Called whenever the tables of a suite were written into its ``folder``; not all of its runs need be finished."""


@hookspec
def daf_commands(group: "Group") -> None:
    """Add commands to ``group`` and they become commands of ``daf``. Called by ``daf --help``, so import little."""
