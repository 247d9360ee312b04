"""The plugin API as text, a line a name, and what is to be raised where it differs; ``python tests/plugin_api.py``
writes the text anew."""

import ast
import sys
from pathlib import Path

from daframework import testing
from daframework.plugin_api import API_VERSION, version_numbers

SNAPSHOT = Path(__file__).with_suffix(".txt")
CORE = Path(__file__).parents[1] / "daframework"
MODULES = ("hookspecs", "interfaces", "listener", "testing/components", "testing/hooks", "testing/registered")
REMEDY = "in daframework/plugin_api.py, then write tests/plugin_api.txt anew by python tests/plugin_api.py"


def describe():
    """The text: its version, then every public name with its arguments, as they stand in the code."""
    lines = [f"version {API_VERSION}"]
    for name in MODULES:
        where = name.partition("/")[0]
        found = [line for node in body(name) for line in described(node, where)]
        lines += [line for line in found if where != "testing" or line.split(".")[1].split(" ")[0] in testing.__all__]
    return lines


def body(name):
    """What a module of the core defines, and in its place what it hands on by ``from daframework.x import y as y``."""
    for node in ast.parse((CORE / f"{name}.py").read_text(encoding="utf-8")).body:
        handed = {one.name for one in node.names if one.name == one.asname} if isinstance(node, ast.ImportFrom) else {}
        yield node
        if handed:
            yield from (one for one in body(node.module.partition(".")[2]) if name_of(one) in handed)


def name_of(node):
    """Of a function, a class or a value; nothing of anything else."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return getattr(node, "name", "")


def described(node, where):
    """The lines of a function, a class or a value; their first word is their name."""
    if isinstance(node, ast.FunctionDef):
        if not node.name.startswith("_") or node.name.startswith("__"):
            marks = "".join(f" @{ast.unparse(mark)}" for mark in node.decorator_list)
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            yield f"{where}.{node.name} ({ast.unparse(node.args)}){returns}{marks}"
    elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        yield f"{where}.{node.name} class({', '.join(map(ast.unparse, node.bases))})"
        for inner in node.body:
            yield from described(inner, f"{where}.{node.name}")
    elif isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
        value = f" = {ast.unparse(node.value)}" if node.value else ""
        yield f"{where}.{ast.unparse(node.target)} {ast.unparse(node.annotation)}{value}"
    elif isinstance(node, ast.Assign):
        target, value = ast.unparse(node.targets[0]), ast.unparse(node.value)
        if value.startswith("deprecated_names("):
            yield from (f"{where}.{one.arg} deprecated{ast.unparse(one.value)}" for one in node.value.keywords)
        elif not target.startswith("_"):
            yield f"{where}.{target} = {value}"


def complaints(before, now):
    """A line for each way in which the text ``now`` may not follow ``before``; none where nothing changed."""
    version, raised = (version_numbers(lines[0].partition(" ")[2]) for lines in (before, now))
    old, new = (dict(line.split(" ", 1) for line in lines[1:]) for lines in (before, now))
    gone, changed = (
        sorted(old.keys() - new.keys()),
        sorted(name for name in old | new if old.get(name) != new.get(name)),
    )
    found = [
        f"{name} is gone and was not deprecated in version {version[0]}.{version[1]}: keep it, deprecated, see "
        "docs/write_a_plugin.md"
        for name in gone
        if "deprecated(" not in old[name]
    ]
    if gone and raised[0] <= version[0]:
        found.append(f"{', '.join(gone)}: gone; raise the MAJOR of API_VERSION {REMEDY}")
    if changed and raised <= version:
        found.append(
            f"{', '.join(changed)}: not as in tests/plugin_api.txt; raise the MINOR of API_VERSION for what is added, "
            f"the MAJOR for what a plugin must be changed for, {REMEDY}"
        )
    return found


def main():
    now = describe()
    before = SNAPSHOT.read_text(encoding="utf-8").splitlines() if SNAPSHOT.exists() else now
    if found := complaints(before, now):
        sys.exit("\n".join(found))
    SNAPSHOT.write_text("\n".join(now) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
