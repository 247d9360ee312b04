"""docs/datasets says of every dataset what its code does: its name, its options, its label spaces."""

import re
import tomllib
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from daf_driving.space_files import label_space, space_names
from daframework.errors import DataError
from daframework.recipes.strict import structure
from daframework.registry import components, load_plugins

PAGES = Path(__file__).parents[1] / "docs" / "datasets"
DATASETS = {
    name: one.factory
    for name, one in components(load_plugins(), "dataset").items()
    if one.origin.distribution == "daframework"
}
ROWS = {
    name: cells.split(" | ")
    for name, cells in re.findall(
        r"^\| \[`(\w+)`\]\(\1\.md\) \| (.*) \|$", (PAGES / "README.md").read_text(), re.MULTILINE
    )
}


def tables():
    """Every table of a dataset in the pages: page, dataset, options."""
    for page in sorted(PAGES.glob("*.md")):
        for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            content = tomllib.loads(block)
            for domain in ("source", "target"):
                if domain in content:
                    options = dict(content[domain])
                    yield page.stem, options.pop("name"), options


READ_AS_FOLDERS = dict(
    re.findall(r"^\| \[[\w ]+\]\((\w+)\.md\) \| (.*) \|$", (PAGES / "README.md").read_text(), re.MULTILINE)
)


def test_every_dataset_and_every_folder_with_a_map_has_a_page_and_a_row():
    assert set(DATASETS) == set(ROWS)
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == {*ROWS, *READ_AS_FOLDERS}


@pytest.mark.parametrize("page", sorted({*DATASETS, *READ_AS_FOLDERS}))
def test_a_page_shows_a_recipe_with_its_dataset(page):
    assert (page if page in DATASETS else "image_folder") in {name for where, name, _ in tables() if where == page}


@pytest.mark.parametrize("page", sorted({*DATASETS, *READ_AS_FOLDERS}))
def test_a_row_says_what_the_reader_was_run_on(page):
    tried = ROWS[page][5] if page in ROWS else READ_AS_FOLDERS[page].split(" | ")[5]
    assert re.search("real|made-up files|drawn, not read", tried)


@pytest.mark.parametrize("page", sorted(READ_AS_FOLDERS))
def test_a_page_of_a_folder_uses_the_maps_in_its_row(page):
    used = {options.get("ids") or options.get("colours") for where, name, options in tables() if where == page}
    assert set(re.findall(r"`(\w[\w.]*)`", READ_AS_FOLDERS[page].split(" | ")[3])) == used - {None}


def test_recipes_with_folders_fail_for_want_of_files_only():
    found = [options for _, name, options in tables() if name == "image_folder"]
    for options in found:
        with pytest.raises(DataError, match=r"no such folder|cannot be read"):
            DATASETS["image_folder"](split="train", **{**options, "root": "/nowhere"})
    assert len(found) > 10


def test_the_options_in_recipes_exist_and_take_such_values():
    found = list(tables())
    assert len(found) > 2 * len(DATASETS)
    for page, name, options in found:
        parameters = signature(DATASETS[name]).parameters
        for option, value in options.items():
            assert option in parameters, f"{page}: {name} has no option {option}"
            assert structure(value, parameters[option].annotation)[1] == []


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_row_lists_exactly_the_label_spaces_that_are_offered(name):
    listed = set(re.findall(r"`(\w+)`", ROWS[name][3]))
    classes = signature(DATASETS[name]).parameters.get("classes")
    if name == "image_folder":
        assert listed == set()
    elif classes is None or str not in (classes.annotation, *get_args(classes.annotation)):  # classes of its own
        made = DATASETS[name](look="game", split="train") if name == "streets" else DATASETS[name]
        assert {one for one in space_names() if label_space(one).classes == tuple(made.classes)} == listed
    else:
        offered = set()
        for space in space_names():
            try:
                DATASETS[name](split="train", root="/nowhere", classes=space)
            except DataError:
                offered.add(space)
            except ValueError as error:
                assert str(error).startswith("classes: ")
        assert offered == listed
