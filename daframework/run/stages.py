"""The stages of a run, in order. Each reads the recipe and leaves files; one whose files are there is skipped."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import torch
from lightning_fabric import Fabric
from torch import nn

from daframework.adapt.loop import train
from daframework.adapt.samples import sample_grid
from daframework.adapt.translate import open_translated, translate_set
from daframework.build import DIRECTIONS, Networks, make_generator, make_networks, make_task
from daframework.checkpoint import load, save
from daframework.data.decode import write_image
from daframework.data.prepared import Prepared, Unlabelled
from daframework.data.stream import TrainingStream
from daframework.downstream.fit import fit
from daframework.downstream.score import score
from daframework.errors import RecipeError, RunError
from daframework.interfaces import Generator, ImageDataset, Scores, Task
from daframework.registry import Plugins
from daframework.run.check import open_datasets
from daframework.run.environment import describe
from daframework.run.files import write_text
from daframework.run.folder import RunFolder
from daframework.run.results import (
    Results,
    Row,
    read_results,
    scores_from_json,
    scores_to_json,
    write_results,
)
from daframework.session import Session
from daframework.tables import Recipe

SOURCE_ONLY = "source_only"
ORACLE = "oracle"
GENERATOR = "generator"
_SAMPLES = 4


@attrs.frozen(eq=False)
class Run:
    """What the stages of one run share."""

    session: Session
    plugins: Plugins
    recipe: Recipe
    folder: RunFolder
    source: ImageDataset
    target: ImageDataset
    target_test: ImageDataset
    task: Task


def make_fabric(recipe: Recipe) -> Fabric:
    """The device and the number format that ``[hardware]`` asks for.

    Raises:
        RecipeError: this machine does not have it.
    """
    hardware = recipe.hardware
    try:
        return Fabric(accelerator=hardware.accelerator, devices=1, precision=hardware.precision)
    except (RuntimeError, ValueError) as error:
        raise RecipeError(f"hardware: {' '.join(str(error).split())}") from error


def execute(session: Session, plugins: Plugins, recipe: Recipe, folder: RunFolder) -> Results:
    """Do what is not yet done of ``recipe`` in ``folder``, and return all of its results.

    Raises:
        DafError: something the user can mend stopped it; the same call goes on from there.
    """
    if folder.results.exists():
        return read_results(folder.results)
    datasets = open_datasets(plugins, recipe)
    run = Run(
        session=session,
        plugins=plugins,
        recipe=recipe,
        folder=folder,
        source=_prepared(recipe, datasets.source),
        target=_prepared(recipe, datasets.target),
        target_test=_prepared(recipe, datasets.target_test),
        task=make_task(plugins, recipe, len(datasets.source.classes)),
    )
    write_text(folder.environment, json.dumps(describe(session.fabric.device), indent=2) + "\n")

    rows = [Row(SOURCE_ONLY, _fit_and_score(run, SOURCE_ONLY, run.source))]
    oracle = [Row(ORACLE, _fit_and_score(run, ORACLE, run.target))] if recipe.downstream.oracle else []
    if recipe.generator is not None:
        _translate(run)
        translated = _prepared(recipe, open_translated(folder.translated, run.source))
        scores = _fit_and_score(run, recipe.name, translated)
        rows.append(Row(recipe.name, scores, _preservation(run, translated) if oracle else None))
    rows += oracle

    environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    classes = tuple(run.source.classes)
    seconds = {stage: round(spent, 1) for stage, spent in _seconds(folder).items()}
    results = Results(recipe.name, recipe.seed, classes, tuple(rows), seconds, environment)
    write_results(folder.results, results)
    return results


def _prepared(recipe: Recipe, dataset: ImageDataset) -> Prepared:
    return Prepared(dataset, recipe.data.resize, recipe.hardware.cache_mb * 2**20)


def _stream(recipe: Recipe, dataset: ImageDataset, name: str) -> TrainingStream:
    return TrainingStream(dataset, recipe.data.crop_size, recipe.data.flip, recipe.seed, name)


def _fit_and_score(run: Run, row: str, dataset: ImageDataset) -> Scores:
    """Train the task model on ``dataset`` and score it on the target's test set: the last model, never the best."""

    def measure() -> Scores:
        with _timed(run, f"training on {row}"):
            stream = _stream(run.recipe, dataset, "task")
            model = fit(run.session, run.task, stream, run.recipe, row, run.folder.checkpoint(row))
        with _timed(run, "scoring"):
            return score(
                run.session, run.task, model, run.target_test, run.recipe.downstream.batch_size, f"scoring {row}"
            )

    return _once(run, row, measure)


