"""daframework: adapt labelled source images to an unlabelled target domain, and measure what that was worth.

    import daframework as daf
    run = daf.run(daf.recipe("semantic_cyclegan"))
    run.translate(image)

Importing this package imports no torch, so that a plugin's ``__init__`` and ``daf --help`` stay quick: what needs it is
imported when it is first asked for.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker

from daframework.cores import chosen, share_cores
from daframework.plugin_api import API_VERSION as API_VERSION

if TYPE_CHECKING:
    from daframework.api import Bench as Bench
    from daframework.api import Run as Run
    from daframework.api import bench as bench
    from daframework.api import check as check
    from daframework.api import open as open
    from daframework.api import recipe as recipe
    from daframework.api import run as run
    from daframework.errors import DafError as DafError
    from daframework.interfaces import Discriminator as Discriminator
    from daframework.interfaces import Generator as Generator
    from daframework.interfaces import ImageDataset as ImageDataset
    from daframework.interfaces import Loss as Loss
    from daframework.interfaces import Sample as Sample
    from daframework.interfaces import Task as Task
    from daframework.listener import Listener as Listener
    from daframework.tuning.search import Tuning as Tuning
    from daframework.tuning.search import tune as tune

hookimpl = HookimplMarker("daframework")
"""Marks a plugin's functions as implementations of the hooks in `daframework.hookspecs`."""

__version__ = version("daframework")

chosen.update(share_cores())

_LATER = {
    "api": ("Bench", "Run", "bench", "check", "open", "recipe", "run"),
    "errors": ("DafError",),
    "interfaces": ("Discriminator", "Generator", "ImageDataset", "Loss", "Sample", "Task"),
    "listener": ("Listener",),
    "tuning.search": ("Tuning", "tune"),
}
__all__ = sorted({"API_VERSION", "__version__", "hookimpl"}.union(*_LATER.values()))


def __getattr__(name: str) -> Any:
    module = next((module for module, names in _LATER.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module 'daframework' has no attribute '{name}'")
    return getattr(import_module(f"daframework.{module}"), name)


def __dir__() -> list[str]:
    return __all__
