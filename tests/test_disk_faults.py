"""A disk that is full, fails or may not be written to, and clocks that jump; the long form is tests/torture/disk.py."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from cache_set import IDS, write_set
from conftest import BOUND, refused
from torture.kills import outcome

from daframework.errors import RunError
from daframework.storage import checkpoint
from daframework.storage.files import append_line, write_whole

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Disk:
    """Lets ``room`` more files be opened, made or renamed in ``folder``, and then none: each fails with ``number``."""

    def __init__(self):
        self.folder, self.room, self.number, self.failed = "", None, errno.ENOSPC, 0

    def hear(self, event, arguments):
        if self.room is None or event not in ("open", "os.mkdir", "os.rename"):
            return
        path = os.fspath(arguments[0]) if isinstance(arguments[0], str | os.PathLike) else ""
        if not path.startswith(self.folder) or (event == "open" and not arguments[2] & WRITING):
            return
        if self.room == 0:
            self.failed += 1
            raise OSError(self.number, os.strerror(self.number), path)
        self.room -= 1


DISK = Disk()
sys.addaudithook(DISK.hear)  # for good: Python lets none be taken away


@pytest.fixture
def disk(tmp_path):
    """`DISK`, of the test's folder."""
    DISK.folder, DISK.failed, DISK.number = str(tmp_path), 0, errno.ENOSPC
    yield DISK
    DISK.room = None


@pytest.fixture
def recipe(tables, tmp_path, monkeypatch, write):
    """A recipe whose images lie in files, are cached, and are drawn as samples."""
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))
    for domain in ("source", "target/train", "target/test"):
        write_set(tmp_path / domain, count=4, sizes=[(20, 30)])
    common = {"name": "image_folder", "classes": ["dark", "bright"], "ids": IDS}
    tables["source"] = common | {"root": str(tmp_path / "source")}
    parts = {"train_folder": "train", "test_folder": "test"}
    tables["target"] = common | {"root": str(tmp_path / "target")} | parts
    tables["data"] |= {"resize": [16, 24], "cache": True}
    tables["log"]["samples_every"] = 2
    return write(tables)


@pytest.fixture
def undisturbed(daf, recipe, disk, tmp_path):
    """What a run leaves that nothing happened to, and how much room it takes; its cache is deleted."""
    plenty = disk.room = 10_000
    assert daf("run", recipe, "--out", tmp_path / "whole")[0] == 0
    taken, disk.room = plenty - disk.room, None
    shutil.rmtree(tmp_path / "cache")
    return outcome(tmp_path / "whole"), taken


