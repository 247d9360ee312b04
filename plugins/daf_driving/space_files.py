"""Label spaces, and what ids or colours in a dataset's labels mean: read once, when asked for, from TOML files here."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from daframework.data.label_files import parse_colour
from daframework.data.spaces import LabelSpace, colours_of, read_space
from daframework.errors import unknown
from daframework.label_types import IGNORE_INDEX

_FOLDER = Path(__file__).parent


def space_names() -> tuple[str, ...]:
    """The names of all label spaces, sorted."""
    return _names("label_spaces")


@cache
def label_space(name: str) -> LabelSpace:
    """The label space called ``name``.

    Raises:
        ValueError: there is none.
    """
    if name not in space_names():
        raise ValueError(f"classes: {unknown('label space', name, space_names())}")
    return read_space(_FOLDER / "label_spaces" / f"{name}.toml")


@cache
def id_map(dataset: str) -> Mapping[int, str]:
    """What each id in the labels of ``dataset`` means: a class, or ``ignore``.

    Raises:
        ValueError: there is no such map.
    """
    if dataset not in _names("id_maps"):
        raise ValueError(f"ids: {unknown('id map', dataset, _names('id_maps'))}")
    content = _read("id_maps", dataset)
    if "same_as" in content:
        return id_map(content["same_as"])
    return {int(raw): meaning for raw, meaning in content["ids"].items()}


@cache
def colour_map(name: str) -> Mapping[int, str]:
    """What each colour, as its `colour_code`, means in the labels of a dataset, or in a label space.

    Raises:
        ValueError: there is neither.
    """
    if name in space_names():
        return {code: one for one, code in colours_of(label_space(name)).items()}
    if name not in _names("colour_maps"):
        raise ValueError(f"colours: {unknown('colour map', name, (*_names('colour_maps'), *space_names()))}")
    return {parse_colour(colour): meaning for colour, meaning in _read("colour_maps", name)["colours"].items()}


def shipped_table(meanings: Mapping[int, str], classes: Sequence[str], name: str) -> dict[int, int]:
    """The ids or colours of the map ``name`` -> index into ``classes``, or 255 for what is none of them.

    Raises:
        ValueError: it lacks one of ``classes``, which would never be learned.
    """
    if lacking := [one for one in classes if one not in meanings.values()]:
        fitting = [space for space in space_names() if set(label_space(space).classes) <= set(meanings.values())]
        hint = f", or use {' or '.join(fitting)}, in source and target alike" if fitting else ""
        raise ValueError(f"classes: {name} has no {', '.join(lacking)}; take out what never occurs{hint}")
    index = {one: place for place, one in enumerate(classes)}
    return {value: index.get(meaning, IGNORE_INDEX) for value, meaning in meanings.items()}


@frozen
class Labels:
    """What label files hold: ``table`` maps each id, or colour, to an index into ``classes``, or to 255 (ignore)."""

    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    table: Mapping[int, int]


def labels_of(dataset: str, space: str) -> Labels:
    """The labels of ``dataset`` read in the label space ``space``.

    Raises:
        ValueError: there is no such space, or as `shipped_table`.
    """
    classes = label_space(space).classes
    return Labels(classes, label_space(space).palette, shipped_table(id_map(dataset), classes, dataset))


@cache
def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (_FOLDER / folder).glob("*.toml")))


def _read(folder: str, name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / folder / f"{name}.toml").read_text(encoding="utf-8"))
