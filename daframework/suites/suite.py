"""A suite: which recipes are compared, on which pair of domains, with which budgets, tasks and seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from daframework.errors import RecipeError
from daframework.recipes.read import Overrides, read_tables
from daframework.recipes.rules import at_least, plain_name, rule
from daframework.recipes.strict import REST, structure

_some = rule("a list of at least one entry, each once", lambda value: 0 < len(value) == len(set(value)))
_seeds = rule(
    "a list of at least one whole number from 0 to 2147483647, each once",
    lambda value: 0 < len(value) == len(set(value)) and all(0 <= seed < 2**31 for seed in value),
)
_labelled = rule("tables, each with a label of its own", lambda value: len({one.label for one in value}) == len(value))


@frozen
class TaskEntry:
    """A task of a suite: a recipe's ``[task]``, and the ``label`` that tables and folders call it by."""

    label: str = field(validator=plain_name)
    name: str = field()
    options: dict[str, Any] = field(factory=dict, metadata=REST)


@frozen
class Suite:
    """One comparison. What a table here says takes the place of what the recipes say; see docs/bench.md.

    Args:
        name: names the folder of its runs.
        recipes: names of recipes that plugins offer, or files beside the suite; each is a row of the table.
        seeds: every recipe is run once with each.
        baseline: the method that the others are compared with; ``cyclegan`` unless given, where it is among them.
        bootstrap: repetitions of the bootstrap over test images that intervals come from; 0 for no intervals.
        tasks: task models, each with a table of its own; the recipes' own task without any.
        source: the labelled domain, in place of each recipe's.
        target: the domain to adapt to, in place of each recipe's.
        data: keys of ``[data]``, over each recipe's.
        translation: keys of ``[translation]``, over each recipe's that trains.
        downstream: keys of ``[downstream]``, over each recipe's.
        hardware: keys of ``[hardware]``, over each recipe's.
        log: keys of ``[log]``, over each recipe's.
        options: options by a component's name, over those of every generator, discriminator and loss of that name.
    """

    name: str = field(validator=plain_name)
    recipes: tuple[str, ...] = field(validator=_some)
    seeds: tuple[int, ...] = field(default=(0, 1, 2), validator=_seeds)
    baseline: str | None = None
    bootstrap: int = field(default=2000, validator=at_least(0))
    tasks: tuple[TaskEntry, ...] = field(default=(), validator=_labelled)
    source: dict[str, Any] | None = None
    target: dict[str, Any] | None = None
    data: dict[str, Any] = field(factory=dict)
    translation: dict[str, Any] = field(factory=dict)
    downstream: dict[str, Any] = field(factory=dict)
    hardware: dict[str, Any] = field(factory=dict)
    log: dict[str, Any] = field(factory=dict)
    options: dict[str, dict[str, Any]] = field(factory=dict)


def read_suite(path: Path, overrides: Overrides = ()) -> Suite:
    """The suite in ``path`` with each of ``overrides`` put in its place.

    Raises:
        RecipeError: with every problem found.
    """
    return parse_suite(read_tables(path, overrides), str(path))


def parse_suite(tables: Mapping[str, Any], where: str) -> Suite:
    """The suite written as ``tables``; ``where`` names their origin in errors.

    Raises:
        RecipeError: with every problem found.
    """
    suite, problems = structure(tables, Suite)
    if suite is None:
        raise RecipeError([f"{where}: {problem}" for problem in problems])
    return suite
