import numpy as np
import pytest
import torch
from image_files import names, picture, pixels, write, write_palette

from daf_driving.gta5 import FAULTY, Gta5
from daframework.errors import DataError
from daframework.testing import check_dataset

NAMES = ["00001", "00002", "00003"]
IDS = np.arange(40).reshape(5, 8) % 35  # every id that the set has


def build(root):
    for index, name in enumerate(NAMES):
        write(root / "images" / f"{name}.png", picture(index))
        write_palette(root / "labels" / f"{name}.png", IDS)


@pytest.fixture
def gta5(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return Gta5(root=str(root), split=split, **options)


def test_palette_labels_give_their_indices_as_classes(gta5):
    dataset = made(gta5)
    check_dataset(dataset)
    assert names(dataset) == NAMES
    sample = dataset[1]
    assert np.array_equal(pixels(sample), picture(1))
    assert sample.label.dtype == torch.uint8
    label = dict(zip(IDS.flatten().tolist(), sample.label.flatten().tolist(), strict=True))
    assert [label[raw] for raw in (0, 6, 7, 8, 11, 23, 31, 33, 34)] == [255, 255, 0, 1, 2, 10, 16, 18, 255]
    assert sorted(set(label.values())) == [*range(19), 255]


def test_a_palette_of_few_colours_and_grey_give_their_ids_too(gta5):
    write_palette(gta5 / "labels" / "00001.png", np.tile([7, 8, 11, 7], (5, 2)), bits=4)
    assert made(gta5)[0].label.tolist() == [[0, 1, 2, 0] * 2] * 5
    write(gta5 / "labels" / "00001.png", IDS)
    assert torch.equal(made(gta5)[0].label, made(gta5)[1].label)


def test_train_ids_that_a_tool_wrote_beside_the_labels_are_passed_over(gta5):
    for name in (*NAMES, "15188"):  # the last belongs to a pair that is left out
        write(gta5 / "labels" / f"{name}_labelTrainIds.png", IDS)
    (gta5 / "sample_class_stats.json").write_text("[]")
    dataset = made(gta5)
    assert dataset.problems(labelled=True) == [] and dataset[2].name == "00003"
    # Without the label that it was made of it would be read in silence.
    write(gta5 / "labels" / "00009_labelTrainIds.png", IDS)
    with pytest.raises(DataError, match=r"00009_labelTrainIds\.png: without an image"):
        made(gta5)[0]


def test_a_label_ending_in_capitals_is_no_label(gta5):
    (gta5 / "labels" / "00002.png").rename(gta5 / "labels" / "00002.PNG")
    with pytest.raises(DataError, match=r"images/00002\.png: without a label"):
        made(gta5)[0]


def test_faulty_pairs_are_left_out_unless_asked_for(gta5):
    assert len(FAULTY) == 62 and {"15188", "17705", "20801", "20860"} <= set(FAULTY)
    write(gta5 / "images" / "15188.png", picture())
    write_palette(gta5 / "labels" / "20830.png", IDS)  # unpaired, and passed over all the same
    dataset = made(gta5)
    assert names(dataset) == NAMES and dataset[2].label is not None
    assert names(made(gta5, skip=[])) == [*NAMES, "15188"]
    assert names(made(gta5, skip=["00001", "15188.png"])) == NAMES[1:]


def test_both_splits_are_all_images_without_lists(gta5):
    assert names(made(gta5, "test")) == names(made(gta5, "train")) == NAMES


def test_lists_name_the_images_of_the_splits(gta5):
    (gta5 / "train.txt").write_text("00003.png\n00001\n\n")
    (gta5 / "val.txt").write_text("00002\n")
    assert names(made(gta5, list_file="train.txt")) == ["00001", "00003"]
    assert names(made(gta5, "test", list_file="train.txt")) == ["00001", "00003"]
    assert names(made(gta5, "test", list_file="train.txt", test_list_file="val.txt")) == ["00002"]
    assert names(made(gta5, list_file=str(gta5 / "val.txt"))) == ["00002"]
    # What is not in the list needs no partner.
    (gta5 / "labels" / "00002.png").unlink()
    assert made(gta5, list_file="train.txt")[1].label is not None


@pytest.mark.parametrize(
    "line",
    [
        "images/00002.png",
        "./images/00002",
        "/data/of/another/images/00002.png",
        "GTA5\\images\\00002.png",
        "00002.PNG",
        "images/00002.png labels/00002.png",
        "images/00002.png\tlabels/00002_labelTrainIds.png",
        "00002.png, 00002.png",
        "images/00002.png labels/00002.png # a comment, and more",
        "00002  # a comment",
        "# a comment\r\n\r\n 00002.png \r\n#00001",
    ],
)
def test_a_line_is_read_as_lists_of_the_field_write_it(gta5, line):
    (gta5 / "train.txt").write_bytes(f"{line}\r\n".encode())
    assert names(made(gta5, list_file="train.txt")) == ["00002"]


def test_a_folder_before_the_name_must_be_that_of_the_images(gta5):
    (gta5 / "train.txt").write_text("00001.png\nother/00002.png\n")
    with pytest.raises(DataError, match=r"names other/00002, not in .*images"):
        made(gta5, list_file="train.txt")


@pytest.mark.parametrize(
    "content, says",
    [
        ("00001\n00009\n", r"train\.txt: names 00009, not in .*images; write one name a line, such as 00001, or"),
        ("00005\n00006\n00007\n00008\n00009", "names 00005, 00006, 00007 and 2 more, not in"),
        ("\n15188\n", "names no image; write one name a line"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(gta5, content, says):
    (gta5 / "train.txt").write_text(content)
    with pytest.raises(DataError, match=says) as caught:
        made(gta5, list_file="train.txt")
    assert "\n" not in str(caught.value)


def test_a_list_that_cannot_be_read_is_named(gta5):
    with pytest.raises(DataError, match=r"train\.txt: cannot be read \(No such file or directory\)"):
        made(gta5, list_file="train.txt")
    (gta5 / "train.txt").write_bytes(b"\x89\x00MATLAB")
    with pytest.raises(DataError, match=r"train\.txt: it is no UTF-8 \(byte 0\); save it as UTF-8"):
        made(gta5, list_file="train.txt")
