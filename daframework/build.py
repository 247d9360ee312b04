"""From a recipe's tables to objects: a factory is called with the options written in the recipe, and nothing else.

What daframework knows better than the user is supplied by name to a factory that asks for it: see `SUPPLIED`.
"""

# mypy: disable-error-code="no-any-return"
# `make` has looked at what it returns.

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from torch.nn.modules.module import register_module_module_registration_hook

from daframework.compute.randomness import global_seed
from daframework.errors import DafError, PluginError, RecipeError, collected, unknown
from daframework.interfaces import Discriminator, Generator, ImageDataset, Loss, Task
from daframework.recipes.strict import structure
from daframework.recipes.tables import ComponentTable, LossTable, Recipe
from daframework.registry import Component, Plugins, find

DIRECTIONS = ("source_to_target", "target_to_source")
DOMAINS = ("source", "target")
_OTHER = {"source": "target", "target": "source"}
SUPPLIED = {
    "num_classes": "how many classes the datasets have",
    "split": 'which part of a dataset is wanted: "train" or "test"',
    "generator": "the generator from source to target, to read its sizes from",
}
_MOST_MODULES = 10_000  # of torch: several times what the largest networks have
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_KINDS: dict[str, type] = {
    "generator": Generator,
    "discriminator": Discriminator,
    "loss": Loss,
    "task": Task,
    "dataset": ImageDataset,
}


@frozen(eq=False)
class Term:
    """A loss of the recipe, with its name and weight."""

    name: str
    weight: float
    loss: Loss


@frozen(eq=False)
class Networks:
    """What is trained: generators by direction, discriminators by domain, and the losses that train them."""

    generators: Mapping[str, Generator]
    discriminators: Mapping[str, Discriminator]
    terms: Sequence[Term]

    @property
    def trained(self) -> list[Generator | Discriminator]:
        """All generators and discriminators."""
        return [*self.generators.values(), *self.discriminators.values()]

    @property
    def ask_source_model(self) -> bool:
        """Whether a loss asks for the model of ``source_only``."""
        return any(term.loss.needs_source_model for term in self.terms)


def make(component: Component, options: Mapping[str, Any], where: str, **supplied: Any) -> Any:
    """Call a component's factory with a recipe's ``options`` and with what it asks for of ``supplied``.

    Raises:
        RecipeError: options are unknown, missing, of a wrong type or refused by the factory; ``where`` names the table.
        PluginError: the factory returns something else than its kind promises.
    """
    arguments = _arguments(component, options, where, supplied)
    title = f"{where}: {component.kind} '{component.name}'"
    try:
        with bounded(title):
            built = component.factory(**arguments)
    except DafError:
        raise
    except (ValueError, TypeError) as error:
        of_classes = arguments.get("num_classes") == 0 and "num_classes" in str(error)
        hint = "; it goes by classes, and the source has none" if of_classes else ""
        raise RecipeError(f"{title}: {error}{hint}") from error
    except Exception as error:  # sizes that nothing can hold make torch and Python raise almost anything
        raise RecipeError(f"{title} cannot be built with these options: {first_line(error)}") from error
    kind = _KINDS[component.kind]
    if not isinstance(built, kind):
        raise PluginError(f"{title} of plugin {component.origin} must be a {kind.__name__}, got {type(built).__name__}")
    return built


@contextmanager
def bounded(title: str) -> Iterator[None]:
    """Inside, no network of millions of layers is built, which would take hours before it could be seen to be absurd.

    Raises:
        RecipeError: what ``title`` names has more than `_MOST_MODULES` parts.
    """
    count = 0

    def add(*_: object) -> None:
        nonlocal count
        count += 1
        if count > _MOST_MODULES:
            raise RecipeError(f"{title} has more than {_MOST_MODULES} layers and parts of layers; ask for fewer")

    with register_module_module_registration_hook(add):
        yield


def first_line(error: Exception) -> str:
    """What an error of torch or Python says, in a line, with its type."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _arguments(
    component: Component, options: Mapping[str, Any], where: str, supplied: Mapping[str, Any]
) -> dict[str, Any]:
    title = f"{component.kind} '{component.name}'"
    try:
        parameters = inspect.signature(component.factory, eval_str=True).parameters
    except (NameError, ValueError, TypeError) as error:
        raise PluginError(f"{title} of plugin {component.origin}: its options cannot be read: {error}") from error
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    arguments = {name: value for name, value in supplied.items() if name in parameters}
    lacking = [name for name, value in arguments.items() if value is None]
    problems = [f"{where}: {title} reads the {name}, which cannot be built" for name in lacking]
    for key, value in options.items():
        if key not in parameters and not takes_any:
            known = [name for name in parameters if name not in SUPPLIED]
            problems.append(f"{where}: {title} has {unknown('option', key, known)}")
            continue
        annotation = parameters[key].annotation if key in parameters else Any
        arguments[key], wrong = structure(value, annotation, f"{where}.{key}")
        problems += wrong
    for name in required(parameters):
        if name not in arguments and name not in options:
            problems.append(f"{where}: {title} needs the option '{name}'")
    if problems:
        raise RecipeError(problems)
    return arguments


def required(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """Those of a factory's parameters that must be given."""
    return {name: one for name, one in parameters.items() if one.default is one.empty and one.kind not in _OPEN}


