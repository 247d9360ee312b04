"""Where the time of training steps went, as tables."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from daframework.run.profile import DEVICE_TIME, Profile


def step_tables(profiles: Sequence[Profile]) -> Group:
    """A table a stage, a row a part of its step: share of the step, milliseconds, how often it comes in a step."""
    return Group(*(block for one in profiles for block in _stage(one)))


def _stage(found: Profile) -> tuple[Text, Table, Text]:
    last = found.first + found.steps - 1
    steps = f"step {last}" if found.steps == 1 else f"{found.steps} steps, {found.first} to {last}"
    on_device = found.counted == DEVICE_TIME
    table = Table()
    table.add_column("part")
    for heading in ("share", "ms a step", *(["device ms"] if on_device else []), "times a step"):
        table.add_column(heading, justify="right")
    for part in found.parts:
        device = [f"{part.device_ms:.2f}"] if on_device else []
        times = f"{part.times:g}" if part.times else "-"
        table.add_row(Text(part.name), f"{100 * part.ms / found.ms:.1f} %", f"{part.ms:.2f}", *device, times)
    table.add_section()
    busy = [f"{sum(part.device_ms for part in found.parts):.2f}"] if on_device else []
    table.add_row("the step", "100.0 %", f"{found.ms:.2f}", *busy, "1")
    return Text(f"{found.stage}: where the time goes, {steps}"), table, Text(found.counted, style="dim")
