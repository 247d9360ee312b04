"""A run: its rows, each in its turn. Every stage reads the recipe and leaves files; one whose files are there is
skipped.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import evolve

from daframework.adapt.translated_set import open_translated
from daframework.build import make_task
from daframework.compute.environment import describe
from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.data.cache.open import remove_cached
from daframework.data.stream import Blend
from daframework.data.unlabelled import Unlabelled
from daframework.errors import RecipeError, RunError
from daframework.interfaces import ImageDataset
from daframework.networks import make_networks
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.beside import rows_beside, trained_beside
from daframework.runs.context import RunContext, opened, read_seconds, set_title
from daframework.runs.datasets import label_problems, open_datasets, source_types
from daframework.runs.precision import Precision, for_task, formats_of, precision_for
from daframework.runs.rows import PlannedRow, content_preservation, fit_and_score
from daframework.runs.translation import translate
from daframework.storage.files import write_text
from daframework.storage.results import Results, Row, read_results, results_to_json, write_results
from daframework.storage.row_names import ORACLE, SOURCE_ONLY, begun_from
from daframework.storage.run_folder import RunFolder


def execute(
    session: Session, plugins: Plugins, recipe: Recipe, folder: RunFolder, precision: Precision | None = None
) -> Results:
    """Do what is not yet done of ``recipe`` in ``folder``, and return all of its results.

    ``precision`` is the recipe's on the session's device unless given.

    Raises:
        DafError: something the user can mend stopped it; the same call goes on from there.
    """
    results: Results | None = None
    try:
        results = from_first(lambda: _finished(folder, recipe)) or _compute(session, plugins, recipe, folder, precision)
    finally:
        session.log.end(None if results is None else results_to_json(results))
    return results


def _compute(
    session: Session, plugins: Plugins, recipe: Recipe, folder: RunFolder, precision: Precision | None
) -> Results:
    precision = precision or precision_for(plugins, recipe, session.fabric.device)
    run, target = open_run(session, plugins, recipe, folder, precision)
    if session.fabric.is_global_zero:
        _describe(run, precision)

    rows = planned_rows(run, target)
    others = rows_beside(run, rows)
    with trained_beside(run, others):
        if others:  # else each row in its turn, below
            for row in rows:
                if not row.needs and row not in others:
                    fit_and_score(run, row, row.sets())
            translate(run)
    done: dict[str, Row] = {}
    for row in by_needs(rows):
        sets = row.sets()
        done[row.name] = fit_and_score(run, row, sets)
        if row.translated and recipe.downstream.oracle:
            own = sets[: len(sets) - row.shared]
            done[row.name] = evolve(done[row.name], content_preservation=content_preservation(run, own))
        del sets  # with the images that they keep in memory

    results = from_first(lambda: _keep(run, [done[row.name] for row in rows]))
    if session.fabric.is_global_zero and any(row.translated for row in rows):
        for dataset in open_translated(folder.translated, run.source):  # nobody reads them once more
            remove_cached(dataset, recipe.data.resize, source_types(run.source, run.task.label_type))
    return results


def open_run(
    session: Session, plugins: Plugins, recipe: Recipe, folder: RunFolder, precision: Precision
) -> tuple[RunContext, ImageDataset]:
    """What the stages of a run share, and the target's training set with its labels.

    Raises:
        DafError: data is missing, or is not what the recipe's task learns from.
    """
    datasets = open_datasets(plugins, recipe)
    task = make_task(plugins, recipe, len(datasets.source.classes))
    if problems := label_problems(recipe, task.label_type, datasets):
        raise RecipeError(problems)
    types = source_types(datasets.source, task.label_type)
    source = opened(session, recipe, datasets.source, set_title(recipe, "source", "train"), types)
    # Of types none: no label of it is looked for or read, for the cache neither.
    target = Unlabelled(opened(session, recipe, datasets.target, set_title(recipe, "target", "train"), ()))
    target_test: ImageDataset = target
    if recipe.downstream.score:
        title = set_title(recipe, "target", "test")
        target_test = opened(session, recipe, datasets.target_test, title, [task.label_type])
    task_session = for_task(session, recipe, precision)
    run = RunContext(session, task_session, plugins, recipe, folder, source, target, target_test, task)
    return run, datasets.target


def planned_rows(run: RunContext, target: ImageDataset) -> list[PlannedRow]:
    """The rows of the run's table, in its order; ``target`` is the target's training set with its labels."""
    recipe, downstream = run.recipe, run.recipe.downstream
    common = downstream.augment
    own = recipe.augment or common
    rows = [PlannedRow(SOURCE_ONLY, lambda: [run.source], common)]
    if (translation := recipe.translation) is not None:
        # The source's model for losses and matched crops, the oracle for content preservation.
        needs = (SOURCE_ONLY,) if downstream.source_only or _needs_source_model(run) else ()
        needs = (*needs, ORACLE) if downstream.oracle else needs
        low, high = downstream.blend
        alone = low == high == 1.0 and not translation.also and translation.originals is None
        blend = None if alone else Blend(run.source, low, high, kept=translation.originals)
        row = PlannedRow(recipe.name, lambda: _translated(run), own, needs=needs, translated=True)
        rows.append(evolve(row, blend=blend, shared=len(translation.also)))
    elif recipe.augment is not None:
        rows.append(PlannedRow(recipe.name, lambda: [run.source], own))
    rows = [one for row in rows for one in row.and_what_follows(downstream)]
    others = [one for one in rows if begun_from(one.name) != SOURCE_ONLY]
    if others and not recipe.downstream.source_only:
        rows = [one for one in rows if one in others or any(one.name in other.needs for other in others)]
    if recipe.downstream.oracle:  # alone opens the target with its labels
        title, types = set_title(recipe, "target", "train"), [run.task.label_type]
        sets = partial(opened, run.session, recipe, target, title, types)
        rows.append(PlannedRow(ORACLE, lambda: [sets()], common, domain="target"))
    return rows


def _needs_source_model(run: RunContext) -> bool:
    if run.recipe.data.matched_crops:
        return True
    return make_networks(run.plugins, run.recipe, len(run.source.classes)).ask_source_model


def by_needs(rows: Sequence[PlannedRow]) -> Iterator[PlannedRow]:
    """``rows``, each as soon as those it needs were there, else in their order."""
    left, finished = list(rows), set[str]()
    while left:
        row = next((one for one in left if finished.issuperset(one.needs)), None)
        assert row is not None, f"rows that need one another: {[one.name for one in left]}"
        left.remove(row)
        yield row
        finished.add(row.name)


def _translated(run: RunContext) -> list[ImageDataset]:
    title = f"images translated by {run.recipe.name}"
    types = source_types(run.source, run.task.label_type)
    return [opened(run.session, run.recipe, one, title, types) for one in translate(run)]


def _finished(folder: RunFolder, recipe: Recipe) -> Results | None:
    with suppress(RunError):  # none yet; or a damaged file, which is written anew from the scores it was made of
        results = read_results(folder.results)
        return results if (results.recipe, results.seed) == (recipe.name, recipe.seed) else None
    return None


def _describe(run: RunContext, precision: Precision) -> None:
    fabric = run.session.fabric
    formats = {"translation": precision.translation, "task": precision.task}
    numbers: dict[str, Any] = {"formats": formats, "processes": fabric.world_size}
    before = formats_of(run.folder)
    if before and before[-1] == formats:
        before.pop()
    if before:
        numbers["formats_before"] = before
    write_text(run.folder.environment, json.dumps(describe(fabric.device) | numbers, indent=2) + "\n")


def _keep(run: RunContext, rows: Sequence[Row]) -> Results:
    """Write what came out, and return it."""
    environment = json.loads(run.folder.environment.read_text(encoding="utf-8"))
    classes = tuple(run.source.classes)
    seconds = {stage: round(spent, 1) for stage, spent in read_seconds(run.folder).items()}
    scored = len(run.target_test) if run.recipe.downstream.score else 0
    images = {"source": len(run.source), "target": len(run.target), "target_test": scored}
    found = run.recipe.name, run.recipe.seed, classes, tuple(rows), seconds, environment, images
    results = Results(*found, tuple(run.task.metrics), run.task.note)
    write_results(run.folder.results, results)
    return results
