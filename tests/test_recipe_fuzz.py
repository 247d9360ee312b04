"""Whatever a recipe or suite file holds, it is sound or refused in words; ``torture/recipes.py`` is the long form."""

import copy
import tomllib

import pytest
import tomli_w
from conftest import refused
from torture.recipes import fuzz, judge, shipped

from daframework.errors import RecipeError
from daframework.recipes.read import parse, read


@pytest.mark.parametrize("hook, cases", [("daf_recipes", 60), ("daf_suites", 40)])
def test_a_file_that_nobody_would_write_is_sound_or_refused(tmp_path, hook, cases):
    counts = fuzz(hook, cases, tmp_path)
    assert counts["refused"] > cases / 3 and counts["sound"] > 0


# --- what once ended otherwise ---

SHIPPED = tomllib.loads(next(text for text in shipped("daf_recipes") if 'name = "semantic_cyclegan"' in text))


@pytest.mark.parametrize(
    "table, key, value",
    [
        ("data", "crop_size", [10**9, 10**9]),
        ("data", "crop_size", [2**62, 4]),
        ("data", "resize", [10**6, 10**6]),
        ("data", "batch_size", 10**18),
        ("data", "matched_crops", 10**9),
        ("data", "classes", "a" * 5000),
        ("data", "classes", "a\0b"),
        ("downstream", "batch_size", 10**9),
        ("downstream", "steps", 2**63),
        ("hardware", "workers", 10**6),
        ("generator", "blocks", 10**9),
        ("generator", "channels", 10**12),
        ("discriminator", "channels", 2**62),
        ("task", "encoder", "a" * 5000),
        ("task", "arch_options", {"encoder_depth": 10**9}),
        ("source", "train_images", 10**30),
    ],
)
def test_what_no_machine_can_hold_is_refused_before_it_is_made(tmp_path, table, key, value):
    tables = copy.deepcopy(SHIPPED)
    tables.setdefault(table, {})[key] = value
    assert judge("daf_recipes", tomli_w.dumps(tables).encode(), tmp_path) == "refused"


@pytest.mark.parametrize(
    "content",
    [
        b"name = " + b"[" * 100_000,
        b"name = " + b"[" * 200 + b"]" * 200,
        b".".join([b"a"] * 5000) + b" = 1",
        b"seed = " + b"9" * 5000,
        b"seed = 0x" + b"f" * 9000,
        b"seed = 1e999\nname = nan",
        b"\xff\xfe\x00",
        b"name = '" + b"x" * 1_000_000 + b"'",
    ],
    ids=["unclosed", "deep lists", "deep tables", "long number", "long hex", "infinite", "bytes", "long name"],
)
def test_what_is_hardly_toml_is_refused_in_short_lines(tmp_path, content):
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read(path)
    assert all(len(line) < 2000 for line in caught.value.problems)


@pytest.mark.parametrize("value", ["[" * 5000, "{a=" * 5000, "9" * 5000])
def test_an_override_that_is_hardly_toml_is_taken_as_text(daf, write, tables, value):
    refused(daf("check", write(tables), "--set", f"seed={value}"), "seed: must be a whole number, got '")


@pytest.mark.parametrize("place", ["9" * 5000, "٣", "-1", "2"])
def test_an_override_of_an_entry_that_is_not_there_is_refused(daf, write, tables, place):
    refused(daf("check", write(tables), "--set", f"losses.{place}.weight=2"), f"no entry named '{place}'")


@pytest.mark.parametrize("name", ["oracle.1", "source_only.1", "generator.previous", "translation.previous"])
def test_no_method_is_called_like_the_files_of_another_row(tables, name):
    with pytest.raises(RecipeError, match=f"name: '{name}' is taken by a part of every run"):
        parse(tables | {"name": name}, "r")
