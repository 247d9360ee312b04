"""Read nested tables into attrs classes, strictly, and say everything that is wrong with them.

cattrs alone is lenient (it reads "3", 3.7 and true as the whole number 3) and attrs stops at a class's first bad value.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from daframework.errors import unknown

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
_SCALARS: dict[type, str] = {int: "a whole number", str: "a string", bool: "true or false"}
_SHOWN = 200  # characters of a value in a message


def shown(value: Any) -> str:
    """``value`` as Python writes it, for a message: cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def structure(tables: Mapping[str, Any], root: type[T], open_tables: tuple[type, ...]) -> tuple[T | None, list[str]]:
    """``tables`` as an instance of ``root``, and a line ``path: problem`` for everything wrong; None if there is any.

    A class in ``open_tables`` takes the keys it does not know into its ``options``.
    """
    try:
        return _converter(root, open_tables).structure(tables, root), []
    except (cattrs.BaseValidationError, ValueError) as error:
        return None, _problems(error, "")


def read_option(value: Any, annotation: Any) -> Any:
    """One value of a recipe as the parameter annotated so takes it; an annotation it has no rule for allows anything.

    Raises:
        ValueError: the value is of another type: ``must be a whole number, got '64'``.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        problems = []
        for kind in inner:
            try:
                return read_option(value, kind)
            except ValueError as error:
                problems.append(str(error))
        raise ValueError(problems[0])
    if annotation is NoneType:
        raise ValueError(f"must be left out, got {shown(value)}")
    if origin is Literal:
        return _choice(value, annotation)
    if origin in (Sequence, tuple, list):
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list, got {shown(value)}")
        return tuple(read_option(entry, inner[0]) for entry in value)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table, got {shown(value)}")
        return {key: read_option(entry, inner[1]) for key, entry in value.items()}
    if annotation is float:
        return _number(value, annotation)
    return _scalar(annotation, _SCALARS[annotation])(value, annotation) if annotation in _SCALARS else value


def _converter(root: type, open_tables: tuple[type, ...]) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for wanted, article in _SCALARS.items():
        converter.register_structure_hook(wanted, _scalar(wanted, article))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(_is_a(tuple), _list(converter))
    converter.register_structure_hook_func(_is_a(dict), _free_table(converter))
    converter.register_structure_hook_func(_is_a(Literal), _choice)
    # Inner classes first: the hook of an outer one looks theirs up once, when it is made.
    for table in reversed(_tables(root)):
        make = _open_table if table in open_tables else _closed_table
        converter.register_structure_hook(table, make(converter, table))
    return converter


def _tables(root: type) -> list[type]:
    parts = [part for one in attrs.fields(root) for part in (one.type, *get_args(one.type)) if part is not None]
    return [root, *(table for part in parts if attrs.has(part) for table in _tables(part))]


def _is_a(origin: Any) -> Callable[[Any], bool]:
    def predicate(kind: Any) -> bool:
        found: Any = get_origin(kind)
        return found is origin

    return predicate


def _scalar(wanted: type, article: str) -> Hook:
    def read(value: Any, _: Any) -> Any:
        if type(value) is not wanted:
            raise ValueError(f"must be {article}, got {shown(value)}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"must be a whole number of at most 64 bits, got {shown(value)}")
        return value

    return read


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"must be a number, got {shown(value)}")
    if not abs(value) <= sys.float_info.max:
        raise ValueError(f"must be a finite number, got {shown(value)}")
    return float(value)


def _choice(value: Any, kind: Any) -> Any:
    allowed = get_args(kind)
    if not any(value == one and type(value) is type(one) for one in allowed):
        raise ValueError(f"must be one of {', '.join(map(repr, allowed))}, got {shown(value)}")
    return value


def _list(converter: cattrs.Converter) -> Hook:
    def read(value: Any, kind: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list, got {shown(value)}")
        built, errors = [], []
        for position, entry in enumerate(value):
            try:
                built.append(converter.structure(entry, get_args(kind)[0]))
            except Exception as error:
                error.add_note(f"entry {_entry_name(entry, position)}")
                errors.append(error)
        if errors:
            raise IterableValidationError("entries", errors, kind)
        return tuple(built)

    return read


def _free_table(converter: cattrs.Converter) -> Hook:
    def read(value: Any, kind: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table, got {shown(value)}")
        return {key: converter.structure(entry, get_args(kind)[1]) for key, entry in value.items()}

    return read


def _entry_name(entry: Any, position: int) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else str(position)


def _closed_table(converter: cattrs.Converter, table: type) -> Hook:
    inner = _reader(converter, table, forbid_extra_keys=True)

    def read(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table, got {shown(value)}")
        return inner(value, kind)

    return read


def _open_table(converter: cattrs.Converter, table: type) -> Hook:
    inner = _reader(converter, table, forbid_extra_keys=False)
    own = {one.name for one in attrs.fields(table)} - {"options"}

    def read(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table with a 'name', got {shown(value)}")
        options = {key: entry for key, entry in value.items() if key not in own}
        return attrs.evolve(inner({key: value[key] for key in own & value.keys()}, kind), options=options)

    return read


def _reader(converter: cattrs.Converter, table: type, *, forbid_extra_keys: bool) -> Hook:
    # Each value is checked as its own key is read, so that one bad value does not hide the next.
    checked: dict[str, Any] = {
        one.name: override(struct_hook=_checked(converter, one)) for one in attrs.fields(table) if one.validator
    }
    make: Callable[..., Hook] = make_dict_structure_fn
    return make(
        table, converter, _cattrs_forbid_extra_keys=forbid_extra_keys, _cattrs_detailed_validation=True, **checked
    )


def _checked(converter: cattrs.Converter, one: "attrs.Attribute[Any]") -> Hook:
    validator: Any = one.validator

    def read(value: Any, kind: Any) -> Any:
        built = converter.structure(value, kind)
        validator(None, one, built)
        return built

    return read


def _problems(error: BaseException, path: str) -> list[str]:
    """Every leaf of the tree of errors that cattrs raises, as ``path: what is wrong``."""
    if isinstance(error, BaseExceptionGroup):
        steps = [(inner, _step(inner)) for inner in error.exceptions]
        return [line for inner, step in steps for line in _problems(inner, f"{path}.{step}".strip("."))]
    prefix = f"{path}: " if path else ""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [one.name for one in attrs.fields(error.cl)]
        return [prefix + unknown("key", key, known) for key in sorted(error.extra_fields)]
    if isinstance(error, KeyError):
        return [f"{prefix}missing; it has no default"]
    return [f"{prefix}{error}"]


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if hasattr(note, "name"):
            return str(note.name)
        if note.startswith("entry "):
            return str(note.removeprefix("entry "))
    return ""
