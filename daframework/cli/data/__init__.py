"""``daf data``: what there is, what is wrong with it, what it holds, and labels in other ids."""

import click

from daframework.cli.lazy import LazyGroup

_COMMANDS = {
    "list": "List the datasets, their classes, and whether their files are there.",
    "check": "Check every file of a recipe's domains, or of one dataset.",
    "stats": "Show how often each class occurs, source and target side by side.",
    "preview": "Draw a sheet of images with their labels over them.",
    "convert": "Write label files in the ids of another label space, or from colours.",
    "cache": "Build, list or delete the cache of decoded images.",
}


@click.group("data", cls=LazyGroup, package=__name__, help_by_name=_COMMANDS)
def command() -> None:
    """Check, measure, show and convert datasets, before an hour is lost to a wrong file."""
