"""ACDC: four conditions, and the same places under normal ones, of which half have labels."""

import re

import numpy as np
import pytest
from image_files import names, picture, pixels, write, write_deep

from daf_driving.acdc import Acdc
from daframework.errors import DataError
from daframework.testing import check_dataset

SEQUENCES = {"fog": "GOPR0475", "night": "GOPR0355", "rain": "GP010400", "snow": "GP030176"}
FRAMES = {"train": ("000041", "000042"), "val": ("000761",), "test": ("000260",)}
TRAIN_IDS = np.resize([*range(19), 255], (5, 8))


def frames(folder, *conditions, count=2):
    return [
        f"{condition}/{folder}/{SEQUENCES[condition]}/{SEQUENCES[condition]}_frame_{number}"
        for condition in conditions or SEQUENCES
        for number in FRAMES[folder.removesuffix("_ref")][:count]
    ]


def build(root):
    """As unpacked: beside each label, colours and invalid regions; of the reference images, only the first has one."""
    for folder in FRAMES:
        for index, frame in enumerate(frames(folder)):
            write(root / "rgb_anon" / f"{frame}_rgb_anon.png", picture(index))
            ref = frame.replace(f"/{folder}/", f"/{folder}_ref/")
            write(root / "rgb_anon" / f"{ref}_rgb_ref_anon.png", picture(100 + index))
            if folder == "test":  # its labels are not public
                continue
            write_labels(root / "gt", frame, "_gt")
            if frame in frames(folder, count=1):
                write_labels(root / "gt", ref, "_gt_ref")


def write_labels(base, frame, kind):
    write(base / f"{frame}{kind}_labelTrainIds.png", TRAIN_IDS)
    write_deep(base / f"{frame}{kind}_labelIds.png", TRAIN_IDS)
    write(base / f"{frame}{kind}_labelColor.png", picture(shape=(5, 8, 4)))
    write(base / f"{frame}{kind}_invIds.png", TRAIN_IDS == 3)
    write(base / f"{frame}{kind}_invGray.png", 255 * (TRAIN_IDS == 3))


@pytest.fixture
def acdc(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return Acdc(root=str(root), split=split, **options)


def test_all_conditions_and_no_reference_images_unless_told(acdc):
    dataset = made(acdc)
    assert names(dataset) == frames("train")
    assert names(made(acdc, "test")) == frames("val")
    assert names(made(acdc, train_folders=["train", "val", "test"])) == sorted(
        frames("train") + frames("val") + frames("test")
    )
    sample = dataset[3]
    assert np.array_equal(pixels(sample), picture(3)) and sample.label.tolist() == TRAIN_IDS.tolist()


def test_conditions_are_chosen_by_name(acdc):
    assert names(made(acdc, conditions=["night"])) == frames("train", "night")
    assert names(made(acdc, "test", conditions=["snow", "fog"])) == frames("val", "fog", "snow")
    # What is wrong in another condition is no matter.
    (acdc / "gt" / f"{frames('train', 'fog')[0]}_gt_labelTrainIds.png").unlink()
    assert made(acdc, conditions=["night"])[0].label is not None
    with pytest.raises(
        DataError, match=r"fog/train/.*000041_rgb_anon\.png: without a label in .*gt; add NAME_gt_label"
    ):
        made(acdc)[0]


def test_reference_images_show_the_same_places_under_normal_conditions(acdc):
    dataset = made(acdc, reference="all")
    check_dataset(dataset, labelled=False)
    assert names(dataset) == frames("train_ref")
    assert np.array_equal(pixels(dataset.unlabelled(3)), picture(103))
    says = r"000042_rgb_ref_anon\.png, .* and 1 more: without a label in .*gt; set reference = \"labelled\" to take"
    with pytest.raises(DataError, match=says):
        dataset[0]


def test_reference_images_with_a_label_are_about_half(acdc):
    dataset = made(acdc, reference="labelled")
    check_dataset(dataset)
    assert names(dataset) == frames("train_ref", count=1)
    assert np.array_equal(pixels(dataset[1]), picture(102)) and dataset[1].label.tolist() == TRAIN_IDS.tolist()
    assert names(made(acdc, "test", reference="labelled", conditions=["rain"])) == frames("val_ref", "rain")
    (acdc / "rgb_anon" / f"{frames('train_ref')[0]}_rgb_ref_anon.png").unlink()
    with pytest.raises(DataError, match=r"000041_gt_ref_labelTrainIds\.png: without an image"):
        made(acdc, reference="labelled")[0]


def test_no_reference_image_with_a_label_is_told(acdc):
    for path in (acdc / "gt").rglob("*_gt_ref_labelTrainIds.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"gt: holds no .*_gt_ref_labelTrainIds\.png"):
        made(acdc, reference="labelled")


def test_a_condition_that_was_not_unpacked_is_named(acdc):
    (acdc / "rgb_anon" / "rain" / "train").rename(acdc / "gone")
    with pytest.raises(DataError, match=r"rgb_anon/rain/train: no such folder"):
        made(acdc)
    (acdc / "gt" / "fog" / "train").rename(acdc / "gone too")
    dataset = made(acdc, conditions=["fog", "snow"])
    assert dataset.unlabelled(0).label is None
    with pytest.raises(DataError, match=r"gt/fog/train: no such folder"):
        dataset[0]


@pytest.mark.parametrize(
    "options, says",
    [
        ({"conditions": []}, "conditions and train_folders must name at least one each"),
        ({"train_folders": []}, "conditions and train_folders must name at least one each"),
    ],
)
def test_bad_options_are_refused(acdc, options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        made(acdc, **options)
