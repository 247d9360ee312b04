"""``daf report``."""

from pathlib import Path

import click

from daframework.cli.options import PATH, format_option


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@format_option
def command(runs: tuple[Path, ...], form: str) -> None:
    """Print one table over the folders RUNS: a row a method, mean and standard deviation over seeds.

    A folder that holds several runs, such as runs/semantic_cyclegan, stands for all of them.
    """
    from daframework.report.summary import class_grid, gather, results_grid, summarise
    from daframework.report.table import as_json, show

    results = gather(runs)
    if form == "json":
        click.echo(as_json({"classes": results[0].classes, "rows": summarise(results)}), nl=False)
    else:
        show([class_grid(results), results_grid(results)], form)
