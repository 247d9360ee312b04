"""Run folders, and the rows of a run, for a shell that completes a command."""

from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from daframework.errors import RunError
from daframework.storage.results import read_results
from daframework.storage.run_folder import RunFolder

_AWAY = ("", "*/", "*/*/")  # from what is typed, as in runs/NAME/seed0; a folder more would take too long at home


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The run folders that begin with ``incomplete`` and lie near, and any folder."""
    begun = incomplete[: incomplete.rfind("/") + 1]
    base = Path(begun or ".")
    found = [file.parent for away in _AWAY for file in base.glob(f"{away}seed*/recipe.toml")]
    runs = sorted(begun + folder.relative_to(base).as_posix() for folder in found)
    shown = [CompletionItem(run) for run in runs if run.startswith(incomplete)]
    return [CompletionItem(incomplete, type="dir"), *shown]


def complete_rows(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The rows of the run that stands before in the command."""
    run = context.params.get("run") or next(iter(context.args), "")  # where an option still lacks its value
    with suppress(RunError):
        rows = [row.method for row in read_results(RunFolder(Path(run)).results).rows]
        return [CompletionItem(row) for row in rows if row.startswith(incomplete)]
    return []
