"""Files that a command cannot read, while it goes on with the others."""

import sys

import click

from daframework.errors import DafError, visible


class Failures:
    """Call it with what is wrong with a file: that is said at once, and counted."""

    def __init__(self) -> None:
        """None so far."""
        self.count = 0

    def __call__(self, error: DafError) -> None:
        """Say it."""
        self.count += 1
        click.echo(f"error: {visible(str(error))}", err=True)  # a line each, even where a file's name has two

    def end(self, written: int, what: str) -> None:
        """Say how many of ``what`` were written; exit code 1 if there was a failure."""
        click.echo(f"{written} of {written + self.count} {what}" if self.count else f"{written} {what}")
        if self.count:
            sys.exit(1)
