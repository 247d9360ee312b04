"""Who may import whom, and how large a file may be."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "daframework"
PLUGINS = ROOT / "plugins"
# The core from the ground up: a part imports what is before its own line, and never its neighbours on it.
FLOORS = (
    {"cores", "errors", "extras", "guard", "listener", "plugin_api", "scores", "spans", "text_file"},
    {"fingerprint", "label_types", "semantics"},
    {"dataset_interface", "task_interface"},
    {"interfaces"},
    {"hookspecs"},
    {"registry"},
    {"recipes"},
    {"storage"},
    {"compute"},
    {"build", "data", "metrics"},
    {"networks"},
    {"adapt", "downstream"},
    {"testing"},
    {"runs"},
    {"report"},
    {"suites"},
    {"tuning"},
    {"api", "doctor", "scaffold"},
    {"cli"},
    {"__main__"},
)
# What these name lies above them: the one in annotations only, the other when first asked for, and cores before torch.
NAMED_ONLY = {
    "hookspecs": {"recipes"},
    "": {"api", "cores", "errors", "interfaces", "listener", "plugin_api", "tuning"},
}
BUILT_ON = {
    "daf_baselines": {"daf_cyclegan"},
    "daf_depth": {"daf_segmentation"},
    "daf_semantic_cyclegan": {"daf_cyclegan", "daf_segmentation"},
    "daf_streets": {"daf_driving"},
}
"""Other plugins whose modules a plugin may use: layers, networks, the weights of encoders, and label spaces."""
TOOLS = ("daf_report", "daf_serve")
"""Plugins that offer no component: they show and use what lies in folders, and are changed with the core."""
GUIDE = (ROOT / "docs" / "write_a_plugin.md").read_text(encoding="utf-8")
OFFERED = set(re.findall(r"^\| `(daframework[\w.]*)` \|", GUIDE, re.MULTILINE))
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
    floor = next((number for number, parts in enumerate(FLOORS) if inside in parts), 0)
    below = set().union({"", inside}, *FLOORS[:floor], NAMED_ONLY.get(inside, ()))
    names = [name for name in imported(file) if name.split(".")[0] == "daframework"]
    assert [name for name in names if part(name) not in below] == []


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=relative)
def test_the_core_imports_no_plugin(file):
    assert [name for name in imported(file) if name.startswith("daf_")] == []


@pytest.mark.parametrize("file", sorted(PLUGINS.rglob("*.py")), ids=relative)
def test_a_plugin_imports_what_plugins_may(file):
    own = file.relative_to(PLUGINS).parts[0]
    others = {own} | BUILT_ON.get(own, set())
    names = list(imported(file))
    assert [name for name in names if name.startswith("daf_") and name.split(".")[0] not in others] == []
    core = [name for name in names if name.split(".")[0] == "daframework"]
    if own in TOOLS:
        assert [name for name in core if part(name) == "cli"] == []
    else:
        assert [name for name in core if module(name) not in OFFERED] == []


def module(name):
    """``daframework.data.stream.Crop`` -> daframework.data.stream, where that is a file."""
    file = ROOT / (name.replace(".", "/") + ".py")
    return name if file.exists() or "." not in name else module(name.rpartition(".")[0])


def test_a_plugin_is_offered_modules_that_exist_and_are_of_use():
    used = {module(name) for file in PLUGINS.rglob("*.py") for name in imported(file)}
    quoted = set(re.findall(r"^ *from (daframework\S*) import", GUIDE, re.MULTILINE))
    assert {"daframework.data.stream", "daframework.metrics"} < OFFERED <= used | quoted


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_a_file_has_less_than_300_lines(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 300


def test_the_rule_knows_every_part_of_the_core():
    parts = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == set().union(*FLOORS)


def test_no_two_modules_and_no_two_classes_have_one_name():
    """Commands apart, whose modules are named by what is typed, and the built-in implementations of a protocol."""
    files = [file for file in [*CORE.rglob("*.py"), *PLUGINS.rglob("*.py")] if file.name != "__init__.py"]
    modules = Counter(file.name for file in files if "cli" not in file.parts)
    assert [name for name, times in modules.items() if times > 1] == []
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    classes = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert {name for name, times in classes.items() if times > 1} == {"StepImages", "DomainImages"}


FEW = "{'segmentation_models_pytorch', 'timm', 'kornia', 'matplotlib', 'torchvision', 'ray', 'optuna'}"
"""Libraries that only some components and commands use."""


def test_commands_import_only_what_they_use():
    script = f"""
import sys
from daframework.cli import main
for words in ("data list", "plugins", "doctor"):
    sys.argv = ["daf", *words.split()]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
    print(words, sorted(({FEW} | {{"torch"}}) & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert "data list []" in lines and lines[-1] == "doctor ['torch']", done.stderr


def test_a_recipe_that_needs_none_of_them_runs_without_the_libraries_of_some_components(installed, write, tables):
    script = f"""
import sys
sys.modules.update(dict.fromkeys({FEW}))  # to import one of these now fails
import daframework as daf
recipe = daf.recipe("tiny.toml")
daf.check(recipe)
run = daf.run(recipe)
assert [row.method for row in run.results.rows] == ["source_only", "tiny", "oracle"]
"""
    here = write(tables).parent
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=here)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_recipes_plugins_and_the_package_itself_import_no_torch_and_no_table():
    script = """
import sys
import daframework
from daframework.cli import main
from daframework.registry import load_plugins
daframework.__version__, daframework.hookimpl, daframework.Listener
assert len(load_plugins().origins) >= 6
for line in ("--help", "--version", "recipes", "run --help", "data --help", "data check --help", "data convert --help"):
    sys.argv = ["daf", *line.split()]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
late = {"torch", "numpy", "kornia", "timm", "PIL", "matplotlib", "daf_driving.space_files"}
print(sorted(late & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
    assert "Run a recipe: train, translate, score" in done.stdout and "--set KEY=VALUE" in done.stdout
    shown = re.findall(r"^  (\w+)  +\w", done.stdout, re.MULTILINE)
    assert {"list", "check", "stats", "preview", "convert", "cache"} <= set(shown)
