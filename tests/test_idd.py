"""IDD's files as distributed and as its own tool draws them, and IDD-Lite's."""

import re

import numpy as np
import pytest
from image_files import names, picture, pixels, write, write_deep
from PIL import Image

from daf_driving.idd import Idd
from daf_driving.space_files import label_space
from daframework.errors import DataError
from daframework.testing import check_dataset

# name, csTrainId, level3Id, level1Id, in the order of the ids; helpers/anue_labels.py of AutoNUE/public-code.
LABELS = [
    ("road", 0, 0, 0),
    ("parking", 255, 1, 0),
    ("drivable fallback", 255, 1, 0),
    ("sidewalk", 1, 2, 1),
    ("rail track", 255, 3, 1),
    ("non-drivable fallback", 9, 3, 1),
    ("person", 11, 4, 2),
    ("animal", 255, 4, 2),
    ("rider", 12, 5, 2),
    ("motorcycle", 17, 6, 3),
    ("bicycle", 18, 7, 3),
    ("autorickshaw", 255, 8, 3),
    ("car", 13, 9, 3),
    ("truck", 14, 10, 3),
    ("bus", 15, 11, 3),
    ("caravan", 255, 12, 3),
    ("trailer", 255, 12, 3),
    ("train", 16, 12, 3),
    ("vehicle fallback", 255, 12, 3),
    ("curb", 255, 13, 4),
    ("wall", 3, 14, 4),
    ("fence", 4, 15, 4),
    ("guard rail", 255, 16, 4),
    ("billboard", 255, 17, 4),
    ("traffic sign", 7, 18, 4),
    ("traffic light", 6, 19, 4),
    ("pole", 5, 20, 4),
    ("polegroup", 255, 20, 4),
    ("obs-str-bar-fallback", 255, 21, 4),
    ("building", 2, 22, 5),
    ("bridge", 255, 23, 5),
    ("tunnel", 255, 23, 5),
    ("vegetation", 8, 24, 5),
    ("sky", 10, 25, 6),
    ("fallback background", 255, 25, 6),
    ("unlabeled", 255, 255, 255),
    ("ego vehicle", 255, 255, 255),
    ("rectification border", 255, 255, 255),
    ("out of roi", 255, 255, 255),
    ("license plate", 255, 255, 255),
]
KINDS = {"csTrainId": 1, "level3Id": 2, "level1Id": 3}  # id type of createLabels.py -> column above
IDS = np.arange(40).reshape(5, 8)  # every id that the set has
FRAMES = {
    "train": ["0/024541.png", "1/092468.png", "205/frame5153.jpg"],
    "val": ["212/frame0011.jpg", "3/004642.png"],
    "test": ["100/178149.png"],
}


def drawn(kind):
    """The label that createLabels.py draws of the ids."""
    return np.array([row[KINDS[kind]] for row in LABELS])[IDS]


def frames(folder):
    return [frame.rpartition(".")[0] for frame in FRAMES[folder]]


def build(root):
    """Images of both parts, polygons, and what createLabels.py makes of them for all id types, in colour and deep."""
    for folder, files in FRAMES.items():
        for index, file in enumerate(files):
            frame, _, ending = file.rpartition(".")
            write(root / "leftImg8bit" / folder / f"{frame}_leftImg8bit.{ending}", picture(index))
            if folder == "test":  # its polygons are not public
                continue
            fine = root / "gtFine" / folder
            for kind in KINDS:
                write(fine / f"{frame}_gtFine_label{kind}s.png", drawn(kind))
            write(fine / f"{frame}_gtFine_labelids.png", IDS)
            write(fine / f"{frame}_gtFine_labelColors.png", picture(shape=(5, 8, 4)))
            write_deep(fine / f"{frame}_gtFine_instancelevel3Ids.png", IDS * 1000)
            (fine / f"{frame}_gtFine_polygons.json").write_text("{}")
    write(root / "gtFine" / "train_panoptic" / "0_024541_gtFine_panopticlevel3Ids.png", picture())
    (root / "gtFine" / "train_panoptic.json").write_text("{}")


def build_lite(root):
    """Small JPEG images, and beside each label the instances."""
    for folder, files in FRAMES.items():
        for index, file in enumerate(files):
            frame = file.rpartition(".")[0]
            write(root / "leftImg8bit" / folder / f"{frame}_image.jpg", picture(index))
            if folder != "test":
                write(root / "gtFine" / folder / f"{frame}_label.png", drawn("level1Id"))
                write(root / "gtFine" / folder / f"{frame}_inst_label.png", IDS)


@pytest.fixture
def idd(tmp_path):
    build(tmp_path)
    return tmp_path


