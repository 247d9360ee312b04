"""Where the time of training steps went, as tables."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from daframework.compute.profiler import Profile


def step_tables(profiles: Sequence[Profile]) -> Group:
    """A table a stage, a row a part of its step: share of the step, milliseconds, how often it comes in a step."""
    return Group(*(block for one in profiles for block in _stage(one)))


def _stage(found: Profile) -> tuple[Text, Table]:
    last = found.first + found.steps - 1
    steps = f"step {last}" if found.steps == 1 else f"{found.steps} steps, {found.first} to {last}"
    table = Table()
    table.add_column("part")
    for heading in ("share", "ms a step", "times a step"):
        table.add_column(heading, justify="right")
    for part in found.parts:
        times = f"{part.times:g}" if part.times else "-"
        table.add_row(Text(part.name), f"{100 * part.ms / found.ms:.1f} %", f"{part.ms:.2f}", times)
    table.add_section()
    table.add_row("the step", "100.0 %", f"{found.ms:.2f}", "1")
    return Text(f"{found.stage}: where the time goes, {steps}"), table
