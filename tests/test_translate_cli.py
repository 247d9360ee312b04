"""``daf translate`` where memory does not hold whole images."""

import re

import numpy as np
import pytest
import tiny
import torch
from conftest import TABLES, refused
from PIL import Image

from daframework.data.decode import image_size, read_image
from daframework.recipes.read import parse
from daframework.storage.checkpoint import save
from daframework.storage.run_folder import open_folder


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
    whole, tiled = (read_image(tmp_path / name / "a.png").astype(int) for name in ("whole", "tiled"))
    assert abs(whole - tiled).max() <= 2
    assert np.array_equal(read_image(tmp_path / "whole" / "b.png"), read_image(tmp_path / "tiled" / "b.png"))


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


@pytest.fixture
def mixed(tmp_path):
    """Two sound images, in one and in another folder, with what lies about beside them."""
    folder = tmp_path / "mixed"
    for name in ("a.png", "sub/c.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20, 10), 60).convert("RGB").save(folder / name)
    (folder / "._a.png").write_bytes(b"\0\5\x16\7 as macOS leaves it")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "t.png").touch()
    (folder / "notes.txt").touch()
    return folder


def written(out):
    return sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())


@pytest.mark.parametrize("tile", [(), ("--tile", 8, 8)])
def test_what_is_wrong_with_one_image_does_not_stop_the_others(daf, trained, mixed, tmp_path, tile):
    (mixed / "b.png").write_bytes((mixed / "a.png").read_bytes()[:-30])  # its header is sound
    (mixed / "d.webp").write_bytes(b"none")
    (mixed / "e.png").symlink_to("gone.png")
    code, text, errors = daf("translate", trained, mixed, tmp_path / "out", *tile)
    assert code == 1 and "2 of 5 images in" in text
    lines = sorted(errors.splitlines())
    says = (r"b\.png: truncated or damaged", r"d\.webp: not an image", r"e\.png: no such file")
    assert len(lines) == 3 and all(re.match(rf"error: .*{one}", line) for one, line in zip(says, lines, strict=True))
    assert written(tmp_path / "out") == ["a.png", "sub/c.jpg"]


def test_outputs_never_lie_among_the_originals(daf, trained, mixed, tmp_path):
    before = {name: (mixed / name).read_bytes() for name in written(mixed)}
    (tmp_path / "linked").symlink_to(mixed)
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "elsewhere" / "x.png")
    (mixed / "far").symlink_to(tmp_path / "elsewhere")
    for out in (mixed, mixed / "new", mixed / "sub", mixed / "sub" / "..", tmp_path / "linked" / "new"):
        says = "whose images are to be read; write to a folder beside it"
        refused(daf("translate", trained, mixed, out, "--overwrite"), says)
    refused(daf("translate", trained, mixed, tmp_path / "elsewhere", "--overwrite"), "whose images are to be read")
    refused(daf("translate", trained, tmp_path / "linked", mixed / "new"), "whose images are to be read")
    # sub/sub/c.jpg of the images in sub would become sub/c.jpg of the same
    (mixed / "sub" / "sub").mkdir()
    Image.new("RGB", (8, 8)).save(mixed / "sub" / "sub" / "c.jpg")
    refused(daf("translate", trained, mixed / "sub", mixed, "--overwrite"), r"sub/c\.jpg: is one of the images to be")
    assert {name: (mixed / name).read_bytes() for name in before} == before


def test_what_stands_where_a_result_is_to_be_is_named_before_anything_is_written(daf, trained, images, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folders/b.png").mkdir(parents=True)
    for out in ("file", "file/below"):
        refused(daf("translate", trained, images, tmp_path / out), r"/file: is a file, not a folder to write into; ")
    refused(
        daf("translate", trained, images, tmp_path / "folders", "--overwrite"),
        r"folders/b\.png: is a folder, where a fi",
    )
    assert [path.name for path in (tmp_path / "folders").iterdir()] == ["b.png"]


def test_a_bad_image_is_one_line_whatever_its_name(daf, trained, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a\nb.png").write_text("no picture")
    _, _, errors = daf("translate", trained, tmp_path / "images", tmp_path / "out")
    assert errors.count("\n") == 1 and r"a\nb.png: not an image" in errors


def test_an_image_may_have_the_longest_name(daf, trained, tmp_path):
    (tmp_path / "long").mkdir()
    for name in ("x" * 251 + ".png", "y" * 250 + ".webp"):
        Image.new("RGB", (8, 8)).save(tmp_path / "long" / name)
    code, _, errors = daf("translate", trained, tmp_path / "long", tmp_path / "out")
    assert (code, errors) == (0, "") and written(tmp_path / "out") == ["x" * 251 + ".png", "y" * 250 + ".png"]


def test_a_huge_image_is_refused_whole_and_taken_in_tiles(daf, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)  # Pillow would refuse more than twice as many
    (tmp_path / "huge").mkdir()
    Image.new("1", (9500, 9500)).save(tmp_path / "huge" / "a.png")
    says = r"a\.png: holds 9500 x 9500 pixels, more than the 89478485 allowed; .*daf translate takes .*--tile"
    code, text, errors = daf("translate", trained, tmp_path / "huge", tmp_path / "out")
    assert code == 1 and re.search(says, errors) and len(errors.splitlines()) == 1 and "0 of 1 images" in text
    Image.effect_noise((50, 40), 60).convert("RGB").save(tmp_path / "huge" / "a.png")
    monkeypatch.setattr("daframework.adapt.translate.MOST_PIXELS", 1000)
    assert daf("translate", trained, tmp_path / "huge", tmp_path / "out")[0] == 1
    assert daf("translate", trained, tmp_path / "huge", tmp_path / "out", "--tile", 32, 32)[0] == 0
    assert image_size(tmp_path / "out" / "a.png") == (40, 50)
