"""Where the time of training steps went, as tables."""

from daframework.compute.profiler import Profile
from daframework.report.table import NOTHING, Grid


def step_grid(found: Profile) -> Grid:
    """A row a part of a stage's step: share of the step, milliseconds, how often it comes in a step."""
    last = found.first_step + found.steps - 1
    steps = f"step {last}" if found.steps == 1 else f"{found.steps} steps, {found.first_step} to {last}"
    rows = [
        (part.part, f"{100 * part.ms / found.ms:.1f} %", f"{part.ms:.2f}", f"{part.times:g}" if part.times else NOTHING)
        for part in found.parts
    ]
    whole = ("the step", "100.0 %", f"{found.ms:.2f}", "1")
    title = f"{found.stage}: where the time goes, {steps}"
    return Grid(title, ("part", "share", "ms a step", "times a step"), (*rows, whole), frozenset([len(rows)]))
