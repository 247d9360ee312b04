"""Names that command a terminal, lead out of a folder, or files that ask for code: shown, kept inside, refused."""

import json
import re
import shutil

import pytest
import torch
from conftest import refused
from image_files import picture
from image_files import write as write_image
from test_checkpoint import Planted

from daframework.adapt.translated_set import open_translated
from daframework.build import make_dataset
from daframework.data.decode import image_size
from daframework.errors import DataError
from daframework.recipes.read import parse

CLASSES = ["[red]road[/red]", "\x1b[2Jsky", "tree\u202e[/]"]
SHOWN = ["[red]road[/red]", r"\x1b[2Jsky", r"tree\u202e[/]"]
NAME = "[red]\x1b[31ma.png"
NAME_SHOWN = r"\[red\]\\x1b\[31ma\.png"


@pytest.fixture
def finished(daf, write, tables):
    """The folder of a finished run whose classes have such names, and what ``daf run`` printed."""
    for domain in ("source", "target"):
        tables[domain]["classes"] = CLASSES
    code, out, errors = daf("run", write(tables), "--out", "run")
    assert code == 0, errors
    return out


def test_class_names_are_shown_as_text_in_tables(daf, finished):
    code, report, _ = daf("report", "run")
    assert code == 0
    for out in (finished, report):
        assert "\x1b" not in out and "\u202e" not in out
        assert all(f"│ {name} " in out for name in SHOWN)


def test_class_names_are_shown_as_text_when_a_dataset_is_measured(daf, write, tables):
    tables["source"]["classes"] = tables["target"]["classes"] = CLASSES
    recipe = write(tables)
    for command in (["stats", recipe, "--plot", "drawn"], ["check", recipe]):
        code, out, errors = daf("data", *command)
        assert code == 0 and "\x1b" not in out + errors and "\u202e" not in out + errors
        assert all(name in out for name in SHOWN) or command[0] == "check"


@pytest.mark.parametrize("command", ["predict", "translate"])
def test_a_file_name_is_shown_as_text_in_an_error(daf, finished, tmp_path, command):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / NAME).write_bytes(b"no image")
    refused(daf(command, "run", tmp_path / "images", "out"), rf"images/{NAME_SHOWN}: not an image")


def test_a_name_in_a_recipe_is_shown_as_text_in_an_error(daf, write, tables):
    tables["source"]["name"] = "[b]\x1b[31m"
    refused(daf("check", write(tables)), r"source\.name: no dataset named '\[b\]\\x1b\[31m'")


def test_a_folder_in_a_warning_is_shown_as_text(daf, write, tables, monkeypatch):
    monkeypatch.delenv("DAF_DATA", raising=False)  # or the folder is looked for in there
    tables["source"] = {"name": "image_folder", "root": "[b]\x1b[31m", "classes": ["road", "sky", "tree"]}
    code, _, errors = daf("check", write(tables))
    assert code == 0 and r"warning: [b]\x1b[31m/images: no such folder" in errors and "\x1b" not in errors


# --- outside its folder ---


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", "a/../../b"])
def test_a_translated_set_is_read_inside_its_folder_whatever_its_index_names(finished, plugins, tables, tmp_path, name):
    translated = tmp_path / "work/run/translated"
    (translated / "index.json").write_text(json.dumps({"names": [name] * 6, "versions": 1}))
    source = make_dataset(plugins, parse(tables, "r"), "source", "train")
    with pytest.raises(DataError) as caught:
        open_translated(translated, source)[0][0]
    assert re.match(rf"{translated}/labels/000000_[A-Za-z0-9_.-]+\.png: ", str(caught.value))


@pytest.mark.parametrize("command", ["predict", "translate"])
def test_what_is_made_of_a_folder_lies_below_the_folder_given(daf, finished, tmp_path, command):
    images, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    for path in (images / "x.png", images / "-...a..png", images / "a" / NAME, elsewhere / "b.png"):
        write_image(path, picture(shape=(16, 24, 3)))
    (images / "x.png").rename(images / "x..png")
    (images / "link").symlink_to(elsewhere)
    (images / "b.png").symlink_to(elsewhere / "b.png")
    before = {path for path in tmp_path.rglob("*") if "work" not in path.parts}
    code, _, errors = daf(command, "run", images, "out")
    assert code == 0, errors
    assert {path for path in tmp_path.rglob("*") if "work" not in path.parts} == before
    made = list((tmp_path / "work/out").rglob("*.png"))
    assert len(made) >= 4 and all(image_size(path) == (16, 24) for path in made)


def test_a_list_of_images_cannot_name_one_outside_its_dataset(daf, tmp_path):
    for kind in ("images", "labels"):
        write_image(tmp_path / "gta5" / kind / "1.png", picture()[..., 0] * 0 + 7 if kind == "labels" else picture())
    write_image(tmp_path / "secret.png", picture())
    for name in ("../../secret", str(tmp_path / "secret")):
        (tmp_path / "gta5/list.txt").write_text(f"1\n{name}\n")
        code, out, _ = daf("data", "check", "gta5", tmp_path / "gta5", "--set", "list_file=list.txt")
        assert code == 1 and f"list.txt: names {name.removeprefix('/')}, not in" in out


@pytest.mark.parametrize("name", ["../up", "/up", "..", "a/b", "a\0b", "\x1b[31m", "a" * 101, "ü" * 51])
def test_no_recipe_suite_or_task_is_called_what_no_folder_can_be(daf, write, tables, name):
    refused(daf("check", write(tables | {"name": name})), r"name: must be (made of letters|at most 100 bytes)")
    suite = {"name": name, "recipes": ["one"], "tasks": [{"label": name, "name": "pixels"}]}
    says = r"(name|label): must be (made of letters|at most 100 bytes)"
    refused(daf("bench", write(suite, "suite.toml"), "--dry-run"), says, says)


# --- code ---


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "command, file",
    [
        ("translate", "checkpoints/generator.pt"),
        ("predict", "checkpoints/tiny.pt"),
        ("run", "checkpoints/translation.pt"),
        ("run", "checkpoints/source_only.pt"),
    ],
)
def test_no_command_runs_code_that_a_checkpoint_carries(daf, finished, tables, write, tmp_path, command, file):
    trap, path = tmp_path / "trap", tmp_path / "work/run" / file
    torch.save({"generator": {}, "model": {}, "payload": Planted(trap)}, path)
    if command == "run":
        for left in ("results.json", "scores/source_only.json", "checkpoints/generator.pt"):
            (tmp_path / "work/run" / left).unlink()
        shutil.rmtree(tmp_path / "work/run/translated")
        for domain in ("source", "target"):
            tables[domain]["classes"] = CLASSES
        arguments = [write(tables), "--out", "run"]
    else:
        write_image(tmp_path / "images/a.png", picture(shape=(16, 24, 3)))
        arguments = ["run", tmp_path / "images", "out"]
    refused(daf(command, *arguments), rf"{file} is damaged or holds more than weights; delete it to begin again")
    assert not trap.exists()
