"""From a suite to its runs: every recipe with the suite's data, budgets and tasks, once for each seed."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import attrs

from daframework.errors import RecipeError, unknown
from daframework.recipes.read import locate, parse, read_tables
from daframework.recipes.tables import LogTable, Recipe
from daframework.registry import Plugins
from daframework.storage.row_names import ORACLE, SOURCE_ONLY, begun_from, rows_after
from daframework.storage.run_folder import RunFolder, difference
from daframework.suites.suite import Suite, TaskEntry
from daframework.suites.work import Work

REFERENCES = (SOURCE_ONLY, ORACLE)
"""The rows of every table. One run a seed and task trains both, and hands them to all others."""
BASELINE = "cyclegan"
_OWN_TASK = "task"


@attrs.frozen
class Cell(Work):
    """One run of a suite: a recipe with one task and one seed, in a folder of its own.

    ``method`` is the recipe's name, `SOURCE_ONLY` for the run that trains both references.
    """

    task: str
    method: str
    seed: int


@attrs.frozen
class Plan:
    """All runs of a suite, in an order in which each finds what it shares with others: references, first task, rest.

    ``methods`` are the table's rows as the suite lists them, the references first, each before the row that goes on
    from it with self-training; ``baseline`` is one of them.
    """

    name: str
    file: Path
    out: Path
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    baseline: str | None
    bootstrap: int
    cells: tuple[Cell, ...]

    def cell(self, task: str, method: str, seed: int) -> Cell:
        """The run that holds the row ``method``, one of ``methods``."""
        base = begun_from(method)
        wanted = SOURCE_ONLY if base in REFERENCES else base
        return next(one for one in self.cells if (one.task, one.method, one.seed) == (task, wanted, seed))


def make_plan(
    plugins: Plugins,
    suite: Suite,
    path: Path,
    out: Path,
    *,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
) -> Plan:
    """The runs of ``suite``, read from ``path``, with folders in ``out``; ``seeds`` and ``only`` narrow it down.

    Raises:
        RecipeError: a recipe is unknown or unsound with the suite's tables, two are called alike, they disagree on the
            data, there is no seed or one twice, or ``only`` or the suite's baseline names no method.
    """
    written = _recipes(plugins, suite, path)
    used = {str(one.get("name")) for tables in written.values() for one in _components(tables)}
    for name in sorted(suite.options.keys() - used):
        raise RecipeError(f"{path}: options: none of the recipes has a {unknown('component', name, used)[3:]}")
    try:
        suite = suite if seeds is None else attrs.evolve(suite, seeds=tuple(seeds))
    except ValueError as error:
        raise RecipeError(f"{path}: seeds {error}") from error
    tasks: dict[str, TaskEntry | None] = {task.label: task for task in suite.tasks} or {_OWN_TASK: None}
    cells = [
        cell
        for seed in suite.seeds
        for label, task in tasks.items()
        for cell in _cells(suite, written, label, task, seed, path, out)
    ]
    references = REFERENCES if all(cell.recipe.downstream.oracle for cell in cells) else (SOURCE_ONLY,)
    methods = [*references, *(name for name in written if name not in REFERENCES)]
    table = cells[0].recipe.downstream
    rows = [row for name in methods for row in (name, *(() if name == ORACLE else rows_after(name, table)))]
    for name in only or ():
        if name not in rows:
            raise RecipeError(f"--only: {unknown('method', name, rows)}")
    baseline = suite.baseline or (BASELINE if BASELINE in methods else None)
    if baseline is not None and baseline not in rows:
        raise RecipeError(f"{path}: baseline: {unknown('method', baseline, rows)}")
    kept = methods if only is None else (*REFERENCES, *map(begun_from, only))
    chosen = [row for row in rows if begun_from(row) in kept]
    planned = [cell for cell in cells if cell.method in kept]
    order = list(tasks)
    # Stable: seeds stay in their order, so that a table of one seed is there as early as can be.
    planned.sort(key=lambda cell: (cell.method != SOURCE_ONLY, order.index(cell.task)))
    return Plan(
        name=suite.name,
        file=path,
        out=out,
        tasks=tuple(tasks),
        methods=tuple(chosen),
        seeds=suite.seeds,
        baseline=baseline if baseline in chosen else None,
        bootstrap=suite.bootstrap,
        cells=tuple(planned),
    )


def _recipes(plugins: Plugins, suite: Suite, path: Path) -> dict[str, dict[str, Any]]:
    """The recipes' tables by method."""
    found: dict[str, dict[str, Any]] = {}
    for entry in suite.recipes:
        beside = path.parent / entry
        file = beside if beside.is_file() else locate(plugins, entry)
        tables = read_tables(file)
        name = str(tables.get("name", file.stem))
        if name in found:
            raise RecipeError(f"{path}: recipes: two are named '{name}', and a table needs a name for each row")
        if name not in REFERENCES and not {"generator", "augment"} & tables.keys():
            why = f"'{name}' has no [generator] and no [augment], so it is {SOURCE_ONLY} under another name"
            raise RecipeError(f"{path}: recipes: {why}; leave it out")
        found[name] = tables
    return found


