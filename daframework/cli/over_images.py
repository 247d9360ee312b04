"""What commands share that write a result for each image of a folder, and go on where one cannot be read."""

import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from daframework.cli.display import Display
from daframework.cli.interrupt import stop_on_signal
from daframework.compute.memory import is_out_of_memory
from daframework.errors import DafError, RunError, visible


def over_images(images: Path, results: str, smaller: str, work: Callable[..., int]) -> None:
    """Let ``work`` write ``results``, and say how many it has; exit code 1 if there are fewer than images.

    It is handed a ``listener``, whether it is asked to stop (``stopping``), and whom to tell what is wrong with a file
    (``failed``). ``smaller`` is what to do where memory does not hold an image.
    """
    count = 0

    def failed(error: DafError) -> None:
        nonlocal count
        count += 1
        click.echo(f"error: {visible(str(error))}", err=True)  # a line each, even where a file's name has two

    try:
        with stop_on_signal("add --overwrite to begin again") as stopping, Display(Console()) as display:
            written = work(listener=display, stopping=stopping, failed=failed)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        at = "; ".join(getattr(error, "__notes__", ())) or str(images)
        raise RunError(f"{at}: out of memory; {smaller}") from error
    click.echo(f"{written} of {written + count} {results}" if count else f"{written} {results}")
    if count:
        sys.exit(1)
