"""Images of 16 bits a channel, from the recipe's option to what is read, translated and predicted."""

import numpy as np
import pytest
import torch
from conftest import TABLES, refused
from image_files import write, write_deep

from daf_driving.image_folder import ImageFolder
from daframework.data.decode import read_image
from daframework.recipes.read import parse
from daframework.storage.checkpoint import save
from daframework.storage.run_folder import open_folder

FOLDER = {"split": "train", "classes": ["a"], "ids": {"0": "a"}}
LEVELS = np.linspace(7000, 9500, 16 * 24).astype(np.uint16).reshape(16, 24)


@pytest.fixture
def root(tmp_path):
    write_deep(tmp_path / "set" / "images" / "deep.png", LEVELS)
    write(tmp_path / "set" / "images" / "plain.png", np.full((16, 24), 100))
    for name in ("deep", "plain"):
        write(tmp_path / "set" / "labels" / f"{name}.png", np.zeros((16, 24)))
    return tmp_path / "set"


@pytest.mark.parametrize("option", [{"value_range": [7000, 9500]}, {"value_percentiles": [0, 100]}])
def test_an_image_folder_scales_as_it_is_told(root, option):
    dataset = ImageFolder(root=str(root), **FOLDER, **option)
    expected = np.round((LEVELS - 7000.0) / 2500 * 255)
    for image in (dataset.unlabelled(0).image, dataset[0].image, dataset.inspect(0, labelled=True).image):
        assert np.array_equal(np.asarray(image), np.stack([expected] * 3))
    assert dataset[1].image.unique().tolist() == [100]
    told = {ImageFolder(root=str(root), **FOLDER, **one).fingerprint(labels=False) for one in ({}, option)}
    assert len(told) == 2  # or a cache would keep what another scaling gave


@pytest.mark.parametrize(
    "option, says",
    [
        ({"value_range": [0]}, r"value_range must be \[low, high\] with 0 <= low < high <= 65535, got \[0\]"),
        ({"value_range": [5, 5]}, "value_range must be"),
        ({"value_range": [0, 65536]}, "value_range must be"),
        ({"value_percentiles": [1, 101]}, "value_percentiles must be .* <= 100"),
        ({"value_range": [0, 1], "value_percentiles": [1, 99]}, "exclude each other"),
    ],
)
def test_a_scaling_that_is_none_is_refused(root, option, says):
    with pytest.raises(ValueError, match=says):
        ImageFolder(root=str(root), **FOLDER, **option)


def test_translate_scales_as_the_source_and_names_what_it_cannot(daf, root, tmp_path):
    import tiny

    results = {}
    for name, option in (("told", {"value_range": [7000, 9500]}), ("untold", {})):
        source = {"name": "image_folder", "root": str(root), "classes": ["a"], "ids": {"0": "a"}} | option
        folder = open_folder(tmp_path / name, parse(TABLES | {"source": source, "target": source}, "r"))
        torch.manual_seed(0)
        save(folder.checkpoint("generator"), {"generator": tiny.Painter().state_dict(), "num_classes": 1})
        results[name] = daf("translate", folder.path, root / "images", tmp_path / f"{name}_out")
    assert results["told"][0] == 0 and len(np.unique(read_image(tmp_path / "told_out" / "deep.png"))) > 20
    refused(results["untold"], r"images/deep\.png: holds 16 bits a channel, .*value_range = ")
    assert [one.name for one in (tmp_path / "untold_out").iterdir()] == ["plain.png"]
