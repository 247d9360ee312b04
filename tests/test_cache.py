"""What the cache gives is what was put there, whichever way it is asked; and what it was made of names it."""

import gc
import os
import pickle
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from cache_set import IDS, SHARD, assert_same, cached, checked, files, folders, identity, shards, write_set

from daf_streets.streets import Streets
from daframework.adapt.translated_set import TranslatedSet
from daframework.data.cache import open as cache
from daframework.data.cache.layout import cache_root
from daframework.data.spaces import LabelSpace, Mapped
from daframework.data.stream import TrainingStream, training_batches
from daframework.data.unlabelled import Unlabelled
from daframework.errors import DataError
from daframework.interfaces import SEMANTIC


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path / "set")


# --- what is read is what was stored ---


@pytest.mark.parametrize("resize", [None, (6, 9)])
def test_a_cached_set_is_the_prepared_set_bit_for_bit(session, tmp_path, resize):
    dataset = files(write_set(tmp_path / "set", sizes=[(8, 12), (10, 7), (9, 9)]))
    for _ in range(2):  # made, and found
        assert_same(cached(session(), dataset, resize=resize), checked(dataset, resize))


@pytest.mark.parametrize("workers", [0, 2])
def test_training_batches_are_the_same_with_the_cache_as_without(session, root, workers):
    def batches(dataset):
        stream = TrainingStream(dataset, (5, 7), True, 0, "source")
        cpu = torch.device("cpu")
        given = {"batch_size": 4, "steps": range(40), "rank": 0, "ranks": 1, "workers": workers, "device": cpu}
        return list(training_batches(stream, **given))

    dataset = files(root)
    for one, other in zip(batches(cached(session(), dataset)), batches(checked(dataset)), strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.label, other.label)


def test_what_is_there_is_not_made_again(session, root):
    first = session()
    cached(first, files(root))
    assert first.log.stages == [("caching the set", SHARD + 6, 0)] and first.log.steps == SHARD + 6
    again = session()
    cached(again, files(root))
    assert again.log.stages == []


def test_images_are_views_of_the_mapped_file_and_never_change_it(session, root):
    one = cached(session(), files(root))
    assert one[3].image.data_ptr() == one[3].image.data_ptr() == one.unlabelled(3).image.data_ptr()
    before = [path.read_bytes() for path in shards(one)]
    one[3].image.zero_()
    assert [path.read_bytes() for path in shards(one)] == before
    assert_same(cached(session(), files(root)), checked(files(root)))


def test_a_set_that_is_sent_to_another_process_takes_no_pixels_along(session, root):
    one = cached(session(), files(root))
    sent = pickle.dumps(one)
    assert len(sent) < sum(path.stat().st_size for path in shards(one)) / 2
    assert_same(pickle.loads(sent), one)


def test_many_shards_take_no_open_files(session, tmp_path):
    def open_files():
        gc.collect()  # pipes of loaders that are done
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    one = cached(session(), files(write_set(tmp_path / "set", count=5 * SHARD, sizes=[(2, 2)])))
    assert len(shards(one)) == 10 and open_files() == before


def test_reading_every_image_leaves_no_objects_behind(session, root):
    one = cached(session(), files(root))
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(3):
        for index in range(len(one)):
            one[index]
    gc.collect()
    assert len(gc.get_objects()) <= before + 10


def test_a_cache_that_is_deleted_can_still_be_read_where_it_is_open(session, root):
    one = cached(session(), files(root))
    cache.remove_cached(files(root), None, [SEMANTIC])
    assert not any(folder.exists() for folder in folders(one))
    assert_same(one, checked(files(root)))


# --- labels that may not be read ---


def test_without_labels_none_is_opened_or_looked_for(session, tmp_path):
    dataset = files(write_set(tmp_path / "set", labels=False))
    one = cached(session(), dataset, labels=False)
    assert_same(one, checked(dataset), labels=False)
    assert_same(Unlabelled(one), Unlabelled(checked(dataset)), labels=False)
    assert len(folders(one)) == 1 and folders(one)[0].name.startswith("images-")
    assert one[0].label is None


def test_labels_are_added_later_and_the_images_stay(session, root):
    without = cached(session(), files(root), labels=False)
    before = identity(shards(without))
    one = cached(session(), files(root))
    assert_same(one, checked(files(root)))
    assert identity(before) == before and folders(one)[0] == folders(without)[0]


# --- what names a cache ---


