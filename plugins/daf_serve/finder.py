"""The runs and benches below a folder, told from their files alone: nothing is written, no link leads outside."""

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from daframework.errors import RunError
from daframework.recipes.tables import Recipe
from daframework.scores import SEGMENTATION, Metric, metrics_from_json
from daframework.storage.files import last_entry
from daframework.storage.lock import in_use
from daframework.storage.results import Results, Row, read_results
from daframework.storage.row_names import ORACLE, TRANSLATION, begun_from, self_trained, trained_in
from daframework.storage.run_folder import RunFolder, read_recipe
from daframework.suites.bench_folder import LOGS, TABLE, bench_tables, is_bench

RUNNING, UNFINISHED, FINISHED, DAMAGED = "running", "unfinished", "finished", "damaged"
_DEEPEST = 8  # folders within one another


@frozen
class Listed:
    """A run or bench.

    Args:
        kind: "run" or "bench".
        where: its path inside the folder that is served, with "/"; "." for that folder itself.
        title: what it is called: its recipe, or the bench's folder.
        state: how far it is.
        note: what is wrong with it, who runs it, or which method of a bench is best.
        seed: a run's.
        score: of the run's own row, or of the bench's best method, in its metric.
        when: when its last file was written, in seconds since 1970.
        progress: what was logged last of a run that is not finished.
        metric: what the score is.
    """

    kind: str
    where: str
    title: str
    state: str
    note: str = ""
    seed: int | None = None
    score: float | None = None
    when: float = 0.0
    progress: str = ""
    metric: Metric = SEGMENTATION[0]


def find(root: Path, start: Path) -> list[Listed]:
    """What lies in and below ``start``, inside ``root``, by path; not in hidden folders, nor behind links."""
    return sorted(_found(root, start), key=lambda one: one.where)


def _found(root: Path, start: Path) -> Iterator[Listed]:
    for name, inside, files in os.walk(start):
        folder = Path(name)
        deep = len(folder.relative_to(root).parts) >= _DEEPEST
        inside[:] = [] if deep else [one for one in inside if not one.startswith(".")]
        if RunFolder(folder).recipe.name in files:
            yield look(root, folder)
            inside.clear()
        elif is_bench(folder):
            yield look(root, folder)
            inside[:] = [one for one in inside if one != LOGS]


def resolve(root: Path, where: str) -> Path:
    """The run or bench at ``where`` inside ``root``.

    Raises:
        RunError: there is none, it lies outside, or it holds links that lead outside.
    """
    nothing = RunError(f"there is no run or bench '{where}' in the folder that is shown")
    if where.startswith("/") or ".." in PurePosixPath(where).parts or "\\" in where:
        raise nothing
    try:
        folder = (root / where).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise nothing from None
    if not folder.is_relative_to(root) or not (RunFolder(folder).recipe.is_file() or is_bench(folder)):
        raise nothing
    for name, folders, files in os.walk(folder):
        for inside in (Path(name) / one for one in (*folders, *files)):
            if leads_out(root, inside):
                raise RunError(f"'{where}' holds a link that leads outside the folder that is shown: {inside.name}")
    return folder


def leads_out(root: Path, path: Path) -> bool:
    """Whether ``path`` is a link to what lies outside ``root``."""
    return path.is_symlink() and not path.resolve().is_relative_to(root)


def look(root: Path, folder: Path) -> Listed:
    """How far the run or bench in ``folder`` is."""
    where = folder.relative_to(root).as_posix()
    run = RunFolder(folder)
    here = (run.recipe, run.results, run.log, run.progress, folder / TABLE)
    if any(leads_out(root, path) for path in here):
        return Listed("run", where, folder.name, DAMAGED, "a link in it leads outside the folder shown")
    return _look_at_run(where, folder) if here[0].is_file() else _look_at_bench(where, folder)


def _look_at_run(where: str, path: Path) -> Listed:
    folder = RunFolder(path)
    when = max(map(written, (folder.recipe, folder.log, folder.results)))
    try:
        recipe = recipe_of(folder)
        title, seed = recipe.name, recipe.seed
        results = results_of(folder) if folder.results.exists() else None
    except RunError as error:
        return Listed("run", where, path.name, DAMAGED, str(error), when=when)
    if results is not None:
        row = own_row(results)
        score, metric = None if row is None else row.scores.primary, results.metrics[0]
        return Listed("run", where, title, FINISHED, "", seed, score, when, metric=metric)
    holder, progress = in_use(path), _progress(folder, recipe)
    return Listed("run", where, title, RUNNING if holder else UNFINISHED, holder or "", seed, None, when, progress)


def _look_at_bench(where: str, path: Path) -> Listed:
    table, holder, title = path / TABLE, in_use(path), path.resolve().name
    when = max(map(written, (table, path / LOGS)))
    if not table.exists():
        return Listed("bench", where, title, RUNNING if holder else UNFINISHED, holder or "", when=when)
    try:
        ranked = [(metrics_from_json(one.get("metrics"))[0], one["rows"]) for one in bench_tables(path)]
        metric = ranked[0][0] if ranked else SEGMENTATION[0]
        scores = [(own, row[own.name]["mean"], row["method"]) for own, rows in ranked for row in rows]
        found = [(value, method) for own, value, method in scores if own == metric and method != ORACLE]
        best = min(found, key=lambda one: metric.rank(one[0]), default=(None, ""))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = f"{TABLE} cannot be read ({type(error).__name__}: {error}); daf bench writes it anew"
        return Listed("bench", where, title, DAMAGED, said, when=when)
    note = holder or f"best: {best[1]}" * (best[0] is not None)
    return Listed("bench", where, title, RUNNING if holder else FINISHED, note, None, best[0], when, metric=metric)


def _progress(folder: RunFolder, recipe: Recipe) -> str:
    now, last = stage_now(folder), last_entry(folder.log)
    if now is None and last is not None:
        now = {**last, "total": total_steps(recipe, last["stage"])}
    if now is None:
        return ""
    return f"{now['stage']}: step {now['step']}" + (f" of {now['total']}" if now["total"] else "")


def stage_now(folder: RunFolder) -> dict[str, Any] | None:
    """``stage``, ``step`` and ``total`` of what a run that goes on, or was killed, tells of beside its log."""
    found = last_entry(folder.progress)
    return None if found is None else {**found, "total": found["values"].get("total")}


def total_steps(recipe: Recipe, stage: str) -> int | None:
    """How many steps a stage takes, where the recipe says so."""
    if stage == TRANSLATION:
        return None if recipe.translation is None else recipe.translation.steps
    table, row = recipe.downstream, trained_in(stage)
    if row is not None and row == self_trained(begun_from(row)) and table.self_training is not None:
        return table.self_training.steps or table.steps
    return None if row is None else table.steps


def own_row(results: Results) -> Row | None:
    """The row of the run's own method, `Results.own_row`; None where there are no rows."""
    return next((row for row in results.rows if row.method == results.own_row), None)


def recipe_of(folder: RunFolder) -> Recipe:
    """Its recipe, read again where the file was written since."""
    recipe: Recipe = _read(read_recipe, folder, _stamp(folder.recipe))
    return recipe


def results_of(folder: RunFolder) -> Results:
    """Its results, read again where the file was written since."""
    results: Results = _read(read_results, folder.results, _stamp(folder.results))
    return results


@lru_cache(2000)
def _read(read: Callable[[Any], Any], place: Any, stamp: tuple[int, int]) -> Any:
    return read(place)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def written(path: Path) -> float:
    """When; 0 where it is not there."""
    return _stamp(path)[0] / 1e9