def _preservation(run: Run, translated: ImageDataset) -> Scores:
    """The oracle, which knows the target, judges whether translated images still show what their labels say."""

    def measure() -> Scores:
        oracle = run.session.fabric.to_device(_trained(run, ORACLE))
        with _timed(run, "judging content"):
            batch_size = run.recipe.downstream.batch_size
            return score(run.session, run.task, oracle, translated, batch_size, "judging content")

    return _once(run, "semantic_preservation", measure)


def _trained(run: Run, row: str) -> nn.Module:
    model = run.task.model()
    state = load(run.folder.checkpoint(row), torch.device("cpu"))
    assert state is not None, f"{row} was trained before"
    model.load_state_dict(state["model"])
    return model


def _once(run: Run, name: str, measure: Callable[[], Scores]) -> Scores:
    """Scores from their file, or measured now and written there."""
    path, classes = run.folder.scores(name), run.source.classes
    if path.exists():
        return scores_from_json(json.loads(path.read_text(encoding="utf-8")), classes)
    scores = measure()
    if run.session.fabric.is_global_zero:
        write_text(path, json.dumps(scores_to_json(scores, classes), indent=2) + "\n")
    return scores


def _translate(run: Run) -> None:
    """Train the translation, keep its generator, and translate the whole source set with it."""
    if run.folder.translated.exists():
        return
    num_classes = len(run.source.classes)
    finished = run.folder.checkpoint(GENERATOR)
    if not finished.exists():
        networks = make_networks(run.plugins, run.recipe, num_classes)
        target = Unlabelled(run.target)
        prepare(networks, run.source, target)
        streams = {
            "source": _stream(run.recipe, run.source, "source"),
            "target": _stream(run.recipe, target, "target"),
        }

        def draw(step: int, translator: nn.Module) -> None:
            _draw_samples(run, networks, step, translator)

        with _timed(run, "translation"):
            checkpoint = run.folder.checkpoint("translation")
            translator = train(run.session, networks, streams, run.recipe, checkpoint, draw)
        if run.session.fabric.is_global_zero:
            save(finished, {"generator": translator.state_dict(), "num_classes": num_classes})
    generator = load_generator(run.plugins, run.recipe, run.folder, run.session.fabric)
    with _timed(run, "translating"):
        batch_size = run.recipe.downstream.batch_size
        translate_set(run.session, generator, run.source, run.folder.translated, batch_size)


def load_generator(plugins: Plugins, recipe: Recipe, folder: RunFolder, fabric: Fabric) -> Generator:
    """The trained source_to_target generator of a run, on the fabric's device.

    Raises:
        RunError: the run has none, or not yet, or one that its recipe no longer builds.
    """
    path = folder.checkpoint(GENERATOR)
    state = load(path, fabric.device)
    if state is None:
        raise RunError(f"{folder.path} holds no trained generator; has its translation finished?")
    generator = make_generator(plugins, recipe, DIRECTIONS[0], int(state["num_classes"]))
    try:
        generator.load_state_dict(state["generator"])
    except RuntimeError as error:
        raise RunError(
            f"{path} does not fit the recipe's generator; was it made by another version of its plugin? "
            f"({' '.join(str(error).split())})"
        ) from error
    return generator.to(fabric.device).eval()


def prepare(networks: Networks, source: ImageDataset, target: ImageDataset) -> None:
    """Let generators and losses measure the domains; ``target`` must hand out no labels."""
    networks.generators["source_to_target"].prepare(source, target)
    networks.generators["target_to_source"].prepare(target, Unlabelled(source))
    for term in networks.terms:
        term.loss.prepare(source, target)


def _draw_samples(run: Run, networks: Networks, step: int, translator: nn.Module) -> None:
    if not run.session.fabric.is_global_zero:
        return
    count = len(run.source)
    samples = [run.source[place * count // _SAMPLES] for place in range(min(_SAMPLES, count))]
    same = [sample for sample in samples if sample.image.shape == samples[0].image.shape]
    grid = sample_grid(translator, networks, same, run.source.palette, run.session.fabric.device)
    run.folder.samples.mkdir(parents=True, exist_ok=True)
    write_image(run.folder.samples / f"step_{step:06d}.png", grid)


@contextmanager
def _timed(run: Run, stage: str) -> Iterator[None]:
    """Add the time spent inside to the stage's seconds, also when it is interrupted."""
    start = time.monotonic()
    try:
        yield
    finally:
        if run.session.fabric.is_global_zero:
            seconds = _seconds(run.folder)
            seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - start
            write_text(run.folder.seconds, json.dumps(seconds, indent=2) + "\n")


def _seconds(folder: RunFolder) -> dict[str, float]:
    if not folder.seconds.exists():
        return {}
    seconds: dict[str, float] = json.loads(folder.seconds.read_text(encoding="utf-8"))
    return seconds
