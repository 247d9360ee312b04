"""What the pages say is so: every key and default, every command, every quotation, every link."""

import ast
import functools
import importlib
import inspect
import json
import math
import re
import shlex
import tomllib
from itertools import takewhile
from pathlib import Path
from types import ModuleType, NoneType
from typing import Literal, get_args, get_origin

import attrs
import click
import pytest
import torch
import yaml

import daframework
from daframework import hookspecs
from daframework.cli import cli
from daframework.cli.tune import command as tune
from daframework.compute.environment import describe
from daframework.data.spaces import SpaceTable
from daframework.recipes import tables
from daframework.recipes.read import locate, read
from daframework.recipes.strict import structure
from daframework.registry import components, load_plugins
from daframework.runs.log import plugin_listeners
from daframework.scaffold import scaffold
from daframework.storage.results import read_results, write_results
from daframework.storage.run_folder import RunFolder, _Part
from daframework.testing import check_generator
from daframework.tuning.space import Range, make_space

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TESTED_APART = ("docs/worked_examples.md", "docs/write_a_task.md")
"""Pages whose packages have test files of their own."""


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def fenced(name, language):
    """The fenced blocks of a page in one language."""
    return [block for _, tongue, block in FENCE.findall(text(name)) if tongue == language]


every_page = pytest.mark.parametrize("name", NAMES)


# --- docs/recipes.md names every key, its type, default and range, and says what it is ---

TABLES = [one for one in vars(tables).values() if attrs.has(one) and one.__module__ == tables.__name__]
PARENTS = {
    tables.AugmentTable: "downstream.",
    tables.OriginalsTable: "translation.",
    tables.SelfTrainingTable: "downstream.",
}
KINDS = {int: "whole number", float: "number", str: "string", bool: "true or false", tables.ComponentTable: "component"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_of_a_table_is_documented(table):
    rows = {row[0]: row for row in table_rows(text("docs/recipes.md"), heading(table))}
    said = documented(table)
    assert list(rows) == [f"`{one.name}`" for one in attrs.fields(table) if one.name != "options"]
    for one in attrs.fields(table):
        if one.name == "options":
            continue
        _, kind, default, allowed, meaning = rows[f"`{one.name}`"]
        wanted = [kind_of(one.type), default_of(one), said.get(one.name, meaning)]
        assert [kind, default, meaning] == wanted, f"{one.name} of {table.__name__}"
        assert same_but_for_rounding(allowed, range_of(one)), f"{one.name} of {table.__name__}: {range_of(one)}"


def heading(table):
    return {"Recipe": "Top level", "ComponentTable": "Component tables", "LossTable": "[[losses]]"}.get(
        table.__name__, f"[{PARENTS.get(table, '')}{snake(table.__name__[:-5])}]"
    )


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def table_rows(page, title):
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"no section '## {title}'"
    rows = [row.split(" | ") for row in re.findall(r"^\| (`.*) \|$", section[1], re.MULTILINE)]
    return [[cell.strip() for cell in row] for row in rows if len(row) == 5]


def documented(table):
    """Meanings by key, from the Args section of a class's docstring."""
    arguments = inspect.getdoc(table).partition("Args:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", arguments, re.MULTILINE)
    return {key: " ".join(meaning.split()).replace("``", "`") for key, meaning in entries}


def kind_of(annotation):
    inner = [part for part in get_args(annotation) if part is not NoneType]
    if get_origin(annotation) is Literal:
        return ", ".join(f'`"{value}"`' for value in inner)
    if get_origin(annotation) is tuple:
        if get_origin(inner[0]) is Literal:
            return f"list of {kind_of(inner[0])}"
        return "list of components" if inner[0] is tables.LossTable else f"list of {KINDS[inner[0]]}s"
    if inner and get_origin(annotation) is not dict:
        return kind_of(inner[0])
    return KINDS.get(annotation, "table")


def default_of(one):
    if one.default is attrs.NOTHING:
        return "required"
    if attrs.has(type(one.default)):
        return "its defaults"
    if isinstance(one.default, attrs.Factory):
        return f"`{json.dumps(one.default.factory())}`"
    return "none" if one.default in (None, ()) else f"`{json.dumps(one.default)}`"


def range_of(one):
    """What a validator says is allowed, found by giving it values that no key takes."""
    for value in (-1, 1e12, (), ""):
        try:
            if one.validator:
                one.validator(None, one, value)
        except ValueError as error:
            return re.fullmatch(r"must be (.*), got .*", str(error))[1]
        except (TypeError, AttributeError):
            continue
    return ""


def same_but_for_rounding(said, wanted):
    numbers = [list(map(float, re.findall(r"\d+\.?\d*(?:e[+-]?\d+)?", side))) for side in (said, wanted)]
    words = [re.sub(r"\d+\.?\d*(?:e[+-]?\d+)?", "", side) for side in (said, wanted)]
    return words[0] == words[1] and all(math.isclose(*pair, rel_tol=1e-5) for pair in zip(*numbers, strict=True))


@every_page
def test_recipe_fragments_hold_only_keys_that_exist(name):
    for block in fenced(name, "toml"):
        content = tomllib.loads(block)
        if "project" in content or "recipes" in content:  # a suite; tests/test_bench_docs.py reads those
            continue
        if isinstance(content.get("classes"), list):  # a label space
            assert structure(content, SpaceTable)[1] == [], block
            continue
        if name == "docs/tune.md":  # a space of the recipe that the page searches
            plugins = load_plugins()
            assert make_space(plugins, read(locate(plugins, "semantic_cyclegan")), content, name)
            continue
        _, problems = structure(content, tables.Recipe)
        assert [line for line in problems if "missing; it has no default" not in line] == [], block


# --- docs/tune.md ---


def test_every_option_of_a_search_and_every_key_of_a_range_is_documented():
    page = text("docs/tune.md")
    named = set(re.findall(r"`(--\w+)", "".join(re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE))))
    assert named == {name for one in tune.params for name in one.opts if name.startswith("--")}
    said = documented(Range)
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(one.name, default_of(one), said[one.name]) for one in attrs.fields(Range)]


