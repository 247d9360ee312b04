"""daframework: adapt labelled source images to an unlabelled target domain, and measure what that was worth.

Importing this package imports no torch, so that a plugin's ``__init__`` and ``daf --help`` stay quick.
"""

from importlib.metadata import version

from pluggy import HookimplMarker

hookimpl = HookimplMarker("daframework")
"""Marks a plugin's functions as implementations of the hooks in `daframework.hookspecs`."""

__version__ = version("daframework")

__all__ = ["__version__", "hookimpl"]
