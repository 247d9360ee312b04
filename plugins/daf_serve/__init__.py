"""``daf serve``: runs and benches in a browser, live, and their models tried on an image dropped into the page."""

from click import Group

from daframework import hookimpl


@hookimpl
def daf_commands(group: Group) -> None:
    """Add ``serve``."""
    from daf_serve.command import command

    group.add_command(command)