@pytest.fixture
def lite(tmp_path):
    build_lite(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return Idd(root=str(root), split=split, **options)


def test_splits_are_train_and_val_in_png_and_jpeg(idd):
    assert names(made(idd)) == frames("train")
    assert names(made(idd, "test")) == frames("val")
    assert names(made(idd, train_folders=["val", "test"])) == [*frames("val"), *frames("test")]
    assert np.array_equal(pixels(made(idd)[1]), picture(1))
    with Image.open(idd / "leftImg8bit" / "train" / "205" / "frame5153_leftImg8bit.jpg") as image:
        assert image.format == "JPEG" and np.array_equal(pixels(made(idd)[2]), np.array(image))


@pytest.mark.parametrize(
    "classes, kind", [("cityscapes19", "csTrainId"), ("idd26", "level3Id"), ("idd7", "level1Id"), (None, "csTrainId")]
)
def test_the_space_decides_which_label_is_read(idd, classes, kind):
    dataset = made(idd, classes=classes)
    check_dataset(dataset)
    assert dataset.classes == label_space(classes or "cityscapes19").classes
    assert len(dataset.palette) == len(dataset.classes)
    assert dataset[0].label.tolist() == drawn(kind).tolist()


@pytest.mark.parametrize("classes, kind", [("cityscapes19", "csTrainId"), ("idd26", "level3Id"), ("idd7", "level1Id")])
def test_labels_that_are_not_drawn_yet_are_an_error_with_the_command(idd, classes, kind):
    for path in (idd / "gtFine" / "train").rglob(f"*_label{kind}s.png"):
        path.unlink()
    dataset = made(idd, classes=classes)
    assert dataset.unlabelled(0).label is None
    command = f"python preperation/createLabels.py --datadir {idd} --id-type {kind}"
    says = (
        rf"024541_leftImg8bit\.png, .* without a label in .*; make NAME_gtFine_label{kind}s\.png .*{re.escape(command)}"
    )
    with pytest.raises(DataError, match=says) as caught:
        dataset[0]
    assert "\n" not in str(caught.value)
    assert made(idd, "test", classes=classes)[0].label is not None


def test_both_archives_are_read_where_they_unpack_to(tmp_path):
    build(tmp_path / "IDD_Segmentation")
    build(tmp_path / "idd20kII")
    for path in (tmp_path / "IDD_Segmentation").rglob("frame*"):
        path.unlink()
    for path in [path for path in (tmp_path / "idd20kII").rglob("*") if path.is_file()]:
        if not path.name.startswith("frame"):
            path.unlink()
    parts = ["IDD_Segmentation", "idd20kII"]
    assert names(made(tmp_path, parts=parts)) == frames("train")
    assert names(made(tmp_path, "test", parts=parts)) == ["3/004642", "212/frame0011"]
    dataset = made(tmp_path, parts=parts, classes="idd26")
    assert dataset[2].label.tolist() == drawn("level3Id").tolist()
    with pytest.raises(DataError, match=r"leftImg8bit/train: no such folder"):
        made(tmp_path)
    (tmp_path / "idd20kII" / "gtFine" / "train" / "205" / "frame5153_gtFine_labellevel3Ids.png").unlink()
    with pytest.raises(DataError, match=rf"--datadir {re.escape(str(tmp_path / 'idd20kII'))} --id-type level3Id"):
        made(tmp_path, parts=parts, classes="idd26")[0]


def test_a_frame_in_png_and_jpeg_at_once_is_refused(idd):
    write(idd / "leftImg8bit" / "train" / "0" / "024541_leftImg8bit.jpg", picture())
    with pytest.raises(DataError, match=r"has the same name as 024541_leftImg8bit\.(png|jpg); keep one of them"):
        made(idd)


def test_lite_has_labels_of_its_own_and_instances_are_passed_over(lite):
    dataset = made(lite, version="lite")
    check_dataset(dataset)
    assert dataset.classes == label_space("idd7").classes
    assert names(dataset) == frames("train") and names(made(lite, "test", version="lite")) == frames("val")
    assert dataset[0].label.tolist() == drawn("level1Id").tolist()


def test_lite_files_are_none_of_the_large_set_and_the_other_way_round(lite, tmp_path_factory):
    with pytest.raises(DataError, match=r"holds no images \(_left.*\.jpg\) but NAME_image\.jpg; set version = .lite"):
        made(lite)
    large = tmp_path_factory.mktemp("idd")
    build(large)
    with pytest.raises(DataError, match=r"train: holds no images \(_image\.jpg\) but NAME_left.*; set version = .segm"):
        made(large, version="lite")


@pytest.mark.parametrize("classes", ["cityscapes19", "idd26"])
def test_lite_has_its_seven_classes_only(classes):
    with pytest.raises(ValueError, match=r"has no road, .*, or use idd7, in source"):
        made("/nowhere", version="lite", classes=classes)


def test_the_names_of_the_levels_are_those_of_the_tool():
    fine, coarse = label_space("idd26").classes, label_space("idd7").classes
    first = {level3: name for name, _, level3, _ in reversed(LABELS) if level3 != 255}
    # evaluate_mIoU.py names a class after its fallback where that is the last of its labels, else after the first.
    renamed = {1: "drivable fallback", 3: "non-drivable fallback", 12: "vehicle fallback"}
    assert fine == tuple((first | renamed)[level3] for level3 in range(26))
    assert label_space("idd26").ids == tuple(range(26)) and label_space("idd7").ids == tuple(range(7))
    maps, nineteen = label_space("idd7").maps, label_space("cityscapes19").classes
    for _, train_id, level3, level1 in LABELS:
        if level3 != 255:
            assert maps["idd26"].get(fine[level3], fine[level3]) == coarse[level1]
        if train_id != 255:
            assert maps["cityscapes19"].get(nineteen[train_id], nineteen[train_id]) == coarse[level1]
