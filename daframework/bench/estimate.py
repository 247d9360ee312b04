"""How long runs will take, by what was measured so far in the same suite's folder."""

import statistics
from collections.abc import Mapping

from daframework.bench.plan import Cell, Plan
from daframework.bench.status import State, Status, own_seconds, seconds_spent


def left_by_cell(plan: Plan, found: Mapping[str, Status]) -> dict[str, float | None]:
    """Seconds that each unfinished cell still needs, by its name; None where nothing like it has been measured.

    A cell takes as long as finished ones of its method and task did; else as its method in other tasks; else as the
    mean of all that translate, or of all that do not.
    """
    spent: dict[tuple[str, ...], list[float]] = {}
    for cell in plan.cells:
        results = found[cell.name].results
        if results is None:
            continue
        seconds = own_seconds(cell, results, first_task=cell.task == plan.tasks[0])
        for key in _keys(cell):
            spent.setdefault(key, []).append(seconds)
    left: dict[str, float | None] = {}
    for cell in plan.cells:
        one = found[cell.name]
        if one.state not in (State.MISSING, State.STARTED):
            continue
        known = next((spent[key] for key in _keys(cell) if key in spent), None)
        left[cell.name] = None if known is None else max(0.0, statistics.mean(known) - seconds_spent(cell))
    return left


def _keys(cell: Cell) -> list[tuple[str, ...]]:
    """What a cell's time is known by, the nearest first."""
    trains = cell.recipe.translation is not None and cell.recipe.translation.steps > 0
    return [("task", cell.task, cell.method), ("method", cell.method), ("trained" if trains else "untrained",)]


def duration(seconds: float) -> str:
    """Seconds as people say them: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
