"""One process at a time in a folder."""

import os
import signal
import subprocess
import sys

import pytest

from daframework.errors import RunError
from daframework.recipes.read import parse
from daframework.storage.lock import HOLDER, held, in_use
from daframework.storage.run_folder import find_folder, open_folder

HOLD = """
import sys
from pathlib import Path
from daframework.storage.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder until its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_in_use_says_who_uses_it(tmp_path, other):
    said = rf"{tmp_path} is in use by process {other.pid} on .* since 20\d\d-.* UTC; wait, stop it, or give another"
    with pytest.raises(RunError, match=said), held(tmp_path):
        pass


def test_what_a_killed_process_held_is_free(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with held(tmp_path):
        pass


def test_a_folder_is_free_again_afterwards_and_keeps_no_word_of_its_holder(tmp_path, other):
    other.communicate()
    with held(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        raise ZeroDivisionError
    with held(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} <= {".lock", "new"}


def test_a_holder_that_cannot_be_read_is_another_process(tmp_path, other):
    (tmp_path / ".lock_holder.json").write_text("{")
    with pytest.raises(RunError, match="is in use by another process; wait"), held(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file/folder cannot be written"), held(tmp_path / "file" / "folder"):
        pass


def test_a_folder_of_a_run_that_was_killed_before_it_began_is_free(tmp_path, tables):
    for name in (".lock", ".lock_holder.json", ".recipe.toml.partial"):
        (tmp_path / name).write_text("")
    recipe = parse(tables, "r")
    assert not find_folder(tmp_path, recipe).recipe.exists()
    assert open_folder(tmp_path, recipe).recipe.exists()


def test_looking_at_a_folder_writes_nothing(tmp_path, tables):
    find_folder(tmp_path / "new", parse(tables, "r"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").touch()
    with pytest.raises(RunError, match="is not empty and holds no run"):
        find_folder(tmp_path, parse(tables, "r"))


def test_who_holds_a_folder_is_told_without_touching_the_lock(tmp_path):
    assert in_use(tmp_path) is None
    with held(tmp_path):
        assert in_use(tmp_path).startswith(f"process {os.getpid()} on ")
        told = (tmp_path / HOLDER).read_text()
    assert in_use(tmp_path) is None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / HOLDER).write_text(told.replace(f'"process": {os.getpid()}', f'"process": {ended.pid}'))
    assert in_use(tmp_path) is None
    (tmp_path / HOLDER).write_text("[")
    assert in_use(tmp_path) is None
