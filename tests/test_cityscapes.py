import re

import numpy as np
import pytest
import torch
from cityscapesscripts.helpers.labels import labels as LABELS
from image_files import names, picture, pixels, write, write_deep

from daf_driving.cityscapes import Cityscapes
from daframework.errors import DataError
from daframework.testing import check_dataset

FRAMES = {
    "train": ["aachen/aachen_000000_000019", "aachen/aachen_000001_000019", "zurich/zurich_000000_000019"],
    "val": ["frankfurt/frankfurt_000000_000294", "munster/munster_000000_000019"],
    "test": ["berlin/berlin_000000_000019"],
}
IDS = np.arange(40).reshape(5, 8) % 34  # every id that the set has


def build(root):
    """As distributed: each image has a label of ids, and beside it instances, colours and polygons."""
    for folder, frames in FRAMES.items():
        for index, frame in enumerate(frames):
            write(root / "leftImg8bit" / folder / f"{frame}_leftImg8bit.png", picture(index))
            for position, beta in enumerate(("0.005", "0.01", "0.02")):
                name = f"{frame}_leftImg8bit_foggy_beta_{beta}.png"
                write(root / "leftImg8bit_foggy" / folder / name, picture(100 * position + index))
            fine = root / "gtFine" / folder
            write(fine / f"{frame}_gtFine_labelIds.png", IDS)
            write(fine / f"{frame}_gtFine_color.png", picture(shape=(5, 8, 4)))
            write_deep(fine / f"{frame}_gtFine_instanceIds.png", IDS * 1000)
            (fine / f"{frame}_gtFine_polygons.json").write_text("{}")


@pytest.fixture
def cityscapes(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return Cityscapes(root=str(root), split=split, **options)


def test_splits_are_train_and_val(cityscapes):
    assert names(made(cityscapes)) == FRAMES["train"]
    assert names(made(cityscapes, "test")) == FRAMES["val"]
    both = made(cityscapes, train_folders=["train", "val"], test_folders=["test"])
    assert names(both) == [*FRAMES["train"], *FRAMES["val"]]


def test_label_ids_become_train_ids(cityscapes):
    dataset = made(cityscapes)
    sample = dataset[2]
    assert np.array_equal(pixels(sample), picture(2))
    train_id = {one.id: one.trainId for one in LABELS}
    assert sample.label.dtype == torch.uint8
    assert sample.label.flatten().tolist() == [train_id[raw] for raw in IDS.flatten().tolist()]


def test_foggy_images_have_the_clear_ones_labels(cityscapes):
    dataset = made(cityscapes, beta="0.02")
    check_dataset(dataset)
    assert names(dataset) == FRAMES["train"]
    assert np.array_equal(pixels(dataset[1]), picture(201))
    assert torch.equal(dataset[1].label, made(cityscapes)[1].label)
    assert np.array_equal(pixels(made(cityscapes, "test", beta="0.005")[0]), picture(0))


def test_a_beta_that_is_not_there_is_named(cityscapes):
    for path in (cityscapes / "leftImg8bit_foggy").rglob("*_0.01.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"train: holds no images \(_leftImg8bit_foggy_beta_0\.01\.png\)"):
        made(cityscapes, beta="0.01")


def test_cities_narrow_both_splits(cityscapes):
    cities = ["zurich", "munster"]
    assert names(made(cityscapes, cities=cities)) == FRAMES["train"][2:]
    assert names(made(cityscapes, "test", cities=cities)) == FRAMES["val"][1:]
    assert names(made(cityscapes, beta="0.02", cities=cities)) == FRAMES["train"][2:]
    # Another city's missing label is no matter, and a folder without any of the cities drops out.
    (cityscapes / "gtFine" / "train" / "aachen" / "aachen_000000_000019_gtFine_labelIds.png").unlink()
    dataset = made(cityscapes, cities=["zurich"], train_folders=["train", "val"])
    assert names(dataset) == FRAMES["train"][2:] and dataset[0].label is not None


def test_a_misspelt_city_names_the_known_ones(cityscapes):
    says = r"no city named 'zurch'; did you mean 'zurich'\? \(known: aachen, frankfurt, munster, zurich\)"
    with pytest.raises(DataError, match=says):
        made(cityscapes, cities=["aachen", "zurch"])


def test_nothing_left_is_an_error(cityscapes):
    says = r"is left for split 'test' with cities \['aachen'\] \(known there: frankfurt, munster\); change them"
    with pytest.raises(DataError, match=says):
        made(cityscapes, "test", cities=["aachen"])
    with pytest.raises(DataError, match=r"in no folders is left for split 'train'"):
        made(cityscapes, train_folders=[])


@pytest.mark.parametrize("cities", [[], ["aachen"]])
def test_a_missing_folder_is_named(cityscapes, cities):
    with pytest.raises(DataError, match=r"leftImg8bit/train_extra: no such folder"):
        made(cityscapes, train_folders=["train_extra"], cities=cities)


def test_a_label_of_train_ids_is_refused(cityscapes):
    write(cityscapes / "gtFine" / "train" / f"{FRAMES['train'][0]}_gtFine_labelIds.png", np.full((5, 8), 255))
    with pytest.raises(DataError, match=r"id 255 \(40 pixels\) is not in the id map \(known: 0\.\.33\)"):
        made(cityscapes)[0]


def test_without_a_root_the_error_says_which_folders_of_fog_are_wanted(monkeypatch):
    monkeypatch.delenv("DAF_DATA", raising=False)
    with pytest.raises(DataError, match=r"holds leftImg8bit_foggy/ and gtFine/"):
        Cityscapes(split="train", beta="0.02")


def test_a_bare_string_is_not_taken_letter_by_letter(cityscapes):
    with pytest.raises(ValueError, match=re.escape("""cities must be a list, got 'aachen'; write ["aachen"]""")):
        made(cityscapes, cities="aachen")
