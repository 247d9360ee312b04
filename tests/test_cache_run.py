"""A whole run with the cache gives what it gives without; and ``daf data cache`` builds, lists and deletes."""

import copy
import json

import pytest
from cache_set import IDS, write_set
from click.testing import CliRunner
from conftest import TABLES, Recorder

from daframework.cli.data.cache import command
from daframework.data.cache.cached import Cached
from daframework.errors import DataError, StoppedError
from daframework.recipes.read import parse
from daframework.runs.context import opened
from daframework.runs.stages import execute
from daframework.storage.run_folder import open_folder


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tables(tmp_path):
    """Two domains of files; the target's training images are in another folder than its test images."""
    tables = copy.deepcopy(TABLES)
    for domain in ("source", "target/train", "target/test"):
        write_set(tmp_path / domain, count=5, sizes=[(20, 30), (24, 26)])
    common = {"name": "image_folder", "classes": ["dark", "bright"], "ids": IDS}
    tables["source"] = common | {"root": str(tmp_path / "source")}
    parts = {"train_folder": "train", "test_folder": "test"}
    tables["target"] = common | {"root": str(tmp_path / "target")} | parts
    tables["data"]["resize"] = [16, 24]
    return tables


def cached(tables, **data):
    return tables | {"data": tables["data"] | {"cache": True} | data}


def comparable(path):
    content = json.loads((path / "results.json").read_text())
    del content["seconds"], content["environment"]
    images = {file.name: file.read_bytes() for file in (path / "translated").rglob("*.png")}
    statistics = {file.name: file.read_bytes() for file in (path / "scores").glob("*.json")}
    return content, images, statistics


# --- runs ---


def test_a_run_with_the_cache_gives_bit_for_bit_what_it_gives_without(plugins, session, tables, tmp_path):
    recorder = Recorder()
    for name, recipe in (("with", parse(cached(tables), "r")), ("without", parse(tables, "r"))):
        made = session(log=recorder if name == "with" else None)
        execute(made, plugins, recipe, open_folder(tmp_path / name, recipe))
    assert comparable(tmp_path / "with") == comparable(tmp_path / "without")
    assert [stage for stage, _, _ in recorder.stages if stage.startswith("caching")] == [
        "caching source train (image_folder)",
        "caching target train (image_folder)",
        "caching target test (image_folder)",
        "caching target train (image_folder)",  # with labels now, for the oracle
        "caching images translated by tiny",
    ]


def test_the_next_run_finds_the_cache_and_only_its_own_images_are_made_and_removed(plugins, session, tables, tmp_path):
    stages, lying = [], []
    for seed in (0, 1):
        recipe, log = parse(cached(tables) | {"seed": seed}, "r"), Recorder()
        execute(session(log=log), plugins, recipe, open_folder(tmp_path / f"run{seed}", recipe))
        stages.append([stage for stage, _, _ in log.stages if "cach" in stage])
        lying.append(sorted(path.name for path in (tmp_path / "cache").iterdir()))
    assert stages[1] == ["caching images translated by tiny"]
    assert lying[0] == lying[1] and len(lying[0]) == 6


def test_without_oracle_the_labels_of_target_training_images_are_not_looked_for(plugins, session, tables, tmp_path):
    for file in (tmp_path / "target" / "train" / "labels").iterdir():
        file.unlink()
    tables["downstream"]["oracle"] = False
    recipe = parse(cached(tables), "r")
    execute(session(), plugins, recipe, open_folder(tmp_path / "run", recipe))
    assert len(list((tmp_path / "cache").glob("labels-*"))) == 2


def test_a_run_goes_on_with_the_cache_or_without_and_its_own_images_are_removed(plugins, session, tables, tmp_path):
    class Stops(Recorder):
        def stopping(self):
            return self.stages[-1][0] == "training on tiny"

    with pytest.raises(StoppedError):
        recipe = parse(cached(tables), "r")
        execute(session(log=Stops()), plugins, recipe, open_folder(tmp_path / "run", recipe))
    assert len(list((tmp_path / "cache").iterdir())) == 8
    recipe = parse(tables, "r")
    execute(session(), plugins, recipe, open_folder(tmp_path / "run", recipe))
    assert len(list((tmp_path / "cache").iterdir())) == 6


