"""The recipes and suites that daframework ships, offered as any plugin offers its own."""

from pathlib import Path

from daframework import hookimpl

_HERE = Path(__file__).parent


@hookimpl
def daf_recipes() -> Path:
    """The folder of recipes."""
    return _HERE / "recipes"


@hookimpl
def daf_suites() -> Path:
    """The folder of suites."""
    return _HERE / "suites"
