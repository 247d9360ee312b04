"""``daf report``."""

from pathlib import Path

import click


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(runs: tuple[Path, ...]) -> None:
    """Print one table over the folders RUNS: a row a method, mean and standard deviation over seeds.

    A folder that holds several runs, such as runs/semantic_cyclegan, stands for all of them.
    """
    from rich.console import Console

    from daframework.report.table import class_table, gather, results_table

    results = gather(runs)
    Console().print(class_table(results), results_table(results))
