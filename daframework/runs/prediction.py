"""What a finished run needs to predict: a row's models, and what is written for each class."""

from colorsys import hsv_to_rgb
from contextlib import suppress

import torch
from torch import Tensor, nn

from daframework.compute.session import Session
from daframework.data.spaces import LabelSpace, label_space, label_spaces
from daframework.downstream.predict import Written
from daframework.errors import DafError, RunError, unknown
from daframework.interfaces import Task
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.datasets import open_datasets
from daframework.runs.rows import load_model, member_name
from daframework.storage.results import read_results
from daframework.storage.run_folder import RunFolder


def load_models(session: Session, task: Task, recipe: Recipe, folder: RunFolder, row: str | None) -> nn.Module:
    """The model of a finished row, or the mean of its models where its generator is an ensemble; the recipe's own row
    if None, and source_only where the recipe has none.

    Raises:
        RunError: there is no such row, or its model is gone.
    """
    results = read_results(folder.results)
    rows, chosen = [one.method for one in results.rows], row or results.own_row
    if chosen not in rows:
        raise RunError(f"{folder.path}: {unknown('row', chosen, rows)}")
    models = [load_model(session, task, folder, chosen)]
    while folder.checkpoint(member_name(chosen, len(models))).exists():
        models.append(load_model(session, task, folder, member_name(chosen, len(models))))
    return models[0] if len(models) == 1 else task.ensemble(models)


def what_is_written(plugins: Plugins, recipe: Recipe, folder: RunFolder, task: Task, kind: str) -> Written:
    """What `predict_folder` writes of a run's labels; ``kind`` is "index", "id" or "colour".

    Ids and colours of classes are those of the run's label space; without one, colours are those of its pictures.
    Labels of another task are written as numbers, or in colours as their type is shown.

    Raises:
        RunError: the run has no results yet, or no such ids or colours.
    """
    if task.label_type.of_classes:
        values = _values(plugins, recipe, folder, kind)
        return Written(".png", lambda label: values[label] if values.ndim == 1 else values[label].permute(2, 0, 1))
    if kind == "id":
        hint = "write numbers with --write index, or --write colour"
        raise RunError(f"{folder.path}: its task '{recipe.task.name}' has no classes and so no ids; {hint}")
    if kind == "colour":
        try:
            task.label_type.render(task.label_type.example(8, 12, 1, torch.Generator())[None], ())
        except TypeError as error:
            raise RunError(f"{folder.path}: {error}; write numbers with --write index") from error
        return Written(".png", lambda label: task.label_type.render(label[None], ())[0])
    return Written(".npy", lambda label: label)


def _values(plugins: Plugins, recipe: Recipe, folder: RunFolder, kind: str) -> Tensor:
    """What is written for each class: (num_classes,) uint8 indices or ids, or (num_classes, 3) uint8 colours.

    Raises:
        RunError: the run has no results yet, or ids are asked for and its classes are of no label space that has them.
    """
    classes = read_results(folder.results).classes
    if kind == "index":
        return torch.arange(len(classes), dtype=torch.uint8)
    space, hint = _space(plugins, recipe, classes), "write indices with --write index"
    if kind == "colour":
        colours = class_colours(plugins, recipe, classes) if space is None else space.palette
        return torch.tensor(colours, dtype=torch.uint8)
    if space is None:
        found = f"its classes {', '.join(classes)} are those of no label space, so they have no ids"
        raise RunError(f"{folder.path}: {found}; {hint}")
    if space.ids is None:
        raise RunError(f"{folder.path}: the label space '{space.name}' has no ids; {hint}")
    return torch.tensor(space.ids, dtype=torch.uint8)


def class_colours(plugins: Plugins, recipe: Recipe, classes: tuple[str, ...]) -> list[tuple[int, ...]]:
    """An RGB colour (0 to 255) for each class of a run: its dataset's, as pictures of the run have them; where that is
    not there, its label space's, or hues far apart without one.
    """
    with suppress(DafError):
        dataset = open_datasets(plugins, recipe).target_test
        if tuple(dataset.classes) == classes:
            return list(dataset.palette)
    space = _space(plugins, recipe, classes)
    if space is not None:
        return list(space.palette)
    hues = (place / len(classes) for place in range(len(classes)))
    return [tuple(round(255 * part) for part in hsv_to_rgb(hue, 0.75, 0.9)) for hue in hues]


def _space(plugins: Plugins, recipe: Recipe, classes: tuple[str, ...]) -> LabelSpace | None:
    named = [label_space(plugins, recipe.data.classes)] if recipe.data.classes is not None else []
    return next((one for one in (*named, *label_spaces(plugins)) if one.classes == classes), None)
