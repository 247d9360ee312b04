"""``daf new``: what to start from."""

import click

from daframework.cli.lazy import LazyGroup

_COMMANDS = {"plugin": "Write a plugin package that works, to start from."}


@click.group("new", cls=LazyGroup, package=__name__, help_by_name=_COMMANDS)
def command() -> None:
    """Write something that works, to start from."""
