"""``daf serve``: runs and benches in a browser, live, and their models tried on an image dropped into the page."""

from typing import TYPE_CHECKING

from daframework import hookimpl

if TYPE_CHECKING:
    from click import Group


@hookimpl
def daf_commands(group: "Group") -> None:
    """Add ``serve``."""
    from daf_serve.command import command

    group.add_command(command)
