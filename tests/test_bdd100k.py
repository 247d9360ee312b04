"""BDD100K's part for semantic segmentation, in the three layouts it was released in."""

import re

import numpy as np
import pytest
from image_files import names, picture, pixels, write
from PIL import Image

from daf_driving.bdd100k import Bdd100k
from daframework.errors import DataError
from daframework.testing import check_dataset

FRAMES = {
    "train": ["0004a4c0-d4dff0ad", "00054602-3bf57337"],
    "val": ["7d06fefd-f7be05a6"],
    "test": ["ac517380-00000000"],
}
TRAIN_IDS = np.resize([*range(19), 255], (5, 8))
LAYOUTS = {
    "sem_seg": ("images/10k", "labels/sem_seg/masks", ".png"),
    "seg_maps": ("images/10k", "seg_maps/labels", "_train_id.png"),
    "seg": ("images", "labels", "_train_id.png"),
}


def build(root, layout="sem_seg"):
    """As unpacked, with what lies beside it: the 100,000 images, colours, polygons, labels of other tasks."""
    images, labels, ending = LAYOUTS[layout]
    for folder, frames in FRAMES.items():
        for index, frame in enumerate(frames):
            write(root / images / folder / f"{frame}.jpg", picture(index))
            if folder != "test":  # its labels are not public
                write(root / labels / folder / f"{frame}{ending}", TRAIN_IDS)
    write(root / "images" / "100k" / "train" / "0000f77c-6257be58.jpg", picture())
    write(root / "labels" / "sem_seg" / "colormaps" / "train" / "0004a4c0-d4dff0ad.png", picture())
    write(root / "labels" / "pan_seg" / "bitmasks" / "train" / "0004a4c0-d4dff0ad.png", picture(shape=(5, 8, 4)))
    (root / "labels" / "sem_seg" / "polygons").mkdir()
    (root / "labels" / "sem_seg" / "polygons" / "sem_seg_train.json").write_text("[]")


@pytest.fixture
def bdd100k(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return Bdd100k(root=str(root), split=split, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_it_was_released(tmp_path, layout):
    build(tmp_path, layout)
    dataset = made(tmp_path, layout=layout)
    check_dataset(dataset)
    assert names(dataset) == FRAMES["train"]
    assert names(made(tmp_path, "test", layout=layout)) == FRAMES["val"]
    assert names(made(tmp_path, layout=layout, train_folders=["test", "val"])) == FRAMES["test"] + FRAMES["val"]
    sample = dataset[1]
    assert sample.label.tolist() == TRAIN_IDS.tolist()
    images = LAYOUTS[layout][0]
    with Image.open(tmp_path / images / "train" / f"{FRAMES['train'][1]}.jpg") as image:
        assert np.array_equal(pixels(sample), np.array(image))


def test_pairs_that_do_not_fit_are_named_or_left_out(bdd100k):
    """As in the archive of images before June 2021 (issue 103 of bdd100k/bdd100k)."""
    write(bdd100k / "images" / "10k" / "train" / "3d581db5-2564fb7e.jpg", picture())
    with pytest.raises(
        DataError, match=r"train/3d581db5-2564fb7e\.jpg: without a label in .*; add NAME\.png, download .* in skip"
    ):
        made(bdd100k)[0]
    write(bdd100k / "labels" / "sem_seg" / "masks" / "train" / "fee92217-63b3f87f.png", TRAIN_IDS)
    with pytest.raises(DataError, match=r"fee92217-63b3f87f\.png: without an image in"):
        made(bdd100k, skip=["3d581db5-2564fb7e"])[0]
    dataset = made(bdd100k, skip=["3d581db5-2564fb7e", "fee92217-63b3f87f"])
    assert names(dataset) == FRAMES["train"] and dataset[0].label is not None


def test_images_of_the_100k_that_are_tested_on_are_left_out_of_training_with_a_warning(bdd100k, capsys):
    wide = ["../100k/train"]
    assert names(made(bdd100k)) == FRAMES["train"] and names(made(bdd100k, train_folders=wide)) == ["0000f77c-6257be58"]
    assert capsys.readouterr().err == ""
    write(bdd100k / "images" / "100k" / "train" / "7d06fefd-f7be05a6.jpg", picture(9))  # the same moment, saved anew
    dataset = made(bdd100k, train_folders=wide)
    check_dataset(dataset, labelled=False)
    assert names(dataset) == ["0000f77c-6257be58"]
    assert re.search("warning: bdd100k: 1 images .* 7d06fefd-f7be05a6 .* left out of training", capsys.readouterr().err)
    assert names(made(bdd100k, "test", train_folders=wide)) == FRAMES["val"] and capsys.readouterr().err == ""


def test_an_image_of_the_100k_that_is_tested_on_is_found_by_its_content(bdd100k, daf):
    tested = bdd100k / "images" / "10k" / "val" / "7d06fefd-f7be05a6.jpg"
    (bdd100k / "images" / "100k" / "train" / "renamed.jpg").write_bytes(tested.read_bytes())
    options = ("--set", 'train_folders=["../100k/train"]', "--images-only", "--workers", 0)
    code, out, _ = daf("data", "check", "bdd100k", bdd100k, *options)
    assert code == 1 and "a test must show images never trained on" in out and "renamed.jpg" in out