def _cells(
    suite: Suite,
    written: Mapping[str, dict[str, Any]],
    label: str,
    task: TaskEntry | None,
    seed: int,
    path: Path,
    out: Path,
) -> list[Cell]:
    """The runs of one seed and of the task called ``label``, the recipes' own for None; the references' first."""
    recipes = {
        name: parse(_merged(tables, suite, task) | {"seed": seed}, f"{path}: {name}")
        for name, tables in written.items()
    }
    first = next(iter(recipes.values()))
    # The references do not depend on which recipe comes first: what is a recipe's own is left out of theirs.
    data = first.data if "batch_size" in suite.data else _shared(first).data
    reference = attrs.evolve(_shared(first), name=SOURCE_ONLY, data=data, log=first.log)
    for name, recipe in recipes.items():
        differs = difference(_shared(first), _shared(recipe))
        if differs is not None:
            differs = differs.replace(", now ", " and ")
            remedy = "write [source], [target], [data], [downstream] and [[tasks]] into the suite"
            raise RecipeError(f"{path}: recipes '{first.name}' and '{name}' cannot be compared: {differs}; {remedy}")
    own = {SOURCE_ONLY: reference} | {name: recipe for name, recipe in recipes.items() if name not in REFERENCES}
    places = {name: f"{label}/{name}/seed{seed}" for name in own}
    return [Cell(places[name], one, RunFolder(out / places[name]), label, name, seed) for name, one in own.items()]


def _merged(tables: Mapping[str, Any], suite: Suite, task: TaskEntry | None) -> dict[str, Any]:
    """A recipe's tables under the suite's; what is no table is left for the parser to refuse."""
    merged = deepcopy(dict(tables))
    merged |= {domain: given for domain in ("source", "target") if (given := getattr(suite, domain)) is not None}
    if task is not None:
        merged["task"] = {"name": task.name} | task.options
    trains = isinstance(merged.get("translation"), dict) and merged["translation"].get("steps") != 0
    for name in ("data", "downstream", "hardware", "log", *(("translation",) if trains else ())):
        if isinstance(table := merged.setdefault(name, {}), dict):
            table |= getattr(suite, name)
    for component in _components(merged):
        component |= suite.options.get(str(component.get("name")), {})
    return merged


def _components(tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of a recipe's generator, discriminator and losses."""
    losses = tables.get("losses")
    found = [tables.get("generator"), tables.get("discriminator"), *(losses if isinstance(losses, list) else ())]
    return [one for one in found if isinstance(one, dict)]


def _shared(recipe: Recipe) -> Recipe:
    """What must be the same in all recipes of a suite, so that their rows can be compared."""
    own: dict[str, Any] = dict.fromkeys(("augment", "generator", "discriminator", "translation"))
    data = attrs.evolve(recipe.data, batch_size=1)
    return attrs.evolve(recipe, name="shared", data=data, losses=(), log=LogTable(), **own)
