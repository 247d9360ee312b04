"""A group of commands that imports a command's module, and torch with it, only when that command is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows its commands' names and help. The module of the command ``x`` is ``package.x``, and holds ``command``."""

    def __init__(self, *, package: str, help_by_name: Mapping[str, str], **options: Any) -> None:
        super().__init__(**options)
        self.package, self.help_by_name = package, help_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.help_by_name)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.help_by_name:
            return None
        command: click.Command = import_module(f"{self.package}.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.help_by_name.items()))
