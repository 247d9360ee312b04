"""Check the networks of a recipe, each by itself and all of them in one step, where nothing is computed."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from attrs import evolve
from torch import Tensor, nn

from daframework.adapt.rehearsal import try_step
from daframework.build import bounded, first_line, make_task
from daframework.compute.ranks import alone, count_ranks
from daframework.data.checks.sizes import Sizes
from daframework.downstream.target_norms import batch_norms
from daframework.errors import DafError, collected, lines
from daframework.interfaces import SEMANTIC, Discriminator, Generator
from daframework.networks import (
    DIRECTIONS,
    DOMAINS,
    Networks,
    Term,
    judged_domains,
    make_also,
    make_discriminator,
    make_generator,
    make_term,
)
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, components
from daframework.runs.trial import Built, Tell, Trial, Whole, looks_at_values
from daframework.testing import check_discriminator, check_generator, check_task

Build = Callable[[Plugins, Recipe, int], Built]


def network_problems(
    plugins: Plugins, recipe: Recipe, num_classes: int, sizes: Mapping[str, Sizes], tell: Tell
) -> list[str]:
    """Everything that is wrong with the task's model and the networks of the translation: each is built and tried.

    ``sizes`` are those of the images of "source", "target" and "target test", as far as they are known. ``tell`` is
    told in a line what could not be tried.
    """
    problems: list[str] = []
    crop = (recipe.data.crop_size[0], recipe.data.crop_size[1])
    sides = [(min(size[0] for size in one.counts), min(size[1] for size in one.counts)) for one in sizes.values()]
    most = (min(side[0] for side in sides), min(side[1] for side in sides)) if sides else None
    trials: dict[str, Trial] = {}
    for kind, build in _BUILD.items():
        if getattr(recipe, kind) is not None:
            trial = trials[kind] = _trial(plugins, recipe, num_classes, kind, build, tell)
            with collected(problems):
                problems += (found := trial.problems(crop, _wholes(recipe, kind, sizes), most))
                if kind == "task" and not found and not recipe.downstream.score:
                    # Nothing is scored, but it is what the model is for.
                    for line in trial.whole_problems(crop, _whole(sizes, "target", "as daf predict gives them")):
                        tell(line)
    if recipe.downstream.target_norms and trials["task"].network is not None:
        with collected(problems):
            batch_norms(trials["task"].built.network)
    with collected(problems):
        make_also(plugins, recipe, num_classes)
    if recipe.generator is not None:
        with torch.device("meta"):
            problems += _loss_problems(plugins, recipe, num_classes, trials, tell, broken=bool(problems))
    return problems


def _task(plugins: Plugins, recipe: Recipe, num_classes: int) -> Built:
    task = make_task(plugins, recipe, num_classes)
    with bounded(f"task: task '{recipe.task.name}'"):
        model = task.model()

    train = partial(check_task, task, num_classes=num_classes, model=model)
    one = task.label_type.example(8, 12, num_classes, torch.Generator())
    of_pixels = one.shape[-2:] == (8, 12)
    return Built(model, task.multiple, task.smallest, train, model, of_pixels, task.label_type)


def _generator(plugins: Plugins, recipe: Recipe, num_classes: int) -> Built:
    generator = make_generator(plugins, recipe, DIRECTIONS[0], num_classes)
    return Built(generator, generator.multiple, generator.smallest, partial(check_generator, generator), generator)


def _discriminator(plugins: Plugins, recipe: Recipe, num_classes: int) -> Built:
    discriminator = make_discriminator(plugins, recipe, DOMAINS[0], num_classes)

    def whole(image: Tensor) -> Tensor:
        semantics = discriminator(image).semantics if discriminator.has_semantics else None
        return image if semantics is None else semantics

    train = partial(check_discriminator, discriminator, num_classes=num_classes)
    return Built(discriminator, discriminator.multiple, 1, train, whole)


_BUILD: Mapping[str, Build] = {"task": _task, "generator": _generator, "discriminator": _discriminator}


def _trial(plugins: Plugins, recipe: Recipe, num_classes: int, kind: str, build: Build, tell: Tell) -> Trial:
    table = getattr(recipe, kind)

    def built(options: Mapping[str, Any]) -> Built:
        return build(plugins, evolve(recipe, **{kind: evolve(table, options=dict(options))}), num_classes)

    stage = "downstream" if kind == "task" else "data"
    component = components(plugins, kind).get(table.name)
    return Trial(
        table=kind,
        title=f"{kind} '{table.name}'",
        batch_key=f"{stage}.batch_size",
        # A batch norm is over the batches of all ranks.
        batch=getattr(recipe, stage).batch_size * count_ranks(),
        build=built,
        options=table.options,
        parameters=() if component is None else tuple(inspect.signature(component.factory).parameters),
        tell=tell,
    )


def _wholes(recipe: Recipe, kind: str, sizes: Mapping[str, Sizes]) -> list[Whole]:
    """The whole images that a network of this kind is given in a run."""
    if kind == "task":
        preservation = recipe.generator is not None and recipe.downstream.oracle
        scored = _whole(sizes, "target test", "as they are scored")
        return scored + (_whole(sizes, "source", "for content preservation") if preservation else [])
    if kind == "generator":
        return _whole(sizes, "source", "as they are translated")
    # It segments the first images of the source in the pictures of samples.
    return _whole(sizes, "source", "as samples are drawn")[:1] if "target" in judged_domains(recipe) else []


def _whole(sizes: Mapping[str, Sizes], name: str, use: str) -> list[Whole]:
    return [Whole(size, example, name, use) for size, example in sizes[name].examples.items()] if name in sizes else []


@alone()
def _loss_problems(
    plugins: Plugins, recipe: Recipe, num_classes: int, trials: Mapping[str, Trial], tell: Tell, *, broken: bool
) -> list[str]:
    """What is wrong with the losses, each by itself and with the networks, and in a step unless one is ``broken``."""
    problems: list[str] = []
    generator = cast("Generator | None", trials["generator"].network)
    terms: list[Term] = []
    for table in recipe.losses:
        with collected(problems):
            terms.append(make_term(plugins, recipe, table, num_classes, generator))
    problems += _fit_together(recipe, terms, trials)
    if problems or broken or recipe.translation is None or recipe.translation.steps == 0:
        return problems
    if any(trial.device != "meta" for trial in trials.values()):
        tell("losses: a step with them was not tried, since a network looks at values")
        return problems
    for term in terms:
        if term.loss.needs_source_model:
            model = trials["task"].built.network
            term.loss.take_source_model(model.eval().requires_grad_(False))
    return _step_problems(recipe, num_classes, terms, trials, tell)


def _fit_together(recipe: Recipe, terms: Sequence[Term], trials: Mapping[str, Trial]) -> list[str]:
    """What losses need that the discriminator and the task do not have."""
    problems = []
    judge, task, name = trials.get("discriminator"), trials["task"], recipe.discriminator and recipe.discriminator.name
    discriminator = cast("Discriminator | None", judge and judge.network)
    learned = SEMANTIC if task.network is None else task.built.label_type
    for term in terms:
        if (term.loss.needs_discriminator or term.loss.needs_semantics) and not judged_domains(recipe):
            problems.append(f"losses.{term.name}: needs a [discriminator], and there is none")
        elif term.loss.needs_semantics and discriminator is not None and not discriminator.has_semantics:
            remedy = 'use [discriminator] name = "semantic", or leave the loss out'
            problem = f"losses.{term.name}: needs a discriminator with a semantic head"
            problems.append(f"{problem}, and '{name}' has none; {remedy}")
        if term.loss.needs_source_model and not learned.of_classes:
            has = f"task '{recipe.task.name}' learns {learned.name}"
            problems.append(f"losses.{term.name}: needs a source model of classes, and {has}; leave the loss out")
    return problems


def _step_problems(
    recipe: Recipe, num_classes: int, terms: Sequence[Term], trials: Mapping[str, Trial], tell: Tell
) -> list[str]:
    """One whole step, forward and backward, in which one generator and one discriminator stand for all."""
    assert recipe.translation is not None, "a recipe without [translation] has no step"
    batch, (height, width) = trials["generator"].batch, recipe.data.crop_size
    translator = cast(Generator, _Once(trials["generator"].built.network.train()))
    judges: dict[str, Discriminator] = {}
    if "discriminator" in trials:
        judge = cast(Discriminator, _Once(trials["discriminator"].built.network.train()))
        judges = dict.fromkeys(judged_domains(recipe), judge)
    try:
        image = torch.zeros(batch, 3, height, width)
        label = torch.zeros(batch, height, width, dtype=torch.int64) if num_classes else None
        networks = Networks(dict.fromkeys(recipe.translation.directions, translator), judges, terms)
        values, total = try_step(networks, image, label, image)
        if not any(name.startswith("generator/") for name in values):
            return ["losses: none of them trains the generators"]
        translator.zero_grad()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        trained = [weights for weights in translator.parameters() if weights.requires_grad]
        if trained and all(weights.grad is None for weights in trained):
            return ["losses: none of them gives the generators a gradient; leave out what detaches or copies values"]
    except DafError as error:
        return [f"losses: {line}" for line in lines(error)]
    except Exception as error:
        if not looks_at_values(error):
            return [f"losses: a step fails: {first_line(error)}"]
        tell(f"losses: a step with them was not tried, since one looks at values: {first_line(error)}")
    return []


class _Once(nn.Module):
    """A network on the meta device, where an output depends on the input's shape alone: each is computed once."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network: Any = network
        self._outputs: dict[torch.Size, Any] = {}

    def forward(self, image: torch.Tensor) -> Any:
        if image.shape not in self._outputs:
            self._outputs[image.shape] = self._network(image)
        return self._outputs[image.shape]

    def features(self, image: torch.Tensor, layers: Sequence[int]) -> Any:
        return self._network.features(image, layers)
