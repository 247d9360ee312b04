"""A cache that is cut off, altered, interrupted, out of room or built twice at once: never used as it should not be."""

import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest
import torch
from cache_set import SHARD, assert_same, cached, checked, files, folders, identity, shards, write_set
from conftest import Recorder

from daframework.data.decode import write_image
from daframework.errors import DataError, StoppedError

CACHING, CHECKING = "caching the set", "checking the cache of the set"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def dataset(tmp_path):
    return files(write_set(tmp_path / "set"))


def left_over(root):
    return [path for path in root.rglob(".*") if path.is_file()]


# --- cut off, altered, copied ---


def flip_a_bit(path, *, place=10):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def alter(path):
    flip_a_bit(path)


def alter_in_secret(path):
    times = path.stat()
    flip_a_bit(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


def garble_the_description(path):
    path.with_suffix(".json").write_bytes(b"\x89PNG")


def alter_the_description(path):
    description = path.with_suffix(".json")
    description.write_bytes(description.read_bytes().replace(b'"heights": [8, 8', b'"heights": [4, 8', 1))


def take_another_shard(path):
    other = path.with_name("00001.bin")
    for suffix in (".bin", ".json"):
        shutil.copy2(other.with_suffix(suffix), path.with_suffix(suffix))


@pytest.mark.parametrize("kind", [0, 1], ids=["images", "labels"])
@pytest.mark.parametrize(
    "damage",
    [alter, alter_in_secret, cut, empty, delete, garble_the_description, alter_the_description, take_another_shard],
)
def test_a_damaged_shard_is_made_anew_with_a_word_and_the_others_stay(session, dataset, capsys, damage, kind):
    one = cached(session(), dataset)
    hurt = folders(one)[kind] / "00000.bin"
    others = identity(path for path in shards(one) if path != hurt)
    damage(hurt)
    log = Recorder()
    assert_same(cached(session(log=log), dataset), checked(dataset))
    assert log.stages[-1] == (CACHING, SHARD + 6, 6)
    errors = capsys.readouterr().err
    assert errors.startswith(f"warning: the cache of the set: {folders(one)[kind]}/00000.") and errors.count("\n") == 1
    assert errors.endswith("; that part of it is made anew\n")
    assert damage is not cut or re.search(r"00000\.bin has \d+ bytes instead of \d+; that part", errors)
    assert identity(others) == others


def test_a_cache_that_was_copied_is_checked_once_and_not_made_again(session, dataset, tmp_path, monkeypatch):
    cached(session(), dataset)
    shutil.copytree(tmp_path / "cache", tmp_path / "copied")
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "copied"))
    for stages in ([(CHECKING, 2, 0), (CHECKING, 2, 0)], []):
        log = Recorder()
        one = cached(session(log=log), dataset)
        assert log.stages == stages
    assert_same(one, checked(dataset))


def test_the_cache_of_another_set_under_this_ones_name_is_not_used(session, dataset, tmp_path, capsys):
    other = cached(session(), files(write_set(tmp_path / "other", count=SHARD + 7)), labels=False)
    one = cached(session(), dataset, labels=False)
    shutil.rmtree(folders(one)[0])
    shutil.copytree(folders(other)[0], folders(one)[0])
    assert_same(cached(session(), dataset), checked(dataset))
    assert "00000.json is of another cache" in capsys.readouterr().err


# --- interrupted ---