# --- commands ---


@every_page
def test_every_command_names_a_real_command_with_real_options(name, monkeypatch):
    """Parsed alone; tests/test_api.py runs those that only read, and says why not the others."""
    monkeypatch.delenv("DAF_BLOCK")
    plugins = load_plugins()
    for line in commands(name):
        words = shlex.split(line, comments=True)
        arguments = list(takewhile(lambda word: word not in (">", "|"), words))[1:]
        try:
            context = cli.make_context("daf", arguments)
            command_name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
            parameters = command.make_context(command_name, rest).params
        except click.exceptions.Exit:  # --help and --version end here
            continue
        except click.ClickException as error:
            raise AssertionError(f"{name}: {line}: {error.format_message()}") from error
        if parameters.get("recipe", "tiny") not in (
            "tiny",
            "mine.toml",
            "tune/semantic_cyclegan/seed0/best.toml",
            "each",
        ):  # files the reader makes
            read(locate(plugins, parameters["recipe"]), parameters.get("overrides", ()))


def commands(name):
    """Lines that call daf, by torchrun or srun too."""
    found = (re.search(r"^(?:(?:torchrun|srun) .*?)?(?:-m daframework|daf) (.*)", line) for line in shell_lines(name))
    return [f"daf {line[1]}" for line in found if line]


def shell_lines(name):
    """What is typed, with continued lines joined, and variables before a command and lines of comment left out."""
    typed = "".join(fenced(name, "bash")) + "".join(
        line.removeprefix("$ ") for block in fenced(name, "console") for line in re.findall(r"^\$ .*\n", block, re.M)
    )
    lines = (re.sub(r"^(\w+=\S+ )+", "", line.strip()) for line in re.split(r"\n| && ", typed.replace("\\\n", " ")))
    return [line for line in lines if line and not line.startswith("#")]


def test_commands_are_found_where_there_are_some():
    assert len(commands("docs/quick_start.md")) > 5
    assert len([line for line in commands("docs/scale.md") if line.startswith("daf run semantic_cyclegan")]) > 3


@every_page
def test_every_command_of_another_program_is_one_that_the_reader_has(name):
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    for line in shell_lines(name):
        program, *arguments = shlex.split(line, comments=True)
        if program == "pip":
            assert set(re.findall(r"\w+", "".join(re.findall(r"\[(.*)\]", line)))) <= set(extras), line
        elif program == "python" and arguments[0] != "-m":
            assert (ROOT / arguments[0]).is_file(), line
        else:
            assert program in ("cd", "daf", "pytest", "python", "ray", "srun", "ssh", "tensorboard", "torchrun"), line


@every_page
def test_every_block_is_in_a_language_that_a_test_reads(name):
    languages = {language for _, language, _ in FENCE.findall(text(name))}
    assert languages <= {"bash", "console", "dockerfile", "json", "python", "text", "toml", "yaml"}
    for block in fenced(name, "yaml"):
        job = yaml.safe_load(block)
        for line in re.findall(r"daf bench.*(?=\")", job["spec"]["entrypoint"]):
            cli.get_command(click.Context(cli), "bench").make_context("bench", shlex.split(line)[2:])
    files = [line.split()[1] for block in fenced(name, "dockerfile") for line in re.findall(r"^ *COPY.*", block, re.M)]
    assert all((ROOT / file).exists() for file in files)


# --- quotations ---


def test_the_whole_example_is_quoted_as_it_is():
    page = text("docs/write_a_plugin.md")
    quoted = dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    files = scaffold("tiny", "generator")
    assert quoted == {path: content for path, content in files.items() if path.endswith((".py", ".toml"))}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TESTED_APART])
