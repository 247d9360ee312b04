"""What the commands of ``daf data`` share: a recipe or a dataset to look at, and how many processes do so."""

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from daframework.errors import DataError

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key of the recipe, or one option of the dataset NAME; the value is TOML. May be repeated.",
)
json_option = click.option("--json", "json_to", metavar="FILE", help="Write what was found as JSON; - prints it.")
workers_option = click.option(
    "--workers", type=click.IntRange(min=0), help="Processes that read files; one a core, 8 at most, unless given."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there already.")


@frozen
class Request:
    """What to look at: the recipe ``what``, or the dataset of that name in the folder ``root``, and its ``--set``.

    ``overwrite`` says whether files that are there may be replaced.
    """

    what: str
    root: str | None
    overrides: tuple[str, ...]
    overwrite: bool

    def __str__(self) -> str:
        return self.what if self.root is None else f"{self.what} in {self.root}"

    def refuse_existing(self, *files: str | Path | None) -> None:
        """Say at once, not after an hour, that a file to be written is there already; None and - are no files.

        Raises:
            DataError: one is.
        """
        for file in files:
            if not self.overwrite and file and file != "-" and Path(file).exists():
                raise DataError(f"{file} is there already; add --overwrite to replace it, or give another name")


def request_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the arguments RECIPE|NAME and ROOT, ``--set`` and ``--overwrite``, as one `Request`."""

    @click.argument("what", metavar="RECIPE|NAME")
    @click.argument("root", required=False)
    @set_option
    @overwrite_option
    @wraps(command)
    def with_request(what: str, root: str | None, overrides: tuple[str, ...], overwrite: bool, **options: Any) -> None:
        command(Request(what, root, overrides, overwrite), **options)

    return with_request


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
