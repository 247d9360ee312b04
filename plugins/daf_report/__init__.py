"""A page for every run and every bench: ``report.html``, one file that opens offline."""

from pathlib import Path

import click

from daframework import hookimpl
from daframework.listener import Listener
from daframework.recipes.tables import Recipe
from daframework.storage.completion import complete_runs


def page(folder: Path) -> str:
    """The HTML of the run or bench in ``folder``, whatever is there: finished, unfinished, damaged or of an earlier
    version. What is missing or cannot be read is said in it; nothing is written.

    Raises:
        RunError: ``folder`` holds neither, or Jinja2 is not installed.
    """
    from daf_report.report_file import html

    return html(folder)


@hookimpl
def daf_listener(run_folder: Path, recipe: Recipe) -> Listener:
    """Offer what writes the report at the end of a run; nothing where Jinja2 is not installed."""
    from daf_report.report_file import ReportListener

    return ReportListener(run_folder)


@hookimpl
def daf_bench(folder: Path) -> None:
    """Write the report of a bench; nothing where Jinja2 is not installed."""
    from daf_report.report_file import write_if_possible

    write_if_possible(folder)


@hookimpl
def daf_commands(group: click.Group) -> None:
    """Offer ``daf html``."""

    @group.command("html")
    @click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_runs)
    @click.option("--overwrite", is_flag=True, help="Replace a report.html that is not ours.")
    def command(folders: tuple[Path, ...], overwrite: bool) -> None:
        """Write report.html anew into each of FOLDERS, runs or benches: a page to look at what came out.

        It is one file that opens offline. Runs and benches write it by themselves when they end; this is for older and
        for unfinished ones.
        """
        from daf_report.report_file import write

        for folder in folders:
            click.echo(write(folder, overwrite=overwrite))