def test_python_that_is_a_plugin_works_as_it_stands(name, tmp_path):
    for block in fenced(name, "python"):
        ast.parse(block)
        if "@hookimpl" not in block or "daf_tiny" in block:
            continue
        module = ModuleType("quoted")
        exec(compile(block, name, "exec"), vars(module))
        plugins = load_plugins(extra={"quoted": module})
        own = [one for one in components(plugins, "generator").values() if one.origin.plugin == "quoted"]
        ears = plugin_listeners(plugins, tmp_path, read(locate(plugins, "semantic_cyclegan")))
        assert own or ears
        for one in own:
            check_generator(one.factory(), height=8, width=12)
        for ear in ears:
            for metric in ("mIoU", "abs_rel"):  # of segmentation and of depth
                ear.end(
                    {
                        "metrics": [{"name": metric}],
                        "rows": [{"method": "a", metric: None}, {"method": "b", metric: 0.5}],
                    }
                )
                assert [path.read_text() for path in tmp_path.iterdir()] == ["a: None\nb: 0.5\n"]


def test_python_that_is_not_a_plugin_uses_what_there_is():
    """Its names of daframework exist, and its calls are given arguments that are taken."""
    checked = 0
    for name in NAMES:
        for block in fenced(name, "python"):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "daframework":
                    module = importlib.import_module(node.module)
                    assert all(hasattr(module, one.name) for one in node.names), f"{name}: {ast.unparse(node)}"
                if isinstance(node, ast.Call) and (called := door(node.func)) is not None:
                    given = {one.arg: None for one in node.keywords}
                    inspect.signature(called).bind(*node.args, **given)
                    checked += 1
    assert checked > 8


def door(called):
    """What ``daf.NAME``, or a method of a run or bench made by it, stands for; None for anything else."""
    if not isinstance(called, ast.Attribute) or not isinstance(called.value, ast.Name):
        return None
    if called.value.id == "run":
        return functools.partial(getattr(daframework.Run, called.attr), None)
    return getattr(daframework, called.attr) if called.value.id == "daf" else None


# --- every hook is documented ---


def test_every_hook_is_documented_with_its_arguments():
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("daf_")}
    called = {f"{name}({', '.join(inspect.signature(hook).parameters)})" for name, hook in hooks.items()}
    assert called == set(re.findall(r"^\| `(daf_\w+\(.*?\))` \|", text("docs/write_a_plugin.md"), re.MULTILINE))


# --- links ---


@every_page
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text(name))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{name}: {target}"


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


# --- docs/how_it_works.md says where each thing is decided ---


def test_what_decides_is_where_the_page_says():
    rows = re.findall(r"^\| (.*?) \| (.*`daframework/\S+`) \| (.*) \|$", text("docs/how_it_works.md"), re.MULTILINE)
    assert len(rows) > 25
    for what, files, names in rows:
        trees = [ast.parse(text(file)) for file in re.findall(r"`(daframework/\S+)`", files)]
        defined = {one.name for tree in trees for one in tree.body if isinstance(one, ast.FunctionDef | ast.ClassDef)}
        assert set(re.findall(r"`(\w+)`", names)) <= defined, what


# --- docs/results.md ---


def test_example_of_results_is_what_is_written(tmp_path):
    (example,) = fenced("docs/results.md", "json")
    path = tmp_path / "results.json"
    path.write_text(example, encoding="utf-8")
    write_results(path, read_results(path))
    assert path.read_text(encoding="utf-8") == example
    environment = json.loads(example)["environment"]
    now = describe(torch.device("cpu"))
    assert list(environment) == list(now)
    assert list(environment["versions"]) == list(now["versions"])


def test_every_key_of_results_is_explained():
    (example,) = fenced("docs/results.md", "json")
    page = FENCE.sub("", text("docs/results.md"))
    assert {key for key in keys(json.loads(example)) if f"`{key}`" not in page} == set()


def keys(value, path=""):
    """Paths such as ``rows[].IoU``; what lies below names that vary, as classes and stages do, is left out."""
    if path.endswith(("IoU", "seconds", "versions", "openmp")) and not path.endswith("mIoU"):
        return {path}
    if isinstance(value, dict):
        return {found for key, inner in value.items() for found in keys(inner, f"{path}.{key}".strip("."))}
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        return {found for inner in value for found in keys(inner, f"{path}[]")}
    return {path}


def test_every_file_of_a_run_is_listed():
    page = text("docs/results.md")
    folder = RunFolder(Path())
    found = [getattr(folder, name) for name, value in vars(RunFolder).items() if isinstance(value, _Part)]
    assert len(found) > 5
    assert [str(path) for path in found if f"`{path}" not in page] == []
    assert all(
        f"`{file('NAME')}`" in page
        for file in (folder.checkpoint, folder.scores, folder.statistics, folder.class_counts)
    )


# --- every component that ships is named somewhere ---


def test_every_component_that_ships_is_listed():
    plugins = load_plugins()
    page = text("docs/recipes.md")
    shipped = [
        one
        for kind in ("generator", "discriminator", "loss", "task", "dataset")
        for one in components(plugins, kind).values()
        if one.origin.distribution == "daframework"
    ]
    assert [f"{one.kind}:{one.name}" for one in shipped if f"`{one.kind}:{one.name}`" not in page] == []
