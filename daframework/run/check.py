"""Check a recipe before anything is spent: its data, and its networks on the meta device, which computes nothing."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from daframework.adapt.objectives import DiscriminatorObjective, Fake, GeneratorObjective
from daframework.build import (
    DIRECTIONS,
    DOMAINS,
    Networks,
    bounded,
    first_line,
    make_discriminator,
    make_generator,
    make_networks,
    make_task,
    make_term,
)
from daframework.data.audit import turned_differently
from daframework.data.prepared import check_sample
from daframework.data.spaces import label_space
from daframework.errors import DafError, DataError, PluginError, RecipeError
from daframework.interfaces import Discriminator, Generator
from daframework.registry import Plugins, components
from daframework.run.datasets import Datasets, open_datasets
from daframework.tables import Recipe
from daframework.testing import check_discriminator, check_generator, check_size, check_task


def check(plugins: Plugins, recipe: Recipe, where: str) -> list[str]:
    """Build everything the recipe names; return warnings about data that is not there. ``where`` names the recipe.

    Raises:
        RecipeError: with every problem found.
    """
    problems: list[str] = []
    warnings: list[str] = []
    classes: Sequence[str] | None = None
    try:
        datasets = open_datasets(plugins, recipe)
        classes = datasets.source.classes
        problems += _first_images(recipe, datasets)
        warnings += _turned(recipe, datasets)
    except DataError as error:
        warnings.append(str(error))
        classes = _promised_classes(plugins, recipe)
    except (RecipeError, PluginError) as error:
        problems += _lines(error)
        classes = _promised_classes(plugins, recipe)
    # With classes unknown, a number stands in for them, so that everything else is still checked.
    num_classes = len(classes) if classes else 2
    with torch.device("meta"):
        unsound = _task_problems(plugins, recipe, num_classes)
        problems += unsound
        if recipe.generator is not None:
            problems += _network_problems(plugins, recipe, num_classes, has_task=not unsound)
    if problems:
        raise RecipeError([f"{where}: {problem}" for problem in problems])
    return warnings


def _promised_classes(plugins: Plugins, recipe: Recipe) -> Sequence[str] | None:
    """The classes that the recipe names, or that a dataset's factory knows without any file."""
    if recipe.data.classes is not None:
        with suppress(RecipeError, PluginError):  # reported where the datasets are opened
            return label_space(plugins, recipe.data.classes).classes
    known = components(plugins, "dataset").get(recipe.source.name)
    return None if known is None else getattr(known.factory, "classes", None)


def _first_images(recipe: Recipe, datasets: Datasets) -> list[str]:
    """The crop must fit, and labels be there where they are needed; each further image is seen when it is read.

    Raises:
        DataError: a first image or label cannot be read.
    """
    problems = []
    for dataset in (datasets.source, datasets.target_test)[: 1 + recipe.downstream.score]:
        check_sample(dataset[0], len(dataset.classes), labelled=True)
    if recipe.downstream.oracle:
        try:
            check_sample(datasets.target[0], len(datasets.target.classes), labelled=True)
        except DataError as error:
            hint = "if the target's training images have no labels, add --set downstream.oracle=false"
            raise DataError(f"{error}; {hint}") from error
    for domain, dataset in (("source", datasets.source), ("target", datasets.target)):
        height, width = recipe.data.resize or dataset.unlabelled(0).image.shape[1:]
        if height < recipe.data.crop_size[0] or width < recipe.data.crop_size[1]:
            problems.append(
                f"data.crop_size: {_by(recipe.data.crop_size)} (height x width) is larger than the images of {domain}, "
                f"{height} x {width}; lower it, or set data.resize"
            )
    return problems


def _turned(recipe: Recipe, datasets: Datasets) -> list[str]:
    """A warning of each labelled set whose first image is turned by EXIF, and its label not."""
    sets = {"source": datasets.source} | ({"target test": datasets.target_test} if recipe.downstream.score else {})
    found = [(title, dataset.file(0), dataset.inspect(0, labelled=True)) for title, dataset in sets.items()]
    return [turned_differently(title, [str(file)]) for title, file, one in found if one is not None and one.turned]


def _task_problems(plugins: Plugins, recipe: Recipe, num_classes: int) -> list[str]:
    height, width = recipe.data.crop_size
    try:
        task = make_task(plugins, recipe, num_classes)
        check_size(f"data.crop_size: task '{recipe.task.name}'", task.multiple, height, width)
        with bounded(f"task: task '{recipe.task.name}'"):
            check_task(task, num_classes=num_classes, height=height, width=width)
    except DafError as error:
        return _lines(error)
    except Exception as error:  # of whatever type: sizes that do not fit make torch raise almost anything
        return [f"data.crop_size: task '{recipe.task.name}' cannot take {height} x {width}: {first_line(error)}"]
    return []


