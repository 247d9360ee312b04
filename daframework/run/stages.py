"""The stages of a run, in order. Each reads the recipe and leaves files; one whose files are there is skipped."""

import json
from collections.abc import Sequence
from contextlib import suppress

from daframework.build import make_task
from daframework.data.cached import Cached
from daframework.errors import RunError
from daframework.interfaces import ImageDataset
from daframework.ranks import from_first
from daframework.registry import Plugins
from daframework.run.context import Run, opened, read_seconds, set_title
from daframework.run.datasets import open_datasets
from daframework.run.environment import describe
from daframework.run.files import write_text
from daframework.run.folder import RunFolder
from daframework.run.hardware import Formats, for_task, number_formats
from daframework.run.results import Results, Row, read_results, write_results
from daframework.run.rows import ORACLE, SOURCE_ONLY, fit_and_score, judge_content
from daframework.run.translation import translate
from daframework.session import Session
from daframework.tables import Recipe


def execute(
    session: Session, plugins: Plugins, recipe: Recipe, folder: RunFolder, formats: Formats | None = None
) -> Results:
    """Do what is not yet done of ``recipe`` in ``folder``, and return all of its results.

    ``formats`` are the number formats, the recipe's on the session's device unless given.

    Raises:
        DafError: something the user can mend stopped it; the same call goes on from there.
    """
    if (found := from_first(lambda: _finished(folder, recipe))) is not None:
        return found
    datasets = open_datasets(plugins, recipe)
    test = set_title(recipe, "target", "test" if recipe.downstream.score else "train")
    formats = formats or number_formats(plugins, recipe, session.fabric.device)
    run = Run(
        session=session,
        task_session=for_task(session, recipe, formats),
        plugins=plugins,
        recipe=recipe,
        folder=folder,
        source=opened(session, recipe, datasets.source, set_title(recipe, "source", "train")),
        target=opened(session, recipe, datasets.target, set_title(recipe, "target", "train"), labels=False),
        target_test=opened(session, recipe, datasets.target_test, test, labels=recipe.downstream.score),
        task=make_task(plugins, recipe, len(datasets.source.classes)),
    )
    if session.fabric.is_global_zero:
        _describe(run, formats)

    common = recipe.downstream.augment
    own = recipe.augment or common
    rows = [Row(SOURCE_ONLY, fit_and_score(run, SOURCE_ONLY, [run.source], common))]
    oracle = []
    if recipe.downstream.oracle:
        labelled = run.target
        if isinstance(labelled, Cached):  # without labels until here
            labelled = opened(session, recipe, datasets.target, set_title(recipe, "target", "train"))
        oracle.append(Row(ORACLE, fit_and_score(run, ORACLE, [labelled], common, "target")))
    translated: list[ImageDataset] = []
    if recipe.generator is not None:
        title = f"images translated by {recipe.name}"
        translated = [opened(session, recipe, version, title) for version in translate(run)]
        scores = fit_and_score(run, recipe.name, translated, own)
        rows.append(Row(recipe.name, scores, judge_content(run, translated) if oracle else None))
    elif recipe.augment is not None:
        rows.append(Row(recipe.name, fit_and_score(run, recipe.name, [run.source], own)))
    rows += oracle

    results = from_first(lambda: _keep(run, rows))
    if session.fabric.is_global_zero:
        for dataset in translated:
            if isinstance(dataset, Cached):
                dataset.remove()  # the run is finished, and no other reads its images
    return results


def _finished(folder: RunFolder, recipe: Recipe) -> Results | None:
    if folder.results.exists():
        with suppress(RunError):  # a damaged file is written anew, from the scores it was made of
            results = read_results(folder.results)
            return results if (results.recipe, results.seed) == (recipe.name, recipe.seed) else None
    return None


def _describe(run: Run, formats: Formats) -> None:
    fabric = run.session.fabric
    numbers = {"formats": {"translation": formats.translation, "task": formats.task}, "processes": fabric.world_size}
    write_text(run.folder.environment, json.dumps(describe(fabric.device) | numbers, indent=2) + "\n")


def _keep(run: Run, rows: Sequence[Row]) -> Results:
    """Write what came out, and return it."""
    environment = json.loads(run.folder.environment.read_text(encoding="utf-8"))
    classes = tuple(run.source.classes)
    seconds = {stage: round(spent, 1) for stage, spent in read_seconds(run.folder).items()}
    scored = len(run.target_test) if run.recipe.downstream.score else 0
    images = {"source": len(run.source), "target": len(run.target), "target_test": scored}
    results = Results(run.recipe.name, run.recipe.seed, classes, tuple(rows), seconds, environment, images)
    write_results(run.folder.results, results)
    return results