def test_an_interrupted_build_leaves_whole_shards_and_goes_on(session, tmp_path):
    dataset = files(write_set(tmp_path / "set", count=3 * SHARD, sizes=[(2, 2)]))
    with pytest.raises(StoppedError, match=r"stopped after 70 of 192 images of the set were cached"):
        cached(session(stop_after=70), dataset, workers=1)
    before = identity((tmp_path / "cache").rglob("*.bin"))
    assert 2 <= len(before) < 6 and left_over(tmp_path / "cache") == []
    log = Recorder()
    one = cached(session(log=log), dataset)
    assert log.stages == [(CACHING, 192, SHARD * (len(before) // 2))]
    assert identity(before) == before
    assert_same(one, checked(dataset))


def test_what_a_killed_process_left_is_thrown_away_after_an_hour(session, dataset, tmp_path):
    (folder,) = folders(cached(session(), dataset, labels=False))
    old, new = folder / ".00000.old", folder / ".00000.new"
    for path in (old, new):
        path.write_bytes(b"pixels")
    os.utime(old, (time.time() - 7200,) * 2)
    delete(folder / "00000.bin")
    cached(session(), dataset, labels=False)
    assert not old.exists() and new.exists()


# --- files that cannot be used ---


def test_every_faulty_file_is_named_at_once_and_sound_shards_are_kept(session, tmp_path):
    root = write_set(tmp_path / "set", count=3 * SHARD, sizes=[(4, 4)])
    (root / "images" / "0003.png").write_bytes(b"no picture")
    write_image(root / "images" / "0005.png", torch.zeros(3, 4, 5, dtype=torch.uint8))
    (root / "labels" / "0150.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        cached(session(), files(root))
    lines = str(caught.value).splitlines()
    named = ("images/0003.png: not an image", "labels/0005.png: 4 x 4 pixels", "labels/0150.png: the file is empty")
    assert len(lines) == 3 and all(any(name in line for line in lines) for name in named)
    kept = {path.name for path in (tmp_path / "cache").rglob("*.bin")}
    assert kept == {"00001.bin"} and left_over(tmp_path / "cache") == []


def test_where_every_file_is_faulty_not_all_are_read(session, tmp_path):
    root = write_set(tmp_path / "set", count=2 * SHARD, sizes=[(4, 4)])
    with pytest.raises(DataError) as caught:
        cached(session(), files(root, ids={"0": "dark"}))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21 and lines[-1] == "caching the set ends here: 20 files cannot be used"


# --- no room ---


@contextmanager
def largest_file(size):
    """The kernel lets no file of this process and its children grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_is_a_line_and_leaves_nothing_half_written(session, tmp_path):
    # The second shard has the larger images.
    root = write_set(tmp_path / "set", count=SHARD, sizes=[(4, 4)])
    for index in range(SHARD, SHARD + 6):
        write_image(root / "images" / f"{index:04d}.png", torch.zeros(3, 40, 60, dtype=torch.uint8))
    dataset = files(root)
    with largest_file(20_000), pytest.raises(DataError) as caught:
        cached(session(), dataset, labels=False, workers=1)
    assert "cannot be written (File too large); make room" in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "cache").rglob("*.bin")] == ["00000.bin"]
    assert left_over(tmp_path / "cache") == []
    log = Recorder()
    assert_same(cached(session(log=log), dataset, labels=False), checked(dataset), labels=False)
    assert log.stages == [(CACHING, SHARD + 6, SHARD)]


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A file system of one megabyte, with the cache in it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs rights that are not here")
    monkeypatch.setenv("DAF_CACHE", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_room_is_refused_before_anything_is_decoded(session, tmp_path, small_disk):
    dataset, log = files(write_set(tmp_path / "set")), Recorder()
    with pytest.raises(DataError) as caught:
        cached(session(log=log), dataset, resize=(80, 80))
    assert "the set needs about 1.8 MB more, and 1.0 MB are free; make room" in str(caught.value)
    assert "set DAF_CACHE to a folder on another disk" in str(caught.value) and "\n" not in str(caught.value)
    assert log.stages == [] and not list(small_disk.rglob("*.bin"))


def test_a_disk_that_fills_up_is_a_line_and_leaves_nothing_half_written(session, tmp_path, small_disk):
    root = write_set(tmp_path / "set", count=2 * SHARD, sizes=[(4, 4)])
    # Images larger than those that are measured before.
    for index in range(SHARD + 40, SHARD + 60):
        write_image(root / "images" / f"{index:04d}.png", torch.zeros(3, 160, 160, dtype=torch.uint8))
    dataset = files(root)
    with pytest.raises(DataError, match="No space left on device") as caught:
        cached(session(), dataset, labels=False, workers=1)
    assert "\n" not in str(caught.value) and left_over(small_disk) == []
    assert [path.name for path in small_disk.rglob("*.bin")] == ["00000.bin"]
    os.sync()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert_same(cached(session(), dataset, labels=False), checked(dataset), labels=False)


def test_a_folder_that_cannot_be_made_is_a_line(session, dataset, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"file/images-\w+: cannot be written \(.*\); make room .* set DAF_CACHE"):
        cached(session(), dataset)


# --- two at once ---


def test_two_processes_that_build_the_same_cache_do_not_hurt_it(session, tmp_path, capsys):
    dataset = files(write_set(tmp_path / "set", count=4 * SHARD, sizes=[(4, 6)]))
    start = multiprocessing.get_context("fork").Barrier(3)

    def work():
        start.wait()
        assert_same(cached(session(), dataset), checked(dataset))

    others = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for other in others:
        other.start()
    work()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    log = Recorder()
    assert_same(cached(session(log=log), dataset), checked(dataset))
    assert CACHING not in [stage for stage, _, _ in log.stages] and left_over(tmp_path / "cache") == []
    assert capsys.readouterr().err == ""
