"""What the commands of ``daf data`` share: a recipe or a dataset to look at, and how many processes do so."""

import json
from pathlib import Path
from typing import Any

import click

from daframework.errors import DataError

what_argument = click.argument("what", metavar="RECIPE|NAME")
root_argument = click.argument("root", required=False)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the recipe, or one option of the dataset NAME; the value is TOML. May be repeated.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=0), help="Processes that read files; one a core, 8 at most, unless given."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there already.")


def refuse_existing(*files: Path) -> None:
    """Say at once, not after an hour, that a file to be written is there already.

    Raises:
        DataError: one is.
    """
    for file in files:
        if file.exists():
            raise DataError(f"{file} is there already; add --overwrite to replace it, or give another name")


def write_json(json_to: str, content: dict[str, Any]) -> None:
    """Write ``content`` to the file ``json_to``, or print it for ``-``.

    Raises:
        RunError: the file cannot be written.
    """
    from daframework.storage.files import write_text

    text = json.dumps(content, indent=1) + "\n"
    if json_to == "-":
        click.echo(text, nl=False)
    else:
        write_text(Path(json_to), text)
