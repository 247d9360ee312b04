"""``daf report``."""

from pathlib import Path

import click
from attrs import asdict

from daframework.cli.options import PATH, echo_json, format_option
from daframework.storage.completion import complete_runs


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=PATH, shell_complete=complete_runs)
@format_option
def command(runs: tuple[Path, ...], form: str) -> None:
    """Print one table over the folders RUNS: a row a method, mean and standard deviation over seeds.

    A folder that holds several runs, such as runs/semantic_cyclegan, stands for all of them.
    """
    from daframework.report.summary import class_grids, gather, results_grid, summarise
    from daframework.report.table import show

    results = gather(runs)
    if form == "json":
        metrics = [asdict(one) for one in results[0].metrics]
        echo_json({"classes": results[0].classes, "metrics": metrics, "rows": summarise(results)})
    else:
        show([*class_grids(results), results_grid(results)], form)
