"""``daf data stats`` and its figure: shares are what counting gives, and no target training label is read unasked."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from conftest import refused
from drawn import overlapping, texts
from image_files import write as save

from daframework.data.frequencies import ClassShare, pixel_ratio
from daframework.report.figures import class_shares_figure, save_figure, wrapped

IDS = {"0": "road", "1": "sky", "2": "car", "255": "ignore"}
FOLDER = {"name": "image_folder", "classes": ["road", "sky", "car"], "ids": IDS}
SPLITS = {"train_folder": "train", "test_folder": "test"}


def fill(folder, labels):
    for name, ids in labels.items():
        save(folder / "images" / f"{name}.png", np.zeros((*np.shape(ids), 3)))
        save(folder / "labels" / f"{name}.png", ids)


@pytest.fixture
def path(tmp_path, write, source_only):
    """A recipe: the source has 5 road, 2 sky, 1 car; the target's test 2 road, 6 sky; its training images only car."""
    fill(tmp_path / "source", {"a": [[0, 0, 0, 1]], "b": [[0, 0, 1, 2]], "c": [[255] * 4]})
    fill(tmp_path / "target/train", {"a": [[2, 2, 2, 2]]})
    fill(tmp_path / "target/test", {"a": [[0, 0, 1, 1]], "b": [[1, 1, 1, 1]]})
    own = {"source": FOLDER | {"root": str(tmp_path / "source")}}
    own["target"] = FOLDER | SPLITS | {"root": str(tmp_path / "target")}
    return write(source_only | own | {"data": {"crop_size": [1, 4]}})


def rows(out):
    """The cells of the table's rows, by class."""
    found = (re.split(r"\s{2,}", line.strip()) for line in out.splitlines())
    return {first: rest for first, *rest in found if first in ("road", "sky", "car")}


@pytest.mark.parametrize("workers", [0, 2])
def test_source_and_target_stand_side_by_side_with_their_ratio(daf, path, workers):
    code, out, errors = daf("data", "stats", path, "--workers", workers)
    assert code == 0 and errors == ""
    assert rows(out) == {
        "road": ["62.50", "66.67", "25.00", "50.00", "2.50"],
        "sky": ["25.00", "66.67", "75.00", "100.00", "0.33"],
        "car": ["12.50", "33.33", "-", "-", "-"],
    }


def test_the_targets_training_labels_are_read_only_if_asked_for(daf, path, tmp_path):
    label = tmp_path / "target/train/labels/a.png"
    content = label.read_bytes()
    label.write_bytes(b"not to be opened")
    code, out, _ = daf("data", "stats", path)
    assert code == 0 and "target: the labels of its test set; --target-labels counts the labels of its training" in out
    assert "warning" not in out and rows(out)["sky"][2:4] == ["75.00", "100.00"]
    label.write_bytes(content)
    code, out, _ = daf("data", "stats", path, "--target-labels")
    assert code == 0 and "the labels of its test set" not in out
    assert rows(out)["car"][2:] == ["100.00", "100.00", "0.12"]


def test_a_recipe_that_scores_nothing_has_no_test_set_to_count(daf, path, tmp_path):
    (tmp_path / "target/test").rename(tmp_path / "gone")
    code, out, _ = daf("data", "stats", path, "--set", "downstream.score=false", "--set", "downstream.oracle=false")
    assert code == 0 and "target: has no test set, so that only the source is shown; --target-labels" in out
    assert rows(out)["road"] == ["62.50", "66.67"]


def test_a_target_without_labels_leaves_the_source_alone_and_says_so(daf, path, tmp_path):
    for file in (tmp_path / "target/test/labels").iterdir():
        file.unlink()
    code, out, _ = daf("data", "stats", path)
    assert code == 0 and "warning: target test: its labels cannot be read, so that only the source is shown: " in out
    assert rows(out)["road"] == ["62.50", "66.67"]


def test_a_source_without_labels_is_an_error(daf, path, tmp_path):
    (tmp_path / "source/labels/b.png").unlink()
    says = r"source train: no classes can be counted without labels: .*b\.png: without a label"
    refused(daf("data", "stats", path), says)


