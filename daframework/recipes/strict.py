"""Read nested tables into attrs classes, strictly, and say everything that is wrong with them.

Why no library: cattrs is lenient (it reads "3", 3.7 and true as the whole number 3), stops at a class's first bad value
and names a list's entries by number, so that being strict with it took twice these lines; msgspec stops at the first
error; pydantic would ask for every table to be written a second time, as a model.
"""

import sys
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from daframework.errors import unknown

T = TypeVar("T")
_SCALARS: dict[Any, str] = {int: "a whole number", str: "a string", bool: "true or false"}
_SHOWN = 200  # characters of a value in a message
REST = {"rest": True}
"""Metadata of the field that takes the keys which its class does not know, as they are written."""


def shown(value: Any) -> str:
    """``value`` as Python writes it, for a message: cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def structure(value: Any, kind: type[T], where: str = "") -> tuple[T | None, list[str]]:
    """``value``, as TOML gives it, as a ``kind``, and a line ``path: problem`` for all that is wrong; None if anything.

    A ``kind`` is an attrs class, a number, string, truth value or choice, a list or table of them, or a union; anything
    else allows any value. Lists become tuples. ``where`` is the path of ``value`` itself.
    """
    problems: list[str] = []
    found = _read(value, kind, where, problems)
    return (None, problems) if problems else (found, [])


def _read(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    """What is wrong is added to ``problems``, and then what comes back is not to be used."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        for one in inner:
            found = _read(value, one, path, wrong := list[str]())
            if not wrong:
                return found
        return _read(value, inner[0], path, problems)
    if attrs.has(kind):
        return _read_table(value, kind, path, problems)
    try:
        if origin in (Sequence, tuple, list):
            _require(isinstance(value, list | tuple), "a list", value)
            paths = [_join(path, _entry_name(entry, place)) for place, entry in enumerate(value)]
            return tuple(_read(one, inner[0], where, problems) for where, one in zip(paths, value, strict=True))
        if origin in (Mapping, dict):
            _require(isinstance(value, dict), "a table", value)
            return {key: _read(one, inner[1], _join(path, key), problems) for key, one in value.items()}
        return _read_value(value, kind)
    except ValueError as error:
        problems.append(_problem(path, error))


def _read_value(value: Any, kind: Any) -> Any:
    if kind is NoneType:
        raise ValueError(f"must be left out, got {shown(value)}")
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        same = any(value == one and type(value) is type(one) for one in allowed)
        _require(same, f"one of {', '.join(map(repr, allowed))}", value)
    elif kind is float:
        _require(type(value) in (int, float), "a number", value)
        _require(abs(value) <= sys.float_info.max, "a finite number", value)
        return float(value)
    elif kind in _SCALARS:
        _require(type(value) is kind, _SCALARS[kind], value)
        _require(kind is not int or -(2**63) <= value < 2**63, "a whole number of at most 64 bits", value)
    return value


def _read_table(value: Any, table: type, path: str, problems: list[str]) -> Any:
    rest_name = next((one.name for one in attrs.fields(table) if one.metadata == REST), None)
    own: dict[str, attrs.Attribute[Any]] = {one.name: one for one in attrs.fields(table) if one.name != rest_name}
    if not isinstance(value, dict):
        what = "a table" if rest_name is None else "a table with a 'name'"
        return problems.append(_problem(path, f"must be {what}, got {shown(value)}"))
    before, found = len(problems), dict[str, Any]()
    for name, one in own.items():
        step, sound = _join(path, name), len(problems)
        if name not in value:
            if one.default is attrs.NOTHING:
                problems.append(_problem(step, "missing; it has no default"))
        elif value[name] is not None or NoneType not in get_args(one.type):  # a script may say None for "left out"
            found[name] = _read(value[name], one.type, step, problems)
            # Each value is checked as its own key is read, so that one bad value does not hide the next.
            if one.validator is not None and len(problems) == sound:
                try:
                    one.validator(None, one, found[name])
                except ValueError as error:
                    problems.append(_problem(step, error))
    others = {key: _as_toml(inner) for key, inner in value.items() if key not in own}
    if rest_name is not None:
        found[rest_name] = others
    else:
        problems += [_problem(path, unknown("key", key, list(own))) for key in sorted(others)]
    return table(**found) if len(problems) == before else None


def _as_toml(value: Any) -> Any:
    """``value`` with lists for a script's tuples, as the recipe's file will give them back."""
    if isinstance(value, dict):
        return {key: _as_toml(one) for key, one in value.items()}
    return [_as_toml(one) for one in value] if isinstance(value, list | tuple) else value


def _require(holds: bool, allowed: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"must be {allowed}, got {shown(value)}")


def _problem(path: str, what: object) -> str:
    return f"{path}: {what}" if path else str(what)


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _entry_name(entry: Any, place: int) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else str(place)