def test_a_set_that_cannot_be_cached_is_read_as_without(plugins, session, capsys):
    from daframework.runs.datasets import open_datasets

    recipe = parse(cached(copy.deepcopy(TABLES)), "r")
    dataset = opened(session(), recipe, open_datasets(plugins, recipe).source, "source train (blocks)")
    assert not isinstance(dataset, Cached) and dataset[0].label is not None
    assert capsys.readouterr().err.startswith("warning: source train (blocks) is not cached on disk")


# --- daf data cache ---


def call(*arguments, answer=None):
    return CliRunner().invoke(command, [str(one) for one in arguments], input=answer, env={"COLUMNS": "400"})


@pytest.fixture
def recipe(tables, write, installed):
    return write(tables)


def test_building_prints_a_row_a_set_and_a_run_then_finds_it(recipe, plugins, session, tables, tmp_path):
    done = call(recipe)
    assert done.exit_code == 0, done.output
    for title in ("source train", "target train", "target test"):
        (row,) = [line for line in done.output.splitlines() if f"{title} (image_folder)" in line and "MB" in line]
        assert row.split()[3:6] == ["5", "5", "0.0"] and str(tmp_path / "cache" / "images-") in row
    log, loaded = Recorder(), parse(cached(tables), "r")
    execute(session(log=log), plugins, loaded, open_folder(tmp_path / "run", loaded))
    assert [stage for stage, _, _ in log.stages if "cach" in stage] == ["caching images translated by tiny"]


def test_labels_of_the_target_are_built_only_for_an_oracle(recipe, tmp_path):
    done = call(recipe, "--set", "downstream.oracle=false")
    assert "not read" in done.output and len(list((tmp_path / "cache").glob("labels-*"))) == 2


def test_the_list_names_every_cache_with_what_it_holds(recipe, cache_folder):
    assert call("--list").output == f"0 caches, 0.0 MB, in {cache_folder}\n"
    call(recipe)
    lines = call("--list").output.splitlines()
    assert lines[-1].startswith("6 caches, 0.0 MB, in ")
    (row,) = [line for line in lines if "5 images" in line and "source train (image_folder)" in line]
    assert "16 x 24" in row and "images-" in row
    next(cache_folder.glob("images-*/00000.json")).unlink()
    assert "0 of 5 images" in call("--list").output


def test_clearing_asks_and_deletes_caches_and_nothing_else(recipe, cache_folder):
    call(recipe)
    for name in ("images-mine", "photos", "labels-" + "0" * 32):
        (cache_folder / name).mkdir()
        (cache_folder / name / "a.png").touch()
    assert call("--clear", answer="n\n").exit_code == 1 and len(list(cache_folder.iterdir())) == 9
    assert call("--clear", answer="y\n").exit_code == 0
    assert {path.name for path in cache_folder.iterdir()} == {"images-mine", "photos", "labels-" + "0" * 32}
    assert call("--clear", "--yes").output == f"no cache to delete in {cache_folder}\n"


def test_clearing_a_recipe_leaves_the_caches_of_others(recipe, cache_folder):
    call(recipe)
    call(recipe, "--set", "data.resize=[8, 8]")
    assert len(list(cache_folder.iterdir())) == 12
    assert "deleted 6 caches" in call(recipe, "--clear", "--yes", "--set", "data.resize=[8, 8]").output
    assert len(list(cache_folder.iterdir())) == 6 and call(recipe).exit_code == 0


@pytest.mark.parametrize("wrong", [(), ("--list", "--clear"), ("--yes",), ("tiny.toml", "--list")])
def test_options_that_do_not_go_together_are_a_usage_error(wrong):
    assert call(*wrong).exit_code == 2


def test_a_faulty_file_is_an_error_of_the_command(recipe, tmp_path):
    (tmp_path / "source" / "images" / "0003.png").write_bytes(b"")
    assert isinstance(call(recipe).exception, DataError)