def key(session, root, *, resize=None, **options):
    return [folder.name for folder in folders(cached(session(), files(root, **options), resize=resize))]


def touch(root):
    os.utime(root / "images" / "0003.png", ns=(1, 1))


def shorten(root):
    path = root / "images" / "0003.png"
    times = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def add(root):
    for kind in ("images", "labels"):
        shutil.copy2(root / kind / "0003.png", root / kind / "9999.png")


def remove(root):
    for kind in ("images", "labels"):
        (root / kind / "0003.png").unlink()


@pytest.mark.parametrize("change", [touch, shorten, add, remove])
def test_a_file_that_is_changed_added_or_removed_gives_another_cache(session, root, change):
    before = key(session, root)
    assert key(session, root) == before
    change(root)
    assert key(session, root)[0] != before[0]
    assert_same(cached(session(), files(root)), checked(files(root)))


def test_another_size_or_version_of_the_format_gives_another_cache(session, root, monkeypatch):
    before, resized = {*key(session, root)}, {*key(session, root, resize=(4, 6))}
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    assert len({*before, *resized, *key(session, root)}) == 6


def test_a_changed_label_or_map_of_ids_gives_other_labels_and_the_same_images(session, root):
    images, labels = key(session, root)
    shutil.copy(root / "labels" / "0004.png", root / "labels" / "0003.png")
    for other in (files(root), files(root, ids=IDS | {"7": "bright"})):
        found = cached(session(), other)
        names = [folder.name for folder in folders(found)]
        assert names[0] == images and names[1] != labels
        labels = names[1]
        assert_same(found, checked(other))


def test_another_label_space_gives_other_labels_and_the_same_images(session, root):
    dataset = files(root)
    space = LabelSpace("all", ("bright", "dark"), ((0, 0, 0), (1, 1, 1)), None, 255, {})
    images, labels = key(session, root)
    for table in ({"dark": "dark", "bright": "bright"}, {"dark": "ignore", "bright": "dark"}):
        found = cached(session(), Mapped(dataset, space, table))
        names = [folder.name for folder in folders(found)]
        assert names[0] == images and names[1] != labels
        labels = names[1]
        assert_same(found, checked(Mapped(dataset, space, table)))


def test_a_folder_named_another_way_is_the_same_set(session, root, monkeypatch):
    before = key(session, root)
    monkeypatch.chdir(root.parent)
    assert key(session, root.relative_to(root.parent)) == before


def test_a_file_that_vanished_is_named(session, root):
    dataset = files(root)
    (root / "images" / "0003.png").unlink()
    with pytest.raises(DataError, match=r"images/0003\.png: cannot be found \(No such file or directory\)"):
        cached(session(), dataset)


def test_drawn_streets_are_cached_by_their_options(session):
    one = Streets(look="game", split="train", size=(32, 48), train_images=3)
    assert_same(cached(session(), one), checked(one))
    prints = {
        Streets(look=look, split=split, size=size, seed=seed).fingerprint(labels=False)
        for look in ("game", "camera")
        for split in ("train", "test")
        for size in ((32, 48), (48, 32))
        for seed in (0, 1)
    }
    assert len(prints) == 16


def test_translated_images_are_cached_by_their_files(session, root):
    entries = sorted(path.name for path in (root / "images").iterdir())
    for kind in ("images", "images_1", "labels"):
        shutil.copytree(root / ("labels" if kind == "labels" else "images"), root / "translated" / kind)
        for index, name in enumerate(entries):
            (root / "translated" / kind / name).rename(root / "translated" / kind / f"{index:06d}_{name[:-4]}.png")
    names = [name[:-4] for name in entries]
    versions = [TranslatedSet(root / "translated", one, ("a",) * 8, ((0, 0, 0),) * 8, names) for one in (0, 1)]
    assert versions[0].fingerprint(labels=False) != versions[1].fingerprint(labels=False)
    assert_same(cached(session(), versions[1]), checked(versions[1]))


def test_a_set_without_fingerprint_is_said_not_to_be_cached(session, capsys):
    assert cached(session(), tiny.blocks(split="train")) is None
    errors = capsys.readouterr().err
    assert errors.startswith("warning: the set is not cached on disk, since its dataset gives no fingerprint")
    assert errors.count("\n") == 1 and not cache_root().exists()


# --- where it lies ---


def test_the_folder_is_the_one_named_or_the_users_cache(monkeypatch, tmp_path):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("DAF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "daframework"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "daframework"
