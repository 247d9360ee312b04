"""The group ``daf data``, and what its commands are built of: listing, walking folders, working in parallel."""

import json
import os
import re
import select
import subprocess
import sys
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import install

from daframework.data.checks.audit import audit
from daframework.data.checks.duplicates import Contents, content_digest, find_duplicates, same_files
from daframework.data.parallel import in_parallel
from daframework.data.walk import walk
from daframework.errors import DataError
from daframework.interfaces import ImageDataset, Sample

# --- daf data list ---


def listed(out, name):
    """The lines about one dataset."""
    return re.search(rf"^{name}  .*\n((?:  .*\n)+)", out, re.MULTILINE)[0].splitlines()


def test_datasets_are_listed_with_origin_description_classes_and_files(daf, monkeypatch, tmp_path):
    monkeypatch.setenv("DAF_DATA", str(tmp_path / "data"))
    (tmp_path / "data/camvid").mkdir(parents=True)
    code, out, errors = daf("data", "list")
    assert code == 0 and errors == "" and out.startswith(f"DAF_DATA is {tmp_path / 'data'}\n")
    head, text, classes, files = listed(out, "camvid")
    assert re.fullmatch(r"camvid  daframework \S+ \(driving\)", head) and "Frames filmed from a car" in text
    assert classes == "  11 classes: camvid11" and files == f"  found: {tmp_path / 'data/camvid'}"
    assert listed(out, "gta5")[-1] == f"  not found: {tmp_path / 'data/gta5'}"
    assert listed(out, "image_folder")[-1] == "  your own folder: give it as root"
    assert listed(out, "blocks") == [
        "blocks  daf-tiny 1.2 (tiny)",
        "  Blocks on a road.",
        "  classes: known once its options are given",
        "  needs no files",
    ]
    assert re.search(r"^  camvid11 +11 classes: sky, building, ", out, re.MULTILINE)
    said = json.loads(daf("data", "list", "--json")[1])
    assert {one["name"]: one["files"] for one in said["datasets"]}["camvid"] == f"found: {tmp_path / 'data/camvid'}"
    assert said["label_spaces"]["camvid11"][:2] == ["sky", "building"]
    monkeypatch.delenv("DAF_DATA")
    code, out, _ = daf("data", "list")
    assert code == 0 and out.startswith("DAF_DATA is not set")
    assert listed(out, "camvid")[-1] == "  give its folder as root, or set DAF_DATA"


def test_a_broken_plugin_does_not_hide_the_others(daf, installed):
    install(installed, "daf-broken", "0.3", {"broken_two": "daf_not_there"})
    code, out, errors = daf("data", "list")
    assert code == 0 and "camvid" in out and errors.startswith("warning: plugin broken_two")


# --- walking folders ---


def found(base):
    return sorted((parent / name).relative_to(base).as_posix() for parent, names in walk(base) for name in names)


@pytest.fixture
def tree(tmp_path):
    for name in ("1", "a/2", "a/b/3", "c/4"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    return tmp_path / "tree"


def test_every_file_is_walked_to(tree, monkeypatch):
    assert found(tree) == ["1", "a/2", "a/b/3", "c/4"]
    monkeypatch.chdir(tree)
    assert found(Path()) == found(Path("a/..")) == ["1", "a/2", "a/b/3", "c/4"]


def test_a_link_to_a_folder_around_it_is_not_entered(tree):
    (tree / "a/b/up").symlink_to(tree / "a", target_is_directory=True)
    (tree / "c/self").symlink_to(tree / "c", target_is_directory=True)
    (tree / "a/far").symlink_to(tree.parent, target_is_directory=True)  # holds the tree again, once
    assert [name for name in found(tree) if not name.startswith("a/far/")] == ["1", "a/2", "a/b/3", "c/4"]
    assert len(found(tree)) < 20


def test_links_are_walked_each_time_and_end_where_they_lead_to_each_other(tree):
    (tree / "a/c").symlink_to(tree / "c", target_is_directory=True)
    (tree / "c/a").symlink_to(tree / "a", target_is_directory=True)
    (tree / "gone").symlink_to(tree / "nothing")  # a file that is not there
    assert found(tree) == ["1", "a/2", "a/b/3", "a/c/4", "c/4", "c/a/2", "c/a/b/3", "gone"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_may_not_be_listed_is_an_error(tree):
    (tree / "a").chmod(0)
    try:
        with pytest.raises(DataError, match=r"a: cannot be listed .*; allow it with chmod"):
            found(tree)
    finally:
        (tree / "a").chmod(0o755)


# --- working in parallel ---


def squared(fault, index):
    if index == fault:
        raise DataError(f"{index} is wrong")
    return index**2, os.getpid()


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 16, 17, 100])
def test_results_come_in_the_order_of_the_indices(workers, count):
    indices, before = list(range(count))[::-1], torch.get_rng_state()
    results = list(in_parallel(partial(squared, None), indices, workers=workers))
    assert torch.equal(torch.get_rng_state(), before), "nothing is drawn from the global generator"
    assert [square for square, _ in results] == [index**2 for index in indices]
    outside = {process for _, process in results} - {os.getpid()}
    assert len(outside) <= workers and bool(outside) == (workers > 0 and count > 16)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_keeps_its_type_comes_in_its_place_and_ends_the_processes(workers):
    results = in_parallel(partial(squared, 40), range(100), workers=workers)
    assert [next(results)[0] for _ in range(40)] == [index**2 for index in range(40)]
    before = len(active_children())
    with pytest.raises(DataError, match=r"^40 is wrong$") as raised:
        next(results)
    assert before - len(active_children()) == workers, raised  # however long the error is held


