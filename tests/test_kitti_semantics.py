"""KITTI's benchmark for semantic segmentation, whose 200 labelled images are all the set has."""

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as LABELS
from image_files import names, picture, pixels, write, write_deep

from daf_driving.kitti_semantics import KittiSemantics
from daframework.errors import DataError
from daframework.testing import check_dataset

FRAMES = ["000000_10", "000001_10", "000002_10", "000003_10"]
IDS = np.arange(40).reshape(5, 8) % 34  # every id that the set has


def build(root):
    """As unpacked, images of slightly different sizes; and two lists that share nothing."""
    for index, frame in enumerate(FRAMES):
        shape = (5, 8 - index % 2)
        label = np.resize(IDS, shape)
        write(root / "training" / "image_2" / f"{frame}.png", picture(index, (*shape, 3)))
        write(root / "training" / "semantic" / f"{frame}.png", label)
        write(root / "training" / "semantic_rgb" / f"{frame}.png", picture(shape=(*shape, 3)))
        write_deep(root / "training" / "instance" / f"{frame}.png", label * 256)
        write(root / "testing" / "image_2" / f"{frame}.png", picture(10 + index))
    (root / "train.txt").write_text("000000_10.png\n000002_10.png\n")
    (root / "val.txt").write_text("000001_10\n000003_10\n")


LISTS = {"list_file": "train.txt", "test_list_file": "val.txt"}


@pytest.fixture
def kitti(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return KittiSemantics(root=str(root), split=split, **options)


def test_label_ids_are_those_of_cityscapes(kitti):
    dataset = made(kitti)
    assert names(dataset) == FRAMES
    train_id = {one.id: one.trainId for one in LABELS}
    assert dataset[2].label.flatten().tolist() == [train_id[raw] for raw in IDS.flatten().tolist()]
    assert np.array_equal(pixels(dataset[2]), picture(2)) and tuple(dataset[1].label.shape) == (5, 7)


def test_lists_split_the_labelled_images(kitti):
    assert names(made(kitti, **LISTS)) == FRAMES[0::2]
    test = made(kitti, "test", **LISTS)
    check_dataset(test)
    assert names(test) == FRAMES[1::2]
    # What is in neither list needs no partner.
    write(kitti / "training" / "image_2" / "000009_10.png", picture())
    assert test[0].label is not None
    with pytest.raises(DataError, match=r"000009_10\.png: without a label in .*semantic; add NAME\.png"):
        made(kitti)[0]


def test_training_without_labels_leaves_all_labelled_images_to_score_on(kitti):
    dataset = made(kitti, train_folder="testing")
    check_dataset(dataset, labelled=False)
    assert names(dataset) == FRAMES and np.array_equal(pixels(dataset.unlabelled(1)), picture(11))
    with pytest.raises(DataError, match=r"testing/semantic: no such folder"):
        dataset[0]
    test = made(kitti, "test", train_folder="testing")
    check_dataset(test)
    assert names(test) == FRAMES and np.array_equal(pixels(test[2]), picture(2))
    # A list of images to train on says nothing about those to score on: their names are the same.
    assert names(made(kitti, "test", train_folder="testing", list_file="train.txt")) == FRAMES
    assert names(made(kitti, train_folder="testing", list_file="train.txt")) == FRAMES[0::2]
    assert names(made(kitti, "test", train_folder="testing", test_list_file="val.txt")) == FRAMES[1::2]


@pytest.mark.parametrize(
    "split, options",
    [
        ("test", {}),
        ("test", {"list_file": "train.txt"}),
        ("test", {"test_list_file": "val.txt"}),
        ("train", {"test_list_file": "val.txt"}),
    ],
)
def test_a_split_is_never_made_up(kitti, split, options):
    with pytest.raises(
        DataError, match=r"no others are left to score on; name those .* train_folder = \"testing\""
    ) as e:
        made(kitti, split, **options)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_in_both_lists_is_refused_in_either_split(kitti, split):
    (kitti / "val.txt").write_text("000001_10\n000002_10\n")
    with pytest.raises(DataError, match=r"val\.txt: names 1 images, such as 000002_10, that list_file names too"):
        made(kitti, split, **LISTS)
