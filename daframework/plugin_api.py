"""The version of the plugin API: whether a plugin was made for it, and how a name goes that is not to stay."""

import re
import sys
import warnings
from collections.abc import Callable
from reprlib import repr as short
from typing import Any

API_VERSION = "1.3"
"""MAJOR.MINOR. A plugin made for the same MAJOR, and for this MINOR or an earlier one, works; see
docs/write_a_plugin.md for what it covers and when it is raised."""


def version_numbers(version: object) -> tuple[int, int]:
    """``"1.2"`` -> (1, 2).

    Raises:
        ValueError: it is no such text.
    """
    numbers = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", version) if isinstance(version, str) else None
    if numbers is None:
        raise ValueError(f'a version of the plugin API must be a text such as "{API_VERSION}", got {short(version)}')
    return int(numbers[1]), int(numbers[2])


def check_made_for(version: object) -> None:
    """Whether a plugin that was made for this ``version``, its ``daf_api``, works here.

    Raises:
        ValueError: it was made for one that this is not, or says nothing that can be read.
    """
    theirs, own = version_numbers(version), version_numbers(API_VERSION)
    if theirs[0] != own[0] or theirs > own:
        newer = "daframework" if theirs > own else "version of the plugin"
        raise ValueError(f"made for version {version} of the plugin API, not {API_VERSION}; install a newer {newer}")


def deprecated(old: str, *, since: str, use: str) -> FutureWarning:
    """What to warn a user of ``old`` of: that it goes with the next MAJOR, and what to ``use``.

    For a hook: ``@hookspec(warn_on_impl=deprecated("daf_old", since="1.1", use="daf_new"))``.
    """
    gone = version_numbers(since)[0] + 1
    return FutureWarning(f"{old} is deprecated since version {since} of the API and goes with {gone}.0; use {use}")


def deprecated_names(module: str, **names: tuple[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module for names that became others, each with the new one and the version since when.

    A line such as ``__getattr__ = deprecated_names(__name__, Old=("New", "1.1"))`` in the module keeps ``Old`` working.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        use, since = names[name]
        warnings.warn(deprecated(f"{module}.{name}", since=since, use=f"{module}.{use}"), stacklevel=2)
        return getattr(sys.modules[module], use)

    return get