@pytest.mark.parametrize("workers", [0, 2])
def test_it_ends_after_the_result_at_which_it_is_told_to(workers):
    asked = iter([False] * 20 + [True])
    results = in_parallel(partial(squared, None), range(100), workers=workers, stopping=lambda: next(asked))
    assert [square for square, _ in results] == [index**2 for index in range(21)]


def test_a_strangers_error_says_in_which_line_it_was_raised():
    with pytest.raises(ZeroDivisionError) as raised:
        list(in_parallel(divided, range(100), workers=2))
    assert re.fullmatch(r"line \d+ of .*test_data_cli\.py", *raised.value.__notes__)


def divided(index):
    return 1 // (20 - index)


def test_the_death_of_one_process_ends_the_others_which_wait_for_what_it_held(tmp_path):
    # In a process of its own: where it is not told, it waits for ever.
    script = """
import os, signal
from pathlib import Path
from daframework.data import parallel
def kill_the_other(index):
    other = Path("other")
    if index == 31:
        Path("new").write_text(str(os.getpid()))
        os.rename("new", other)
    while index == 0 and not other.exists():
        pass
    if index == 0:
        os.kill(int(other.read_text()), signal.SIGKILL)
parallel._GRACE = 1
list(parallel.in_parallel(kill_the_other, range(3200), workers=2))
"""
    given = {"capture_output": True, "text": True, "timeout": 60, "cwd": tmp_path}
    done = subprocess.run([sys.executable, "-c", script], **given)
    assert "RunError: a process that read files was killed" in done.stderr


def test_processes_end_with_one_that_is_killed():
    script = """
import os, signal
from daframework.data.parallel import in_parallel
def wait(index):
    os.write(1, b"%d\\n" % os.getpid())
    signal.pause()
list(in_parallel(wait, range(100), workers=2))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        ends = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
    for end in ends:
        assert select.select([end], [], [], 60)[0], "it lives on"
        os.close(end)


# --- duplicates ---


def test_a_digest_is_of_pixels_and_size():
    image = torch.arange(24, dtype=torch.uint8).view(3, 2, 4)
    assert content_digest(image) == content_digest(image.clone().transpose(1, 2).contiguous().transpose(1, 2))
    others = [image.flip(0), image.view(3, 4, 2), image + 1]
    assert len({content_digest(one) for one in [image, *others]}) == 4


def test_duplicates_are_errors_between_train_and_test_and_warnings_elsewhere():
    one, two, three = "abc"
    source = Contents("source train", False, [("s1", one), ("s2", two), ("s3", two)])
    target = Contents("target train", False, [("t1", one), ("t2", three)])
    test = Contents("target test", True, [("t1", one), ("e2", three)])
    errors, warnings = find_duplicates([source, target, test])
    assert [(title, line.partition("; ")[0]) for title, line in errors] == [
        ("target test", "t1: of target test, the same image as s1, which is in source train too"),
        ("target test", "t1: of target test, is in target train too"),
        ("target test", "e2: of target test, the same image as t2, which is in target train too"),
    ]
    assert warnings == [
        ("source train", "s3: the same image as s2, also of source train; keep one of them"),
        ("target train", "t1: target train and source train share 1 images, this one among them; take them out of one"),
    ]
    assert find_duplicates([source]) == ([], warnings[:1])


class Files(ImageDataset):
    classes, palette = ("road",), ((0, 0, 0),)

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        raise AssertionError("nothing is to be read")

    def file(self, index):
        return self.files[index]


def test_sets_of_the_same_files_are_told_without_reading_them():
    a, b = Path("a"), Path("b")
    assert same_files(Files([a, b]), Files([a, b]))
    assert not any(same_files(Files([a, b]), Files(other)) for other in ([a], [b, a], [a, None], []))
    assert not same_files(Files([None]), Files([None])) and not same_files(Files([]), Files([]))


def test_a_dataset_needs_no_more_than_its_samples():
    class Plain(Files):
        def __getitem__(self, index):
            if index:
                raise DataError("two.png: damaged; fetch it again")
            return Sample(torch.zeros(3, 1, 1, dtype=torch.uint8), None, "one")

        file = ImageDataset.file

    dataset = Plain([None, None])
    assert dataset.file(0) is dataset.inspect(0, labelled=True) is None and dataset.problems(labelled=True) == []
    assert audit(dataset, False, 0).errors == () and audit(dataset, False, 0).where == "one"
    assert audit(dataset, True, 0).errors == ("image one: has no label",)
    damaged = audit(dataset, True, 1)
    assert damaged.digest is damaged.counts is None and damaged.errors == ("two.png: damaged; fetch it again",)


def test_classes_are_checked_where_another_label_is_asked_for_too():
    class Wrong(Files):
        classes = ("road", "sky")

        def __getitem__(self, index):
            return Sample(np.zeros((3, 1, 2), np.uint8), np.array([[1, 7]], np.uint8), "one")

        file = ImageDataset.file

    found = audit(Wrong([None]), True, 0, types=())
    assert found.counts is None and "id 7 (1 pixels have such ids) is not a class" in found.errors[0]
