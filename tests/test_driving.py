import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from image_files import names, picture, pixels, write, write_deep

from daf_driving.camvid import CamVid
from daf_driving.image_folder import ImageFolder, distinct_colours
from daframework.errors import DataError
from daframework.testing import check_dataset

REAL_CAMVID = Path(__file__).parents[2] / "shared" / "data" / "camvid"
needs_camvid = pytest.mark.skipif(not REAL_CAMVID.is_dir(), reason=f"no CamVid in {REAL_CAMVID}")


VOID_LAST = np.arange(40).reshape(5, 8) % 12  # every id that CamVid has


def build_camvid(root):
    """Two drives in train, one in test."""
    for folder, frames in {"train": ["0001TP_1", "0016E5_1", "0016E5_2"], "test": ["0001TP_9", "Seq05VD_9"]}.items():
        for index, name in enumerate(frames):
            write(root / folder / f"{name}.png", picture(index))
            write(root / f"{folder}annot" / f"{name}.png", VOID_LAST)


@pytest.fixture
def camvid(tmp_path):
    build_camvid(tmp_path)
    return tmp_path


# --- CamVid ---


def test_camvid_splits_are_their_folders(camvid):
    assert names(CamVid(root=str(camvid), split="train")) == ["0001TP_1", "0016E5_1", "0016E5_2"]
    assert names(CamVid(root=str(camvid), split="test")) == ["0001TP_9", "Seq05VD_9"]
    both = CamVid(root=str(camvid), split="train", train_folders=["test", "train"])
    assert names(both) == ["0001TP_9", "Seq05VD_9", "0001TP_1", "0016E5_1", "0016E5_2"]


def test_camvid_sample_has_its_image_and_void_ignored(camvid):
    dataset = CamVid(root=str(camvid), split="train")
    check_dataset(dataset)
    sample = dataset[1]
    assert np.array_equal(pixels(sample), picture(1))
    assert np.array_equal(sample.label.numpy(), np.where(VOID_LAST == 11, 255, VOID_LAST))


def test_drives_keep_and_leave_out_by_the_names_beginning(camvid):
    assert names(CamVid(root=str(camvid), split="train", drives=["0001TP"])) == ["0001TP_1"]
    assert names(CamVid(root=str(camvid), split="train", exclude_drives=["0001TP"])) == ["0016E5_1", "0016E5_2"]
    # A drive that only the other split has is no mistake.
    assert names(CamVid(root=str(camvid), split="train", drives=["0016E5", "Seq05VD"])) == ["0016E5_1", "0016E5_2"]


@pytest.mark.parametrize("option", ["drives", "exclude_drives"])
def test_misspelt_drive_names_the_known_ones(camvid, option):
    with pytest.raises(DataError, match=r"begins with the drive '0001TX' \(known: 0001TP, 0016E5, Seq05VD\)"):
        CamVid(root=str(camvid), split="train", **{option: ["0001TX"]})


def test_nothing_left_is_an_error(camvid):
    with pytest.raises(DataError, match=r"is left for split 'train' .* \(known: 0001TP, 0016E5\)"):
        CamVid(root=str(camvid), split="train", drives=["Seq05VD"])


def real(split, **options):
    return CamVid(root=str(REAL_CAMVID), split=split, **options)


@needs_camvid
def test_real_camvid_holds_day_and_dusk():
    everywhere = ["train", "val", "test"]
    assert len(real("train", train_folders=everywhere, exclude_drives=["0001TP"])) == 577
    assert len(real("train", drives=["0001TP"])) == 62
    assert len(real("test", drives=["0001TP"])) == 62
    assert [len(real("train")), len(real("test"))] == [367, 233]


@needs_camvid
def test_real_camvid_labels_hold_classes_and_void_only():
    dataset = real("train", train_folders=["train", "val", "test"])
    counts = sum(np.bincount(dataset[i].label.flatten(), minlength=256) for i in range(0, len(dataset), 40))
    assert np.flatnonzero(counts).tolist() == [*range(11), 255]
    # Sky is above and road below, in the mean over the images: ids are not shuffled.
    labels = np.stack([dataset[i].label for i in range(0, len(dataset), 40)])
    rows = {name: np.argwhere(labels == dataset.classes.index(name))[:, 1].mean() for name in ("sky", "car", "road")}
    assert rows["sky"] < rows["car"] < rows["road"]


# --- folders of images ---


IDS = {"0": "road", "7": "sky", "255": "ignore"}


FOLDERS = {"train_folder": "train", "test_folder": "test", "classes": ("road", "sky"), "ids": IDS}


def build_folder(root):
    for index, name in enumerate(["a/1", "a/2", "b/1"]):
        write(root / "train" / "images" / f"{name}.jpg", picture(index, (4, 6, 3)))
        write(root / "train" / "labels" / f"{name}.png", [[0, 0, 7, 7, 255, 0]] * 4)
    write(root / "test" / "images" / "9.png", picture(9))


@pytest.fixture
def folder(tmp_path):
    build_folder(tmp_path)
    return tmp_path


def image_folder(root, split="train", **options):
    return ImageFolder(root=str(root), split=split, **{**FOLDERS, **options})


def test_images_and_labels_are_paired_by_relative_name(folder):
    dataset = image_folder(folder)
    check_dataset(dataset)
    assert names(dataset) == ["a/1", "a/2", "b/1"]
    assert dataset[2].label.tolist() == [[0, 0, 1, 1, 255, 0]] * 4
    assert list(dataset.classes) == ["road", "sky"]


