"""A recipe to be edited: the text of one that is there, with another name, other data, and all that may be set."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from daframework.recipes.tables import (
    AugmentTable,
    DataTable,
    DownstreamTable,
    HardwareTable,
    LogTable,
    TranslationTable,
)

_TABLES: Mapping[str, type[Any]] = {
    "data": DataTable,
    "translation": TranslationTable,
    "downstream": DownstreamTable,
    "downstream.augment": AugmentTable,
    "log": LogTable,
    "hardware": HardwareTable,
}
_WIDTH = 100
_NONE: Mapping[str, Any] = {}


def draft(text: str, name: str, tables: Mapping[str, str] = _NONE, keys: Mapping[str, Sequence[str]] = _NONE) -> str:
    """The recipe ``text`` called ``name``; what it leaves out stands in it as comments, with its default and meaning.

    ``tables`` has the lines of tables to take the place of the text's, and ``keys`` lines to add to tables.
    """
    top, *parts = re.split(r"(?m)^(?=\[)", text)
    top = "\n".join(line for line in top.splitlines() if not line.startswith("#")).strip("\n")
    blocks = {"": re.sub(r"(?m)^name *=.*$", f"name = {json.dumps(name)}", top, count=1)}
    for number, part in enumerate(parts):
        header = re.match(r"\[([\w.]+)\]", part)
        blocks[header[1] if header else f"#{number}"] = part.rstrip("\n")
    for table, lines in tables.items():
        blocks = {header: block for header, block in blocks.items() if not header.startswith(f"{table}.")}
        blocks[table] = f"[{table}]\n{lines}"
    for table in ("log", "hardware"):
        blocks.setdefault(table, f"[{table}]")
    for table, added in keys.items():
        for line in added:
            key = re.escape(line.partition(" =")[0])
            blocks[table] = re.sub(rf"(?m)^{key} *=.*\n?", "", blocks[table]).rstrip("\n") + f"\n{line}"
    for table, kind in _TABLES.items():
        if table in blocks:
            blocks[table] += "".join(_comments(kind, blocks[table]))
    return "\n\n".join(block for block in blocks.values() if block) + "\n"


def _comments(kind: type[Any], block: str) -> Iterator[str]:
    said = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(kind) or "", re.MULTILINE)
    meanings = {key: " ".join(meaning.split()).replace("``", "'") for key, meaning in said}
    for one in attrs.fields(kind):
        if re.search(rf"(?m)^{one.name} *=", block) or one.default is attrs.NOTHING or attrs.has(type(one.default)):
            continue
        made = getattr(one.default, "factory", None)  # of an attrs.Factory, which types hide
        default = one.default if made is None else made()
        yield f"\n\n{textwrap.fill(meanings[one.name], _WIDTH, initial_indent='# ', subsequent_indent='# ')}"
        yield f"\n# {one.name} = {'(not set)' if default is None else '{}' if default == {} else json.dumps(default)}"
