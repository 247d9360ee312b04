"""How long runs will take, by what was measured so far in the same suite's folder."""

import statistics
from collections.abc import Iterable, Mapping

from daframework.suites.plan import Cell, Plan
from daframework.suites.status import SHARED_STAGES, State, Status, Statuses, stage_seconds


def left_by_cell(plan: Plan, found: Statuses) -> dict[str, float | None]:
    """Seconds that each unfinished cell still needs, by its name; None where nothing like it has been measured.

    A cell takes as long as finished ones of its method and task did; else as its method in other tasks; else as the
    mean of all that translate, or of all that do not. The stages that tasks share count in the first task's run alone.
    """
    measured: dict[tuple[str, ...], list[float]] = {}
    for cell in plan.cells:
        if found[cell.name].results is not None:
            for part, seconds in _parts(plan, cell, found[cell.name]).items():
                for key in _keys(cell):
                    measured.setdefault((part, *key), []).append(seconds)
    left: dict[str, float | None] = {}
    for cell in plan.cells:
        one = found[cell.name]
        if one.state in (State.MISSING, State.STARTED):
            spent = _parts(plan, cell, one)
            needed = [_nearest(measured, part, cell) for part in spent]
            known = [seconds for seconds in needed if seconds is not None]
            left[cell.name] = max(0.0, sum(known) - sum(spent.values())) if len(known) == len(needed) else None
    return left


def _parts(plan: Plan, cell: Cell, one: Status) -> dict[str, float]:
    """Seconds that a run has taken so far for its own task, and for all tasks where it is the one that does so."""
    seconds = stage_seconds(cell, one)
    shared = sum(spent for stage, spent in seconds.items() if stage in SHARED_STAGES)
    own = {"own": sum(seconds.values()) - shared}
    return own | {"shared": shared} if cell.task == plan.tasks[0] else own


def _nearest(measured: Mapping[tuple[str, ...], Iterable[float]], part: str, cell: Cell) -> float | None:
    return next((statistics.mean(measured[part, *key]) for key in _keys(cell) if (part, *key) in measured), None)


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
