"""What is looked at before a suite's first run, so that no later one fails for what could have been told at once."""

from collections.abc import Iterable
from functools import cache

from daframework.errors import RecipeError, warn
from daframework.registry import Plugins
from daframework.runs.check import check
from daframework.runs.datasets import open_datasets
from daframework.suites.bootstrap import MIN_IMAGES
from daframework.suites.plan import Cell, Plan


def check_cells(plugins: Plugins, plan: Plan, cells: Iterable[Cell]) -> list[str]:
    """Check the recipe of each method and task among ``cells``; return warnings about data that is not there.

    Raises:
        RecipeError: with every problem found.
    """
    problems: list[str] = []
    tell = cache(warn)  # each line once: the data of all cells is the same
    warnings: dict[str, None] = {}
    seen: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        seen.setdefault((cell.task, cell.method), cell)
    for (task, method), cell in seen.items():
        try:
            warnings |= dict.fromkeys(check(plugins, cell.recipe, f"{plan.name}: {task}: {method}", tell))
            for key in ("score", "source_only"):
                if not getattr(cell.recipe.downstream, key):
                    raise RecipeError(f"{plan.name}: downstream.{key}: a suite compares that; leave it out")
        except RecipeError as error:
            # The same fault of the data or task would be told once a method.
            problems += [line for line in error.problems if _fault(line) not in map(_fault, problems)]
    if problems:
        raise RecipeError(problems)
    if plan.bootstrap and seen and not warnings:
        count = len(open_datasets(plugins, next(iter(seen.values())).recipe).target_test)
        if count < MIN_IMAGES:
            need = f"intervals by bootstrap need {MIN_IMAGES} test images of the target, and it has {count}"
            raise RecipeError(f"{plan.name}: {need}; give more, or add --set bootstrap=0")
    return list(warnings)


def _fault(line: str) -> str:
    """A problem without the method it was found in."""
    return line.split(": ", 3)[-1]
