"""From a recipe's tables to objects: a factory is called with the options written in the recipe, and nothing else.

What daframework knows better than the user is supplied by name to a factory that asks for it: see `SUPPLIED`.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from daframework.dataset_interface import ImageDataset
from daframework.errors import DafError, PluginError, RecipeError, collected, unknown
from daframework.recipes.strict import structure
from daframework.recipes.tables import ComponentTable, Recipe
from daframework.registry import Component, Plugins, fault_of, find

if TYPE_CHECKING:
    from daframework.interfaces import Task

SUPPLIED = {
    "num_classes": "how many classes the datasets have",
    "split": 'which part of a dataset is wanted: "train" or "test"',
    "generator": "the generator from source to target, to read its sizes from",
}
_MOST_MODULES = 10_000  # of torch: several times what the largest networks have
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def make(component: Component, options: Mapping[str, Any], where: str, **supplied: Any) -> Any:
    """Call a component's factory with a recipe's ``options`` and with what it asks for of ``supplied``.

    Raises:
        RecipeError: options are unknown, missing, of a wrong type or refused by the factory; ``where`` names the table.
        PluginError: the factory returns something else than its kind promises.
    """
    arguments = _arguments(component, options, where, supplied)
    title = f"{where}: {component.kind} '{component.name}'"
    try:
        with nullcontext() if component.kind == "dataset" else bounded(title):
            built = component.factory(**arguments)
    except DafError:
        raise
    except (ValueError, TypeError) as error:
        of_classes = arguments.get("num_classes") == 0 and "num_classes" in str(error)
        hint = "; it goes by classes, and the source has none" if of_classes else ""
        raise RecipeError(f"{title}: {error}{hint}") from error
    except Exception as error:  # sizes that nothing can hold make torch and Python raise almost anything
        raise RecipeError(f"{title} cannot be built with these options: {first_line(error)}") from error
    wanted = _interface(component.kind)
    if not isinstance(built, wanted):
        raise PluginError(
            f"{title} of plugin {component.origin} must be a {wanted.__name__}, got {type(built).__name__}"
        )
    return built


def _interface(kind: str) -> type:
    if kind == "dataset":
        return ImageDataset
    from daframework import interfaces  # here, since a dataset takes no torch

    return {
        "generator": interfaces.Generator,
        "discriminator": interfaces.Discriminator,
        "loss": interfaces.Loss,
        "task": interfaces.Task,
    }[kind]


@contextmanager
def bounded(title: str) -> Iterator[None]:
    """Inside, no network of millions of layers is built, which would take hours before it could be seen to be absurd.

    Raises:
        RecipeError: what ``title`` names has more than `_MOST_MODULES` parts.
    """
    from torch.nn.modules.module import register_module_module_registration_hook

    count = 0

    def add(*_: object) -> None:
        nonlocal count
        count += 1
        if count > _MOST_MODULES:
            raise RecipeError(f"{title} has more than {_MOST_MODULES} layers and parts of layers; ask for fewer")

    with register_module_module_registration_hook(add):
        yield


def first_line(error: Exception) -> str:
    """What an error of torch or Python says, in a line, with its type, and the plugin's line that it came through."""
    said, fault = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}", fault_of(error)
    notes = [*getattr(error, "__notes__", ()), *([] if fault is None else [fault])]
    return f"{said} ({', '.join(notes)})" if notes else said


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
    table: ComponentTable = getattr(recipe, domain)
    dataset: ImageDataset = make_named(plugins, "dataset", table, domain, split=split)
    return dataset


def make_task(plugins: Plugins, recipe: Recipe, num_classes: int) -> "Task":
    """The recipe's task."""
    task: Task = make_named(plugins, "task", recipe.task, "task", num_classes=num_classes)
    return task


def make_named(plugins: Plugins, kind: str, table: ComponentTable, where: str, **supplied: Any) -> Any:
    """The component that a recipe's ``table`` names, see `make`."""
    return make(_find(plugins, kind, table.name, where), table.options, where, **supplied)


def _find(plugins: Plugins, kind: str, name: str, where: str) -> Component:
    try:
        return find(plugins, kind, name)
    except PluginError as error:
        raise RecipeError(f"{where}.name: {error}") from error