def test_a_run_whose_disk_fails_anywhere_says_so_in_a_line_and_is_made_good_afterwards(
    daf, recipe, undisturbed, disk, tmp_path
):
    draw, (wanted, taken) = Random(0), undisturbed
    for number in range(4):
        out = tmp_path / f"run{number}"
        for room in (draw.randrange(number * taken // 4, taken), draw.randrange(taken // 2)):
            disk.room, disk.number, disk.failed = room, draw.choice([errno.ENOSPC, errno.EIO, errno.EROFS]), 0
            result = daf("run", recipe, "--out", out)
            disk.room = None
            if disk.failed:
                refused(result, rf"{tmp_path}.*{os.strerror(disk.number)}")
        assert daf("run", recipe, "--out", out)[0] == 0
        assert outcome(out) == wanted
        for line in (out / "log.jsonl").read_text().splitlines():
            json.loads(line)
        shutil.rmtree(tmp_path / "cache")


def test_files_of_the_future_or_the_past_change_nothing(daf, recipe, undisturbed, disk, tmp_path, monkeypatch):
    out, (wanted, taken) = tmp_path / "run", undisturbed
    for room, year in ((taken // 2, 2**31), (taken // 4, 1.0)):
        disk.room = room
        refused(daf("run", recipe, "--out", out), "No space left on device")
        disk.room = None
        for folder in (out, tmp_path / "cache"):
            for path in (folder, *folder.rglob("*")):
                os.utime(path, (year, year))
        monkeypatch.setattr(time, "time", lambda year=year: year / 2)
    assert daf("run", recipe, "--out", out)[0] == 0
    assert outcome(out) == wanted


# --- by real processes ---


def run_process(recipe, out, *options, size):
    """``daf run`` in a process that can write no file larger than ``size`` bytes."""
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    code = f"{limits}; from daframework.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(recipe), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=BOUND)


def test_a_run_that_cannot_save_ends_together_with_the_processes_that_load_its_images(
    installed, tables, write, tmp_path
):
    tables["log"]["checkpoint_every"] = 1
    # With --debug Python keeps the error until it exits, and with it the training loop.
    done = run_process(write(tables), tmp_path / "run", "--set", "hardware.workers=1", "--debug", size=4_000)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"daframework.errors.RunError: checkpoint {tmp_path}/run/checkpoints/source_only.pt cannot be written: "
        "File too large; the one before it is kept"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_goes_nowhere_is_an_error_in_a_line():
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "daframework", "recipes"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: the output: No space left on device\n")


# --- one file ---


@pytest.mark.parametrize("before", ["", '{"step": 1}\n', '{"step": 1}\n{"st', '{"st'])
def test_half_a_line_that_was_left_is_cut_off_before_the_next(tmp_path, before):
    path = tmp_path / "log.jsonl"
    path.write_text(before)
    append_line(path, '{"step": 2}')
    assert path.read_text() == ('{"step": 1}\n' if "1" in before else "") + '{"step": 2}\n'


def test_a_line_for_which_there_is_no_room_is_named_and_made_good(tmp_path):
    path, before = tmp_path / "log.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    append_line(path, "first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(RunError, match=r"log\.jsonl cannot be written: File too large"):
            append_line(path, "second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "first\nseco"
    append_line(path, "third")
    assert path.read_text() == "first\nthird\n"


def fails(*arguments):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_does_not_reach_the_disk_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_whole(path, lambda file: file.write(b"old"))
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output error"):
        write_whole(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_does_not_reach_the_disk_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"done": 1})
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(RunError, match=r"a\.pt cannot be written: Input/output error; the one before it is kept"):
        checkpoint.save(path, {"done": 2}, keep_previous=True)
    assert checkpoint.load(path, "cpu")["done"] == 1 and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_the_reason_and_not_what_torch_makes_of_it(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"a\.pt cannot be written: File too large; the one before it is kept"):
            checkpoint.save(tmp_path / "a.pt", {"text": "x" * 10_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_file_before_goes_where_it_is_asked_to(tmp_path):
    for content in (b"1", b"2", b"3"):
        write_whole(tmp_path / "a", lambda file, content=content: file.write(content), previous=tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"3" and (tmp_path / "b").read_bytes() == b"2"


def test_what_a_killed_process_left_is_written_over_unless_others_may_be_at_it(tmp_path):
    left = tmp_path / ".a.partial"
    for shared in (False, True):
        left.write_bytes(b"half")
        write_whole(tmp_path / "a", lambda file: file.write(b"new"), shared=shared)
        assert left.exists() == shared


def test_a_file_is_on_the_disk_before_it_has_its_name_and_so_is_the_name(tmp_path, monkeypatch):
    steps = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: (steps.append(Path(f"/proc/self/fd/{number}").resolve().name), sync(number))
    )
    monkeypatch.setattr(Path, "replace", lambda path, to: (steps.append(f"to {to.name}"), replace(path, to))[1])
    write_whole(tmp_path / "a", lambda file: file.write(b"new"))
    assert steps == [".a.partial", "to a", tmp_path.name]
    steps.clear()
    write_whole(tmp_path / "a", lambda file: file.write(b"new"), synced=False)
    assert steps == ["to a"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, shared):
    for name in ("x" * 255, "ä" * 127, "y" * 251 + ".png"):
        for content in (b"old", b"new"):
            write_whole(tmp_path / name, lambda file, content=content: file.write(content), shared=shared)
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 3
