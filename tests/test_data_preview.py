"""``daf data preview`` and its sheet: every image is there with its name, labels lie over it, nothing is cut off."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import refused
from drawn import overlapping, texts
from image_files import write as save
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from daframework.report.figures import save_figure
from daframework.report.sheets import Tile, contact_sheet, overlaid

FOLDER = {"name": "image_folder", "classes": ["road", "sky"], "ids": {"0": "road", "1": "sky", "255": "ignore"}}
PALETTE = {"palette": [[250, 0, 0], [0, 0, 250]]}


@pytest.fixture
def path(tmp_path, write, source_only):
    """A recipe of two folders: grey images; left half road, right half sky."""
    for domain, count in (("source", 6), ("target", 3)):
        for index in range(count):
            save(tmp_path / domain / "images" / f"{index}.png", np.full((20, 40, 3), 100))
            save(tmp_path / domain / "labels" / f"{index}.png", np.repeat([[0, 1]], 20, 0).repeat(20, 1))
    own = {domain: FOLDER | PALETTE | {"root": str(tmp_path / domain)} for domain in ("source", "target")}
    return write(source_only | own)


def colours(file):
    """The colours that a good part of a picture has."""
    pixels = np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3)
    found, counts = np.unique(pixels, axis=0, return_counts=True)
    return {tuple(colour) for colour, count in zip(found.tolist(), counts.tolist(), strict=True) if count > 3000}


def test_labels_lie_over_the_images_but_not_over_the_targets_training_images(daf, path):
    code, out, errors = daf("data", "preview", path, "--out", "sheets/one.png", "--count", 2)
    assert (code, out, errors) == (0, "sheet in sheets/one.png\n", "")
    assert list(Path("sheets").iterdir()) == [Path("sheets/one.png")]
    # 0.45 of the image and 0.55 of the label's colour; the plain image; and paper.
    assert colours("sheets/one.png") >= {(182, 45, 45), (45, 45, 182), (100, 100, 100), (255, 255, 255)}


def test_a_set_without_labels_is_shown_without_and_that_is_said(daf, path, tmp_path):
    for file in (tmp_path / "target/labels").iterdir():
        file.unlink()
    code, _, errors = daf("data", "preview", path)
    assert code == 0 and len(errors.splitlines()) == 1
    assert errors.startswith("warning: target test: shown without labels: ")
    assert Path("preview_tiny.png").exists()


def test_one_dataset_is_shown_once_where_its_splits_are_the_same_files(daf, tmp_path, path):
    options = ["--set", 'classes=["road", "sky"]', "--set", 'ids={"0"="road", "1"="sky"}']
    assert daf("data", "preview", "image_folder", tmp_path / "source", *options, "--count", 4)[0] == 0
    one = Image.open("preview_image_folder.png").size
    assert daf("data", "preview", path, "--count", 4)[0] == 0
    assert Image.open("preview_tiny.png").height > one[1]


def test_a_file_that_is_there_is_not_replaced_unasked(daf, path):
    Path("preview_tiny.png").write_text("precious")
    refused(daf("data", "preview", path), r"preview_tiny\.png is there already; add --overwrite")
    assert Path("preview_tiny.png").read_text() == "precious"
    assert daf("data", "preview", path, "--overwrite")[0] == 0
    assert Image.open("preview_tiny.png").format == "PNG"
    assert daf("data", "preview", path, "--out", "sheet.jpg")[0] == 2


def test_a_damaged_file_is_named(daf, path, tmp_path):
    (tmp_path / "source/images/3.png").write_bytes(b"")
    refused(daf("data", "preview", path), r"images/3\.png: the file is empty")


# --- the sheet ---


def tile(name="a", height=20, width=30):
    return Tile(name, torch.zeros(3, height, width, dtype=torch.uint8))


NAMES = ["0001", "a" * 90, "aachen/aachen_000000_000019", "$x_1$ [b]", "\x1b[31m", "<i>", "größe"]
LEGEND = {f"class {index}": (index, 2 * index, 255 - index) for index in range(40)}


@pytest.mark.parametrize("shape", [(20, 30), (90, 20), (5, 300)])
def test_names_and_images_are_whole_and_do_not_overlap(shape, tmp_path):
    tiles = [tile(name, *shape) for name in NAMES]
    figure = contact_sheet({"source train: 7 images": tiles, "x" * 300: tiles[:1]}, LEGEND, "A title")
    (png,) = save_figure(figure, tmp_path, "made", endings=["png"])
    assert list(tmp_path.iterdir()) == [png] and Image.open(png).width == 1600
    assert overlapping(figure) == ([], [])
    pictures = [axes.get_window_extent() for axes in figure.findobj(Axes) if axes.images]
    assert len(pictures) == 8 and set(LEGEND) < set(texts(figure))
    assert not any(box.overlaps(other) for place, box in enumerate(pictures) for other in pictures[:place])


def test_a_long_name_keeps_both_its_ends():
    figure = contact_sheet({"s": [tile("begin_" + "x" * 100 + "_end7")]}, {}, "t")
    (name,) = [text for text in texts(figure) if "…" in text]
    assert name.startswith("begin") and name.endswith("_end7")


def test_images_keep_their_shape_and_their_order():
    sizes = [(20, 30), (10, 10), (10, 90), (30, 20), (7, 7)]
    figure = contact_sheet({"s": [tile(str(place), *size) for place, size in enumerate(sizes)]}, {}, "t")
    FigureCanvasAgg(figure).draw()
    boxes = [axes.get_window_extent() for axes in figure.findobj(Axes) if axes.images]
    assert [box.width / box.height for box in boxes] == pytest.approx([w / h for h, w in sizes], rel=0.02)
    middles = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]
    assert middles[0][0] == pytest.approx(middles[4][0]) and middles[4][1] < middles[0][1]
    assert [x for x, _ in middles[:4]] == sorted(x for x, _ in middles[:4])


def test_a_label_is_mixed_in_and_ignored_pixels_are_dark():
    image = torch.full((3, 1, 2), 100, dtype=torch.uint8)
    colours = torch.tensor([200, 0, 100], dtype=torch.uint8)[:, None, None].expand(3, 1, 2)
    mixed = overlaid(image, colours, torch.tensor([[0, 255]]), 255, strength=0.5)
    assert mixed.dtype == torch.uint8 and mixed[:, 0].T.tolist() == [[150, 50, 100], [35, 35, 35]]
