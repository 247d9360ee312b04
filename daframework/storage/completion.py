"""Run folders for a shell that completes a command."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

_AWAY = ("", "*/", "*/*/")  # from what is typed, as in runs/NAME/seed0; a folder more would take too long at home


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The run folders that begin with ``incomplete`` and lie near, and any folder."""
    begun = incomplete[: incomplete.rfind("/") + 1]
    base = Path(begun or ".")
    found = [file.parent for away in _AWAY for file in base.glob(f"{away}seed*/recipe.toml")]
    runs = sorted(begun + folder.relative_to(base).as_posix() for folder in found)
    shown = [CompletionItem(run) for run in runs if run.startswith(incomplete)]
    return [CompletionItem(incomplete, type="dir"), *shown]  # folders first: bash forgets what it was offered before
