"""``daf translate`` where memory does not hold whole images."""

import re

import pytest
import tiny
import torch
from conftest import TABLES, refused
from PIL import Image

from daframework.checkpoint import save
from daframework.data.decode import image_size, read_image
from daframework.recipe import parse
from daframework.run.folder import open_folder


@pytest.fixture
def trained(tmp_path):
    """A run whose translation is finished."""
    torch.manual_seed(0)
    folder = open_folder(tmp_path / "tiny", parse(TABLES, "r"))
    save(folder.checkpoint("generator"), {"generator": tiny.Painter().state_dict(), "num_classes": 3})
    return folder.path


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    for name, size in {"a.png": (90, 70), "b.png": (20, 10)}.items():
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / "images" / name)
    return tmp_path / "images"


def test_tiles_are_blended_into_images_of_the_same_size(daf, trained, images, tmp_path):
    assert daf("translate", trained, images, tmp_path / "whole")[0] == 0
    code, text, errors = daf("translate", trained, images, tmp_path / "tiled", "--tile", 32, 40)
    assert (code, errors) == (0, "") and "2 images" in text
    assert image_size(tmp_path / "tiled" / "a.png") == (70, 90)
    # The tiny generator sees two pixels around each: where a tile's weight is small, so is what its edge changes.
    whole, tiled = (read_image(tmp_path / name / "a.png").int() for name in ("whole", "tiled"))
    assert (whole - tiled).abs().max() <= 2
    assert torch.equal(read_image(tmp_path / "whole" / "b.png"), read_image(tmp_path / "tiled" / "b.png"))


@pytest.mark.parametrize(
    "options, advice",
    [((), "translate in tiles: --tile 512 512"), (("--tile", 8, 8), "translate in smaller tiles than --tile 8 8")],
)
def test_out_of_memory_names_the_image_its_size_and_tiles(daf, trained, images, tmp_path, monkeypatch, options, advice):
    def forward(self, image):
        return torch.empty(2**60)

    monkeypatch.setattr(tiny.Painter, "forward", forward)
    says = rf"images/a\.png: 90 x 70 pixels: out of memory; {re.escape(advice)}$"
    refused(daf("translate", trained, images, tmp_path / "out", *options), says)


def test_another_error_of_a_generator_is_not_taken_for_want_of_memory(daf, trained, images, tmp_path, monkeypatch):
    def forward(self, image):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(tiny.Painter, "forward", forward)
    refused(daf("translate", trained, images, tmp_path / "out"), "unexpected RuntimeError: sizes do not match")


@pytest.mark.parametrize("tile", [("0", "8"), ("8",), ("a", "8")])
def test_a_tile_that_is_none_is_refused(daf, trained, images, tmp_path, tile):
    code, _, errors = daf("translate", trained, images, tmp_path / "out", "--tile", *tile)
    assert code == 2 and "--tile" in errors
