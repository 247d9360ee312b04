"""What a search sets: keys of a recipe, each with the values it may take."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import isfinite
from typing import Any

from attrs import asdict, evolve, field, frozen
from attrs.validators import optional

from daframework.build import component_problems
from daframework.errors import RecipeError
from daframework.recipes.read import dump, flat, parse, put
from daframework.recipes.rules import rule
from daframework.recipes.strict import shown, structure
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins

_FACTOR = 4.0
_LR, _DISCRIMINATOR_LR = "translation.lr", "translation.discriminator_lr"
# What changes no result, or what the score is measured on: trials that differ in it cannot be compared.
_NOT_SEARCHED = (
    *("name", "seed", "target", "log", "hardware"),
    *(f"data.{key}" for key in ("resize", "classes", "source_map", "target_map", "cache")),
    *(f"downstream.{key}" for key in ("oracle", "source_only", "score", "target_norms")),
)
_number = rule("a finite number", lambda value: type(value) in (int, float) and isfinite(value))


@frozen
class Range:
    """The values that a key may take: numbers between two, or some choices.

    Args:
        low: the lowest number.
        high: the highest; whole numbers are drawn where both are written as such and the recipe has one itself, or
            none.
        log: draw numbers evenly on a logarithmic scale.
        choices: these values instead, of any type that the key takes.
    """

    low: Any = field(default=None, validator=optional(_number))
    high: Any = field(default=None, validator=optional(_number))
    log: bool = False
    choices: tuple[Any, ...] | None = None

    def __contains__(self, value: Any) -> bool:
        if self.choices is not None:
            return value in self.choices
        return type(value) in (int, float) and bool(self.low <= value <= self.high)

    def written(self) -> dict[str, Any]:
        """What was set of it, as TOML or JSON take it."""
        return asdict(self, filter=lambda _, value: value is not None and value is not False)


Space = Mapping[str, Range]
"""Ranges by the recipe's keys, written as ``--set`` takes them: ``losses.cycle.weight``."""


def default_space(recipe: Recipe) -> Space:
    """Weights of losses and learning rates of the translation, from a quarter to four times the recipe's own.

    The first weight stays: Adam's steps depend only on how the weights compare.

    Raises:
        RecipeError: nothing is trained for the translation.
    """
    if recipe.translation is None or recipe.translation.steps == 0:
        raise RecipeError(f"{recipe.name}: trains no translation, which is searched by default; say what with --space")
    weights = {f"losses.{loss.name}.weight": loss.weight for loss in recipe.losses if loss.weight > 0}
    lr = recipe.translation.lr
    rates = {_LR: lr} | ({_DISCRIMINATOR_LR: recipe.translation.discriminator_lr or lr} if recipe.discriminator else {})
    centres = dict(list(weights.items())[1:]) | rates
    return {key: Range(centre / _FACTOR, centre * _FACTOR, log=True) for key, centre in centres.items()}


def make_space(plugins: Plugins, recipe: Recipe, tables: Mapping[str, Any], where: str) -> Space:
    """The space written as ``tables``, which fits ``recipe``; ``where`` names their origin in errors.

    A key may be written with its dots, or as tables within one another.

    Raises:
        RecipeError: with every problem found: of a key, its range, or the ends of that.
    """
    space: dict[str, Range] = {}
    problems: list[str] = []
    own = flat(dump(recipe))
    for key, table in _written(tables):
        found, wrong = structure(table, Range, key)
        if found is not None:
            wrong = _contradictions(key, found) or _misfits(plugins, recipe, key, found)
            if isinstance(own.get(key), float) and found.choices is None and not wrong:
                found = evolve(found, low=float(found.low), high=float(found.high))
            wrong += [f"{key}: is there twice"] * (key in space)
            space[key] = found
        problems += wrong
    if not space and not problems:
        problems.append('no key to search; write one as in "translation.lr" = { low = 5e-5, high = 8e-4, log = true }')
    if problems:
        raise RecipeError([f"{where}: {problem}" for problem in problems])
    return space


def _written(tables: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each key with its range: the innermost tables."""
    for name, inner in tables.items():
        key = f"{path}.{name}" if path else name
        if isinstance(inner, dict) and inner and all(isinstance(one, dict) for one in inner.values()):
            yield from _written(inner, key)
        else:
            yield key, inner


def _contradictions(key: str, one: Range) -> list[str]:
    if (one.choices is None) == (one.low is None and one.high is None):
        return [f"{key}: must have low and high, or choices"]
    if one.choices is not None:
        some = any(choice != one.choices[0] for choice in one.choices)
        return [] if some else [f"{key}.choices: must be two different values or more, got {shown(list(one.choices))}"]
    if one.low is None or one.high is None:
        return [f"{key}: must have both low and high"]
    if one.low >= one.high:
        return [f"{key}: must have low below high, got low = {one.low}, high = {one.high}"]
    if one.log and one.low <= 0:
        return [f"{key}.low: must be greater than 0 on a logarithmic scale, got {one.low}"]
    return []


def _misfits(plugins: Plugins, recipe: Recipe, key: str, one: Range) -> list[str]:
    """What is wrong with the recipe at the ends of a range."""
    if any(f"{key}.".startswith(f"{other}.") for other in _NOT_SEARCHED):
        return [f"{key}: cannot be searched: trials that differ in it cannot be compared, or do not differ at all"]
    problems: dict[str, None] = {}
    for value in one.choices or (one.low, one.high):
        tables = deepcopy(dump(recipe))
        try:
            put(tables, key, value, key)
            parse(tables, key)
            problems |= dict.fromkeys(component_problems(plugins, tables))
        except RecipeError as error:
            problems |= dict.fromkeys(line.removeprefix(f"{key}: ") for line in error.problems)
    return list(problems)


def with_values(recipe: Recipe, values: Mapping[str, Any], name: str | None = None) -> Recipe:
    """``recipe`` with keys of a space set anew, called ``name`` if given.

    Raises:
        RecipeError: they do not go together.
    """
    tables = deepcopy(dump(recipe)) | ({} if name is None else {"name": name})
    for key, value in values.items():
        put(tables, key, value, key)
    return parse(tables, recipe.name)


def own_values(recipe: Recipe, space: Space) -> dict[str, Any]:
    """What the recipe itself has for each key, None where it leaves one out."""
    written = flat(dump(recipe))
    written.setdefault(_DISCRIMINATOR_LR, written.get(_LR))  # which it is where it is left out
    return {key: written.get(key) for key in space}