def test_one_dataset_is_counted_alone(daf, tmp_path, path):
    ids = ", ".join(f'"{number}" = "{name}"' for number, name in IDS.items())
    options = ["--set", 'classes=["road", "sky", "car"]', "--set", f"ids={{{ids}}}"]
    code, out, _ = daf("data", "stats", "image_folder", tmp_path / "source", *options)
    assert code == 0 and rows(out)["sky"] == ["25.00", "66.67"] and "ratio" not in out


def test_a_limit_spreads_over_the_set(daf, path):
    code, out, _ = daf("data", "stats", path, "--images", 1)
    assert code == 0 and "of 1 images" in out and rows(out)["road"] == ["75.00", "100.00", "50.00", "100.00", "1.50"]


def test_json_holds_the_same_numbers(daf, path):
    code, out, _ = daf("data", "stats", path, "--json", "-")
    found = json.loads(out)
    source, target = found["sets"]
    assert code == 0 and (source["set"], source["images"], source["of"]) == ("source train", 3, 3)
    assert source["shares"]["sky"] == {"pixels": 0.25, "images": pytest.approx(2 / 3)}
    assert target["shares"]["car"] == {"pixels": 0, "images": 0}
    assert found["ratio"] == {"road": 2.5, "sky": pytest.approx(1 / 3), "car": None}


def test_a_plot_is_two_files_that_are_never_replaced_unasked(daf, path):
    command = ("data", "stats", path, "--plot", "plots/shares.v1")
    code, out, _ = daf(*command)
    written = [Path("plots/shares.v1.png"), Path("plots/shares.v1.svg")]
    assert code == 0 and "drawn in plots/shares.v1.png and plots/shares.v1.svg" in out
    assert sorted(Path("plots").iterdir()) == written
    text = "".join(ElementTree.parse(written[1]).getroot().itertext())
    assert all(word in text for word in ("road", "target test", "2.50"))
    for file in written:
        file.write_text("precious")
    refused(daf(*command), r"shares\.v1\.png is there already; add --overwrite")
    assert written[0].read_text() == "precious"
    assert daf(*command, "--overwrite")[0] == 0
    assert written[0].read_bytes().startswith(b"\x89PNG")


# --- the numbers and the figure ---


def test_a_ratio_needs_pixels_on_both_sides():
    some, none = ClassShare(0.5, 1), ClassShare(0, 0)
    assert pixel_ratio(some, ClassShare(0.25, 1)) == 2
    assert [pixel_ratio(*pair) for pair in ((some, none), (none, some), (None, some), (some, None))] == [None] * 4


SHARES = {
    "source train": {"road": 0.6, "sky": 0.0001, "car": 0.0},
    "target test": {"road": 0.6, "sky": 0.3, "car": 0.01},
}
ODD_NAMES = ["$x_1$", "<b>", "x" * 70, "größe", "\x1b[31m"]


def marks(figure):
    """Percent and row of each mark of the two sets."""
    lines = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "D")]
    return sorted((float(y), one.get_marker(), float(x)) for one in lines for x, y in one.get_xydata())


def test_a_mark_is_drawn_for_each_share_and_none_for_nothing():
    found = marks(class_shares_figure(SHARES, "t"))
    expected = [(0, "D", 60), (0, "o", 60), (1, "D", 30), (1, "o", 0.01), (2, "D", 1)]
    assert [mark[:2] for mark in found] == [mark[:2] for mark in expected]
    assert [mark[2] for mark in found] == pytest.approx([mark[2] for mark in expected])


@pytest.mark.parametrize("names", [["road"], ODD_NAMES, [f"class {index}" for index in range(66)]])
def test_names_are_whole_and_do_not_overlap(names, tmp_path):
    shares = {title: {name: (place + 1) / 1000 for place, name in enumerate(names)} for title in SHARES}
    figure = class_shares_figure(shares, "A title")
    save_figure(figure, tmp_path, "made")
    assert overlapping(figure) == ([], [])
    assert {wrapped(name, 26) for name in names} < set(texts(figure))


def test_one_set_has_no_ratio(tmp_path):
    figure = class_shares_figure({"camvid train": {"road": 1.0}}, "t")
    save_figure(figure, tmp_path, "made")
    assert not any("ratio" in text for text in texts(figure))