def component_problems(plugins: Plugins, tables: Mapping[str, Any]) -> list[str]:
    """What is wrong with the components in a recipe's ``tables`` as they are written: their names and their options.

    For a recipe that cannot be read for other faults; nothing is built.
    """
    kinds = {"source": "dataset", "target": "dataset"} | {kind: kind for kind in ("task", "generator", "discriminator")}
    written = [(kind, where, tables.get(where)) for where, kind in kinds.items()]
    losses = tables.get("losses")
    written += [("loss", "losses", one) for one in losses] if isinstance(losses, list) else []
    problems: list[str] = []
    for kind, where, table in written:
        options = dict(table) if isinstance(table, dict) else {"name": table}
        name = options.pop("name", None)
        if not isinstance(name, str):
            continue  # told where the tables are read
        if kind == "loss":
            where, _ = f"losses.{name}", options.pop("weight", None)
        with collected(problems):
            _arguments(_find(plugins, kind, name, where), options, where, dict.fromkeys(SUPPLIED, ""))
    return problems


def make_dataset(plugins: Plugins, recipe: Recipe, domain: str, split: str) -> ImageDataset:
    """The dataset of ``[source]`` or ``[target]``, ``split`` "train" or "test".

    Raises:
        RecipeError: its options are wrong.
        DataError: its files are.
    """
    return _make_named(plugins, "dataset", getattr(recipe, domain), domain, split=split)


def make_task(plugins: Plugins, recipe: Recipe, num_classes: int) -> Task:
    """The recipe's task."""
    return _make_named(plugins, "task", recipe.task, "task", num_classes=num_classes)


def make_generator(plugins: Plugins, recipe: Recipe, direction: str, num_classes: int) -> Generator:
    """The recipe's generator for one of the two directions."""
    assert recipe.generator is not None, "a recipe without [generator] translates nothing"
    with global_seed(recipe.seed, "generator", direction):
        return _make_named(plugins, "generator", recipe.generator, "generator", num_classes=num_classes)


def make_also(plugins: Plugins, recipe: Recipe, num_classes: int) -> list[Generator]:
    """The generators of ``translation.also``.

    Raises:
        RecipeError: there is no such generator, or it has weights to train.
    """
    made: list[Generator] = []
    for name in recipe.translation.also if recipe.translation else ():
        table = ComponentTable(name)
        generator: Generator = _make_named(plugins, "generator", table, "translation.also", num_classes=num_classes)
        if any(weight.requires_grad for weight in generator.parameters()):
            remedy = "name generators that only measure, such as color_transfer and fda"
            raise RecipeError(f"translation.also: generator '{name}' has weights, which nothing would train; {remedy}")
        made.append(generator)
    return made


def make_discriminator(plugins: Plugins, recipe: Recipe, domain: str, num_classes: int) -> Discriminator:
    """The recipe's discriminator for one of the two domains."""
    assert recipe.discriminator is not None, "a recipe without [discriminator] has none"
    with global_seed(recipe.seed, "discriminator", domain):
        return _make_named(plugins, "discriminator", recipe.discriminator, "discriminator", num_classes=num_classes)


def make_term(plugins: Plugins, recipe: Recipe, loss: LossTable, num_classes: int, generator: Generator | None) -> Term:
    """One loss of the recipe, with its weight; ``generator`` translates from source to target.

    Raises:
        RecipeError: an option is wrong, or the loss reads the generator's sizes and there is None to read.
    """
    with global_seed(recipe.seed, "loss", loss.name):
        supplied = {"num_classes": num_classes, "generator": generator}
        return Term(loss.name, loss.weight, _make_named(plugins, "loss", loss, f"losses.{loss.name}", **supplied))


def judged_domains(recipe: Recipe) -> list[str]:
    """The domains that have a discriminator: those that images are translated to."""
    if recipe.discriminator is None or recipe.translation is None:
        return []
    return [domain for domain in DOMAINS if f"{_OTHER[domain]}_to_{domain}" in recipe.translation.directions]


def make_networks(plugins: Plugins, recipe: Recipe, num_classes: int) -> Networks:
    """The generators, discriminators and losses, each initialised from a stream of its own.

    So a component's first weights do not depend on what else is in the recipe. A domain that nothing is translated to
    has no discriminator.
    """
    assert recipe.translation is not None, "a recipe without [translation] has no networks"
    directions: Sequence[str] = recipe.translation.directions
    generators = {one: make_generator(plugins, recipe, one, num_classes) for one in directions}
    discriminators = {one: make_discriminator(plugins, recipe, one, num_classes) for one in judged_domains(recipe)}
    terms = [make_term(plugins, recipe, loss, num_classes, generators[DIRECTIONS[0]]) for loss in recipe.losses]
    return Networks(generators, discriminators, terms)


def _make_named(plugins: Plugins, kind: str, table: ComponentTable, where: str, **supplied: Any) -> Any:
    return make(_find(plugins, kind, table.name, where), table.options, where, **supplied)


def _find(plugins: Plugins, kind: str, name: str, where: str) -> Component:
    try:
        return find(plugins, kind, name)
    except PluginError as error:
        raise RecipeError(f"{where}.name: {error}") from error