def test_class_order_decides_the_index_not_the_id(folder):
    assert image_folder(folder, classes=["sky", "road"])[0].label.tolist() == [[1, 1, 0, 0, 255, 1]] * 4


def test_unlabelled_folder_needs_neither_labels_nor_ids(folder):
    dataset = image_folder(folder, "test", ids=None)
    check_dataset(dataset, labelled=False)
    assert names(dataset) == ["9"]
    with pytest.raises(DataError, match="labels are asked for, but no ids are given"):
        dataset[0]


def test_id_that_is_not_named_is_refused(folder):
    dataset = image_folder(folder, ids={"0": "road", "255": "ignore"})
    with pytest.raises(DataError, match=r"labels/a/1\.png: id 7 \(8 pixels\) is not in the id map \(known: 0, 255\)"):
        dataset[0]


def test_sixteen_bit_ids_are_mapped(folder):
    for path in (folder / "train" / "labels").rglob("*.png"):
        write_deep(path, np.full((4, 6), 26001))
    assert image_folder(folder, ids={"26001": "sky"})[0].label.tolist() == [[1] * 6] * 4


def test_image_without_label_is_named(folder):
    (folder / "train" / "labels" / "a" / "2.png").unlink()
    with pytest.raises(DataError, match=r"images/a/2\.jpg: without a label in .*labels; add NAME\.png"):
        image_folder(folder)[0]


def test_label_without_image_is_named(folder):
    (folder / "train" / "images" / "a" / "2.jpg").unlink()
    dataset = image_folder(folder)
    assert dataset.unlabelled(1).name == "b/1"
    with pytest.raises(DataError, match=r"labels/a/2\.png: without an image in"):
        dataset[0]


def test_two_images_of_one_name_are_refused(folder):
    write(folder / "train" / "images" / "a" / "1.png", picture())
    with pytest.raises(DataError, match=r"has the same name as 1\.(jpg|png)"):
        image_folder(folder)


def test_hidden_and_other_files_are_passed_over(folder):
    (folder / "train" / "images" / "a" / "._1.jpg").write_text("what some systems leave beside a file")
    (folder / "train" / "images" / "Thumbs.db").write_text("x")
    assert len(image_folder(folder)) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"classes": []}, "classes must be 1 to 255 names, got 0"),
        ({"classes": ["road", "sky", "road"]}, "road occurs more than once"),
        ({"classes": ["road", "sky", "ignore"]}, "'ignore' is no class"),
        ({"classes": "road"}, "classes: no label space named 'road'"),
        ({"ids": {"0": "raod"}}, "ids: id 0: no class named 'raod'; did you mean 'road'? (known: ignore, road, sky)"),
        ({"ids": {"zero": "road"}}, "ids: a key must be a whole number from 0 to 65535, got 'zero'"),
        ({"ids": {"-1": "road"}}, "got '-1'"),
        ({"ids": {"65536": "road"}}, "got '65536'"),
        ({"ids": {"1": "road", "01": "sky"}}, "ids: id 1 is given twice"),
        ({"ids": "wilddash"}, "ids: no id map named 'wilddash'; did you mean 'wilddash2'?"),
        (
            {"ids": "carla", "classes": ["road", "kerb"]},
            "classes: ids = 'carla' has no kerb; take out what never occurs",
        ),
        ({"colours": {"0,0,0": "ignore"}}, "colours stand in place of ids and channel"),
        ({"ids": None, "channel": "red", "colours": {"0,0,0": "ignore"}}, "colours stand in place of ids and channel"),
        ({"ids": None, "colours": {"0,0,256": "road"}}, "colours: a key must be red,green,blue of 0 to 255"),
        ({"ids": None, "colours": {"0,0": "road"}}, "such as 128,64,128, got '0,0'"),
        (
            {"ids": None, "colours": {"0,0,0": "raod"}},
            "colours: colour 0,0,0: no class named 'raod'",
        ),
        ({"ids": None, "colours": {"0,0,1": "road", "0, 0,1": "sky"}}, "is given twice"),
        ({"ids": None, "colours": {}}, "colours must name at least one colour"),
        ({"ids": None, "colours": "camvid"}, "colours: no colour map named 'camvid'"),
        ({"palette": [[0, 0, 0]]}, "got 1 for 2 classes"),
        ({"palette": [[0, 0, 0], [0, 0, 256]]}, "got [0, 0, 256]"),
        ({"palette": [[0, 0, 0], [0, 0]]}, "got [0, 0]"),
    ],
)
def test_bad_options_are_refused_in_one_line(folder, options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        image_folder(folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"channel": "red"}, {"channel": "blue"}, {"ids": {"0": "sky", "7": "road"}}])
def test_labels_that_are_read_otherwise_have_another_fingerprint(folder, options):
    before, after = image_folder(folder), image_folder(folder, **options)
    assert before.fingerprint(labels=True) != after.fingerprint(labels=True)
    assert before.fingerprint(labels=False) == after.fingerprint(labels=False)


def test_palette_is_taken_as_given(folder):
    assert list(image_folder(folder, palette=[[1, 2, 3], [4, 5, 6]]).palette) == [(1, 2, 3), (4, 5, 6)]


def test_made_up_colours_all_differ():
    colours = distinct_colours(255)
    assert len(set(colours)) == 255
    assert all(0 <= value <= 255 for colour in colours for value in colour)
    near = min(np.abs(np.subtract(a, b)).sum() for a, b in pairwise(colours))
    assert near > 60
