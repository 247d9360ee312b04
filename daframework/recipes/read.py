"""Read a recipe: find the file, apply overrides, check every key; all problems are reported at once."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from daframework.errors import PluginError, RecipeError, unknown
from daframework.recipes.strict import shown, structure
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, folders
from daframework.text_file import read_text

_SUFFIX = ".toml"
_TAKEN = ("generator", "oracle", "semantic_preservation", "source_only", "translation")
"""Rows and files of every run: a method of such a name, or of one with a '.' behind it, would be taken for them."""
_GONE = {"hardware": {"side_by_side": "a step is computed in one order on every machine"}}
"""Keys that a recipe or run folder of before may hold, by table, and why they are needed no more."""
_OVERRIDE = re.compile(r"""(?P<key>(?:"[^"]*"|'[^']*'|[^="'])*)=(?P<value>.*)""", re.DOTALL)  # a key may be quoted
_DEEPEST = 20  # tables and lists within one another

Overrides = Iterable[str] | Mapping[str, Any]
"""Keys set anew: as ``KEY=VALUE``, or with their values, where a table sets the keys it holds and leaves the others."""


def locate(plugins: Plugins, argument: str, hook: str = "daf_recipes") -> Path:
    """The file meant by ``argument``: that file, or ``recipes/<name>.toml``, ``<name>.toml`` or ``<name>`` of a plugin.

    Raises:
        RecipeError: there is no such recipe.
        PluginError: two plugins offer it.
    """
    path = Path(argument)
    with suppress(OSError):  # too long for a file's name
        if path.is_file():
            return path
    kind = hook.removeprefix("daf_").removesuffix("s")
    offered: dict[str, Path] = {}
    for name, file, origin in offered_files(plugins, hook):
        if name in offered and path.stem == name:
            both = f"{offered[name]} and {file} ({origin})"
            raise PluginError(f"two plugins offer the {kind} '{name}': {both}; give a path")
        offered[name] = file
    if path.parent in (Path(), Path(f"{kind}s")) and path.suffix in ("", _SUFFIX) and path.stem in offered:
        return offered[path.stem]
    raise RecipeError(f"{argument}: not a file, and {unknown(kind, path.stem, offered)}")


def offered_files(plugins: Plugins, hook: str = "daf_recipes") -> list[tuple[str, Path, str]]:
    """Name, file and plugin of everything in the folders that plugins offer through ``hook``."""
    return [
        (file.stem, file, str(origin))
        for origin, folder in folders(plugins, hook)
        for file in sorted(folder.glob(f"*{_SUFFIX}"))
    ]


def read(path: Path, overrides: Overrides = (), *, seed: int | None = None) -> Recipe:
    """The recipe in ``path`` with each of ``overrides`` put in its place.

    Raises:
        RecipeError: the file or an override cannot be read, or a key is unknown, missing, of a wrong type or out of
            range; every such problem is in it.
    """
    tables = read_tables(path, overrides)
    if seed is not None:
        tables["seed"] = seed
    return parse(tables, str(path))


def read_toml(path: Path) -> str:
    """The text of a TOML file.

    Raises:
        RecipeError: it cannot be read, or is not in UTF-8.
    """
    try:
        return read_text(path)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{path}: not a TOML file: {error}") from error


def read_tables(path: Path, overrides: Overrides = ()) -> dict[str, Any]:
    """The tables of a TOML file as they are written, with each of ``overrides`` put in its place.

    Raises:
        RecipeError: the file or an override cannot be read.
    """
    try:
        tables = tomllib.loads(read_toml(path))
    except (ValueError, RecursionError) as error:  # bad TOML, a number of thousands of digits, lists in lists
        raise RecipeError(f"{path}: not a TOML file: {error}") from error
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            put(tables, key, value, f"{key}={shown(value)}")
    else:
        for text in overrides:
            apply_override(tables, text)
    if _is_deep(tables):
        raise RecipeError(f"{path}: has tables or lists more than {_DEEPEST} deep in one another")
    return tables


def _is_deep(tables: dict[str, Any]) -> bool:
    """Whether tables and lists lie deeper in one another than anything here reads; none is followed any further."""
    level: list[Any] = [tables]
    for _ in range(_DEEPEST):
        inside = [one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer)]
        level = [one for one in inside if isinstance(one, dict | list)]
    return bool(level)


def apply_override(tables: dict[str, Any], text: str) -> None:
    """Set one key: ``translation.steps=10``, ``losses.cycle.weight=5``, ``losses.0.weight=5``. The value is TOML.

    A value that is no TOML is taken as a plain string, so that a path needs no quotes.

    Raises:
        RecipeError: the text is not KEY=VALUE, or the key leads through something that has no keys.
    """
    written = _OVERRIDE.fullmatch(text)
    if written is None:
        raise RecipeError(f"--set {text}: must be KEY=VALUE, as in --set translation.steps=10")
    put(tables, written["key"], _value(written["value"].strip()), f"--set {text}")


