"""docs/bench.md says what is so: every key of a suite, every option, every column; and its example works."""

import json
import re
import shlex
import tomllib

import attrs
import click
import pytest
import torch
from test_bench_formats import HEADINGS, TABLE
from test_docs import commands, documented, fenced, range_of, table_rows, text
from tiny_suite import write_suite

from daframework.cli.bench import command
from daframework.cli.options import FORMATS
from daframework.data.decode import write_image, write_label
from daframework.recipes.read import locate, offered_files, read_tables
from daframework.registry import load_plugins
from daframework.suites.checks import check_cells
from daframework.suites.outcome import Bench
from daframework.suites.plan import make_plan
from daframework.suites.suite import Suite, parse_suite, read_suite

PAGE = "docs/bench.md"
KINDS = {
    "name": "string",
    "recipes": "list of strings",
    "seeds": "list of whole numbers",
    "baseline": "string",
    "bootstrap": "whole number",
    "tasks": "list of tables",
    "options": "table of tables",
}
WRITTEN = {
    "string": "a",
    "list of strings": ["a"],
    "list of whole numbers": [3],
    "whole number": 3,
    "list of tables": [{"label": "a", "name": "b"}],
    "table": {"name": "a"},
    "table of tables": {"a": {"b": 1}},
}


def default_of(one):
    if one.default is attrs.NOTHING:
        return "required"
    made = one.default.factory() if isinstance(one.default, attrs.Factory) else one.default
    return "none" if made in (None, (), {}) else f"`{json.dumps(made)}`"


def first_cells(title):
    """What the first column of a section's tables names."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text(PAGE), re.MULTILINE | re.DOTALL)[1]
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_key_of_a_suite_is_documented():
    rows = {row[0].strip("`"): [cell.strip() for cell in row[1:]] for row in table_rows(text(PAGE), "The suite's file")}
    assert list(rows) == [one.name for one in attrs.fields(Suite)]
    for one in attrs.fields(Suite):
        said = documented(Suite)[one.name]
        assert rows[one.name] == [KINDS.get(one.name, "table"), default_of(one), range_of(one), said], one.name


def test_every_key_of_a_suite_takes_what_the_page_says():
    least = {"name": "a", "recipes": ["a"]}
    for one in attrs.fields(Suite):
        parse_suite(least | {one.name: WRITTEN[KINDS.get(one.name, "table")]}, "s")


def test_every_option_format_column_and_suite_is_named():
    options = [one.opts[0] for one in command.params if isinstance(one, click.Option)]
    named = first_cells("Commands")
    suites = [
        name for name, _, origin in offered_files(load_plugins(), "daf_suites") if origin.startswith("benchmarks ")
    ]
    assert [name.partition(" ")[0] for name in named if name.startswith("--")] == options
    assert sorted(name for name in named if not name.startswith("--")) == sorted(suites)
    assert all(f"`{form}`" in text(PAGE) for form in FORMATS)
    columns = [heading.replace("vs base", "vs BASELINE") for heading in HEADINGS if heading != "method"]
    assert [name for name in first_cells("How to read the table") if name in columns] == columns


def test_every_key_of_table_json_is_named():
    (table,) = json.loads(Bench(None, (TABLE,), {}).text("json"))["tables"]
    row = table["rows"][0]
    keys = {"tables", *table, *row, *row["mIoU"], "seed", "seconds", "environment"}
    assert {key for key in keys if f"`{key}`" not in text(PAGE)} == set()


def test_every_command_names_a_suite_that_can_be_read():
    plugins = load_plugins()
    lines = [shlex.split(line, comments=True) for line in commands(PAGE)]
    assert len(lines) > 5
    for _, name, suite, *rest in lines:
        assert name == "bench"
        arguments = rest[: rest.index(">")] if ">" in rest else rest
        overrides = command.make_context("bench", [suite, *arguments]).params["overrides"]
        if suite != "mine.toml":
            read_suite(locate(plugins, suite, "daf_suites"), overrides)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Images as the example's suite wants them, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for part, count, ids in (("game", 1, (7, 26)), ("dashcam/train", 1, (1, 2)), ("dashcam/test", 20, (1, 2))):
        for index in range(count):
            label = torch.tensor(ids, dtype=torch.uint8).repeat_interleave(16).expand(16, 32)
            for kind in ("images", "labels"):
                (tmp_path / part / kind).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / part / "images" / f"{index}.png", torch.zeros(3, 16, 32, dtype=torch.uint8))
            write_label(tmp_path / part / "labels" / f"{index}.png", label)
    return tmp_path


def test_the_example_is_a_suite_that_works(folders):
    plugins = load_plugins()
    (example,) = fenced(PAGE, "toml")
    own = read_tables(locate(plugins, "cyclegan")) | {"name": "my_method"}
    path = write_suite(
        folders, {"my_method.toml": own}, **tomllib.loads(example), seeds=None, bootstrap=None, baseline=None
    )
    assert read_suite(path) == parse_suite(tomllib.loads(example), "s")
    plan = make_plan(plugins, read_suite(path), path, folders / "bench", only=["my_method"])
    assert plan.baseline is None and make_plan(plugins, read_suite(path), path, folders).baseline == "cyclegan"
    assert check_cells(plugins, plan, plan.cells) == []