def _network_problems(plugins: Plugins, recipe: Recipe, num_classes: int, *, has_task: bool) -> list[str]:
    assert recipe.generator is not None
    try:
        networks = make_networks(plugins, recipe, num_classes)
    except DafError as error:
        return _part_problems(plugins, recipe, num_classes) or _lines(error)
    problems = _fit_together(recipe, networks)
    height, width = recipe.data.crop_size
    try:
        # One generator and one discriminator: the others differ from them in their weights alone.
        generator = networks.generators["source_to_target"]
        check_size(f"data.crop_size: generator '{recipe.generator.name}'", generator.multiple, height, width)
        check_generator(generator, height=height, width=width)
        if recipe.discriminator is not None:
            discriminator = networks.discriminators["target"]
            name = f"data.crop_size: discriminator '{recipe.discriminator.name}'"
            check_size(name, discriminator.multiple, height, width)
            check_discriminator(discriminator, num_classes=num_classes, height=height, width=width)
    except DafError as error:
        problems += _lines(error)
    except Exception as error:
        problems.append(f"data.crop_size: a network cannot take {height} x {width}: {first_line(error)}")
    asking = [term.loss for term in networks.terms if term.loss.needs_source_model]
    if problems or (asking and not has_task):
        return problems  # those of the task are reported without it
    for loss in asking:
        loss.take_source_model(make_task(plugins, recipe, num_classes).model().eval().requires_grad_(False))
    return _step_problems(recipe, networks)


def _part_problems(plugins: Plugins, recipe: Recipe, num_classes: int) -> list[str]:
    """One part at a time, so that one that cannot be built does not hide the next."""
    problems: list[str] = []
    generator: Generator | None = None
    try:
        generator = make_generator(plugins, recipe, DIRECTIONS[0], num_classes)
    except DafError as error:
        problems += _lines(error)
    parts: list[Callable[[], object]] = []
    if recipe.discriminator is not None:
        parts.append(partial(make_discriminator, plugins, recipe, DOMAINS[0], num_classes))
    parts += [partial(make_term, plugins, recipe, table, num_classes, generator) for table in recipe.losses]
    for build in parts:
        try:
            build()
        except DafError as error:
            problems += _lines(error)
    return problems


def _fit_together(recipe: Recipe, networks: Networks) -> list[str]:
    problems = []
    name = recipe.discriminator.name if recipe.discriminator else ""
    semantic = all(one.has_semantics for one in networks.discriminators.values())
    for term in networks.terms:
        if (term.loss.needs_discriminator or term.loss.needs_semantics) and not networks.discriminators:
            problems.append(f"losses.{term.name}: needs a [discriminator], and there is none")
        elif term.loss.needs_semantics and not semantic:
            problems.append(
                f"losses.{term.name}: needs a discriminator with a semantic head, and '{name}' has none; "
                'use [discriminator] name = "semantic", or leave the loss out'
            )
    return problems


def _step_problems(recipe: Recipe, networks: Networks) -> list[str]:
    """One whole step on the meta device, in which one generator and one discriminator stand for all."""
    if recipe.translation is None or recipe.translation.steps == 0:
        return []
    batch, (height, width) = recipe.data.batch_size, recipe.data.crop_size
    generators = dict.fromkeys(networks.generators, cast(Generator, _Once(networks.generators["source_to_target"])))
    discriminators: dict[str, Discriminator] = {}
    if networks.discriminators:
        judge = cast(Discriminator, _Once(networks.discriminators["target"]))
        discriminators = dict.fromkeys(networks.discriminators, judge)
    try:
        image = torch.zeros(batch, 3, height, width)
        label = torch.zeros(batch, height, width, dtype=torch.int64)
        made = GeneratorObjective(generators, discriminators, networks.terms)(image, label, image)
        if not made.values:
            return ["losses: none of them trains the generators"]
        if discriminators:
            fakes = {domain: Fake(image, label if domain == "target" else None) for domain in DOMAINS}
            rebuilt = {domain: image for domain in DOMAINS if f"rec_{domain}" in made.images}
            real = {domain: image for domain in DOMAINS}
            DiscriminatorObjective(discriminators, networks.terms)(real, label, fakes, rebuilt)
    except DafError as error:
        return [f"losses: {line}" for line in _lines(error)]
    except NotImplementedError:
        return []  # a plugin's loss looks at values, which the meta device does not have
    except Exception as error:
        return [] if "meta" in str(error) else [f"losses: a step fails: {first_line(error)}"]
    return []


class _Once(nn.Module):
    """A network on the meta device, where an output depends on the input's shape alone: each is computed once."""

    def __init__(self, network: Generator | Discriminator) -> None:
        super().__init__()
        self._network: Any = network
        self._outputs: dict[torch.Size, Any] = {}

    def forward(self, image: torch.Tensor) -> Any:
        if image.shape not in self._outputs:
            self._outputs[image.shape] = self._network(image)
        return self._outputs[image.shape]

    def features(self, image: torch.Tensor, layers: Sequence[int]) -> Any:
        return self._network.features(image, layers)


def _lines(error: DafError) -> list[str]:
    return error.problems if isinstance(error, RecipeError) else [str(error)]


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