def put(tables: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set one key, such as ``losses.cycle.weight`` or ``data.source_map."traffic light"``.

    A table as ``value`` sets its keys and leaves the others, but where its ``name`` is that of another component, whose
    options are not those of the one that was there.

    Raises:
        RecipeError: the key leads through something that has no keys; ``where`` says in the message who asked.
    """
    try:
        steps, place = list[str](), tomllib.loads(f"{key} = 0")
        while isinstance(place, dict):
            ((step, place),) = place.items()
            steps.append(step)
    except ValueError:  # no key of TOML, which the recipe's own rules tell
        steps = [step.strip() for step in key.split(".")]
    _put(tables, steps, value, where)


def _put(tables: Any, steps: list[str], value: Any, where: str) -> None:
    if not all(steps):
        raise RecipeError(f"{where}: must be KEY=VALUE, as in --set translation.steps=10")
    place: Any = tables
    for depth, step in enumerate(steps[:-1]):
        if isinstance(place, list):
            place = _entry(place, step, where)
        elif isinstance(place, dict):
            place = place.setdefault(step, {})
        if not isinstance(place, dict | list):
            raise RecipeError(f"{where}: {'.'.join(steps[: depth + 1])} is a value, not a table")
    if isinstance(place, list):
        before = _entry(place, steps[-1], where)
        if not isinstance(value, Mapping):
            raise RecipeError(f"{where}: {'.'.join(steps[:-1]) or 'this'} is a list; name an entry and a key in it")
    else:
        before = place.get(steps[-1])
        if not isinstance(value, Mapping):
            place[steps[-1]] = value
            return
    if isinstance(before, dict) and before.get("name") not in (None, value.get("name", before.get("name"))):
        before.clear()
    elif not isinstance(before, dict | list):
        before = place[steps[-1]] = {}
    for inner, one in value.items():
        _put(before, [str(inner)], one, where)


def _entry(entries: list[Any], step: str, where: str) -> Any:
    named = {entry.get("name"): entry for entry in entries if isinstance(entry, dict)}
    known = {str(place): entry for place, entry in enumerate(entries)} | named
    if step in known:
        return known[step]
    raise RecipeError(f"{where}: {unknown('entry', step, [str(name) for name in named])}")


def _value(text: str) -> Any:
    try:
        written = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return written["value"] if written.keys() == {"value"} else text


def parse(tables: Mapping[str, Any], where: str) -> Recipe:
    """The recipe written as ``tables``; ``where`` names their origin in errors.

    Raises:
        RecipeError: with every problem found.
    """
    recipe, problems = structure(without_gone(tables), Recipe)
    if recipe is not None:
        problems = _contradictions(recipe)
    problems += [
        f"{table}.{key}: is gone, since {why}; delete it"
        for table, keys in _GONE.items()
        for key, why in keys.items()
        if isinstance(tables.get(table), dict) and key in tables[table]
    ]
    if recipe is None or problems:
        raise RecipeError([f"{where}: {problem}" for problem in problems])
    return recipe


def without_gone(tables: Mapping[str, Any]) -> dict[str, Any]:
    """``tables`` without the keys that are needed no more."""

    def kept(name: str, table: Any) -> Any:
        gone = _GONE.get(name, {})
        return {key: value for key, value in table.items() if key not in gone} if isinstance(table, dict) else table

    return {name: kept(name, table) for name, table in tables.items()}


def _contradictions(recipe: Recipe) -> list[str]:
    problems = []
    if recipe.name.partition(".")[0] in _TAKEN and (recipe.generator is not None or recipe.augment is not None):
        problems.append(f"name: '{recipe.name}' is taken by a part of every run; give the method another name")
    if recipe.generator is None:
        return problems + [
            f"{table}: needs a [generator], and there is none"
            for table in ("discriminator", "losses", "translation")
            if getattr(recipe, table)
        ]
    if recipe.translation is None:
        problems.append("translation: missing; a [generator] needs 'steps' there, 0 for one that has nothing to train")
    elif recipe.translation.steps > 0 and not recipe.losses:
        problems.append("losses: missing; a [generator] needs one to be trained by, or else translation.steps = 0")
    times = Counter(loss.name for loss in recipe.losses)
    return problems + [f"losses: '{name}' is there twice" for name in sorted(times) if times[name] > 1]


def dump(recipe: Recipe) -> dict[str, Any]:
    """The recipe as TOML tables, defaults written out; ``parse`` of it gives the same recipe."""

    def table(value: Any) -> Any:
        if attrs.has(type(value)):
            items = attrs.asdict(value, recurse=False).items()
            fields = {name: table(inner) for name, inner in items if inner is not None}
            options = fields.pop("options", {})  # which stand beside a component's name
            return fields | options
        return [table(inner) for inner in value] if isinstance(value, tuple) else value

    written: dict[str, Any] = table(recipe)
    return written


def flat(value: object, path: str = "") -> dict[str, object]:
    """The values of a recipe's tables by their keys, written with dots: ``losses.cycle.weight``."""
    if isinstance(value, dict) and value:
        items = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        items = [(str(inner.get("name", place)), inner) for place, inner in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for step, inner in items for key, leaf in flat(inner, f"{path}.{step}".strip(".")).items()}


def differing(
    first: Mapping[str, object], second: Mapping[str, object], missing: object = "not set"
) -> dict[str, tuple[object, object]]:
    """The keys that `flat` tables do not have alike, with both values, ``missing`` where one has none."""
    pairs = {key: (first.get(key, missing), second.get(key, missing)) for key in {**first, **second}}
    return {key: (one, other) for key, (one, other) in pairs.items() if one != other}
