"""Who may import whom, and how large a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "daframework"
PLUGINS = ROOT / "plugins"
# What each part of the core may import of the others; the parts below it, and never its neighbours.
BOTTOM = {"errors", "hookspecs", ""}
TABLES = BOTTOM | {"interfaces", "registry", "recipes", "randomness", "checkpoint", "session"}
TABLES |= {"ranks", "text_file", "whole_file", "listener"}
STEPS = {"acceleration", "batch_norm", "profiling"}
ALLOWED = {
    "": {"api", "errors", "interfaces", "listener"},  # when first asked for
    "errors": set(),
    "hookspecs": {"interfaces", "listener", "recipes"},  # for annotations only
    "interfaces": BOTTOM | {"profiling"},
    "registry": BOTTOM | {"guard"},
    "recipes": BOTTOM | {"registry", "text_file"},
    "randomness": set(),
    "session": BOTTOM | {"listener"},
    "checkpoint": BOTTOM | {"whole_file"},
    "profiling": set(),
    "ranks": set(),
    "guard": set(),
    "listener": set(),
    "text_file": set(),
    "whole_file": set(),
    "batch_norm": {"ranks"},
    "acceleration": {"errors", "recipes"},
    "build": TABLES,
    "data": TABLES,
    "testing": TABLES | {"data"},
    "adapt": TABLES | STEPS | {"build", "data"},
    "downstream": TABLES | STEPS | {"data"},
    "runs": TABLES | STEPS | {"guard", "build", "data", "testing", "adapt", "downstream"},
    "bench": TABLES | {"build", "data", "adapt", "downstream", "runs", "report"},
    "report": TABLES | {"runs"},
    "api": TABLES | {"adapt", "build", "data", "downstream", "runs"},
    "__main__": {"cli"},
    "cli": TABLES | {"build", "data", "testing", "adapt", "downstream", "runs", "bench", "report"},
}
BUILT_ON_CYCLEGAN = ("daf_baselines", "daf_semantic_cyclegan")
FILES = sorted([*CORE.rglob("*.py"), *PLUGINS.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


def imported(file):
    """Full names of the modules and things that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(name):
    """``daframework.data.stream.Crop`` -> data; daframework's own names -> ""."""
    first = name.split(".")[1] if "." in name else ""
    return first if (CORE / first).is_dir() or (CORE / f"{first}.py").exists() else ""


def relative(file):
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=relative)
def test_the_core_imports_only_what_lies_below(file):
    inside = file.relative_to(CORE).parts[0].removesuffix(".py").replace("__init__", "")
    below = ALLOWED[inside] | {inside}
    names = [name for name in imported(file) if name.split(".")[0] == "daframework"]
    assert [name for name in names if part(name) not in below] == []


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=relative)
def test_the_core_imports_no_plugin(file):
    assert [name for name in imported(file) if name.startswith("daf_")] == []


@pytest.mark.parametrize("file", sorted(PLUGINS.rglob("*.py")), ids=relative)
def test_a_plugin_imports_what_plugins_may(file):
    own = file.relative_to(PLUGINS).parts[0]
    others = {own} | ({"daf_cyclegan"} if own in BUILT_ON_CYCLEGAN else set())
    names = list(imported(file))
    assert [name for name in names if name.startswith("daf_") and name.split(".")[0] not in others] == []
    parts = {part(name) for name in names if name.split(".")[0] == "daframework"}
    assert parts <= {"", "errors", "interfaces", "data", "downstream", "randomness", "ranks", "text_file"}
    assert not any(name.startswith("daframework.downstream") and ".metrics" not in name for name in names)


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_a_file_has_less_than_300_lines(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 300


def test_the_rule_knows_every_part_of_the_core():
    parts = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == ALLOWED.keys() - {""}


def test_importing_the_package_the_registry_recipes_or_plugins_imports_no_torch():
    script = """
import sys, pathlib
import daframework, daframework.recipes.read, daframework.registry
plugins = daframework.registry.load_plugins()
assert len(plugins.origins) >= 6, plugins.broken
daframework.recipes.read.offered_files(plugins)
print(sorted({"torch", "numpy", "kornia", "timm", "PIL", "matplotlib"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
