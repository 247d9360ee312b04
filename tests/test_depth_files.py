"""Depth in files: what becomes of each format, and of each way in which a file can be wrong."""

import re
from math import inf, nan

import numpy as np
import pytest
import torch
from image_files import names, picture, write, write_deep
from PIL import Image

from daf_driving.depth_files import make_coding, read_depth
from daf_driving.image_folder import ImageFolder
from daframework.build import make
from daframework.data.decode import write_image
from daframework.errors import DataError
from daframework.registry import find, load_plugins


def read(path, format="png16", scale=0.01, invalid=None):
    return read_depth(path, make_coding(format, scale, invalid, None))


def write_array(path, values, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(values, dtype))


def write_carla(path, values, alpha=None):
    red, green, blue = (np.asarray(values) >> shift & 255 for shift in (0, 8, 16))
    write(path, np.stack([red, green, blue] + ([np.full_like(red, alpha)] if alpha is not None else []), -1))


def refused(path, says, **options):
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


# --- formats ---


def test_sixteen_bits_are_metres_by_the_scale(tmp_path):
    # 40000 and 65534 are negative, and wrap, for what takes them for int16.
    write_deep(tmp_path / "1.png", [[0, 1, 1234], [40000, 65534, 65535]])
    depth = read(tmp_path / "1.png", invalid=65535)
    assert depth.dtype == np.float32 and depth.shape == (2, 3)
    assert depth == pytest.approx(np.array([[0, 0.01, 12.34], [400, 655.34, 0]]))
    assert read(tmp_path / "1.png", scale=1 / 256)[1].tolist() == [156.25, 65534 / 256, 65535 / 256]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_floats_is_metres(tmp_path, dtype, order):
    np.save(tmp_path / "1.npy", np.array([[0, 0.5, 80.25], [-1, 12.5, 0.125]], dtype, order=order))
    depth = read(tmp_path / "1.npy", format="npy", scale=None, invalid=-1)
    assert depth.dtype == np.float32 and depth.tolist() == [[0, 0.5, 80.25], [0, 12.5, 0.125]]


def test_an_invalid_value_is_compared_as_it_is_stored(tmp_path):
    write_array(tmp_path / "1.npy", [[655.35, 2.0]])  # which 32 bits do not hold exactly
    assert read(tmp_path / "1.npy", format="npy", scale=None, invalid=655.35).tolist() == [[0, 2]]


@pytest.mark.parametrize("word", ["nan", "inf"])
def test_a_recipe_names_nan_and_infinity_by_their_words(tmp_path, word):
    write_image(tmp_path / "images" / "a.png", torch.zeros(3, 1, 2, dtype=torch.uint8))
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "a.npy", np.array([[1.5, float(word)]], np.float32))
    options = {"root": str(tmp_path), "depth": "depth", "depth_format": "npy", "depth_invalid": word}
    dataset = make(find(load_plugins(), "dataset", "image_folder"), options, "source", split="train")
    assert dataset[0].others["depth"].tolist() == [[1.5, 0.0]]


@pytest.mark.parametrize("invalid", [nan, inf, -inf])
def test_a_value_that_is_no_number_can_stand_for_no_measurement(tmp_path, invalid):
    write_array(tmp_path / "1.npy", [[invalid, 2.0]])
    assert read(tmp_path / "1.npy", format="npy", scale=None, invalid=invalid).tolist() == [[0, 2]]


def test_a_tiff_of_floats_is_metres(tmp_path):
    Image.fromarray(np.array([[0, 1.5], [80.25, 1e-3]], np.float32)).save(tmp_path / "1.tiff")
    metres = [[0, 1.5], [80.25, np.float32(1e-3)]]
    assert read(tmp_path / "1.tiff", format="tiff", scale=None).tolist() == metres
    # As programs write images of more than 4 GB.
    Image.fromarray(np.array(metres, np.float32)).save(tmp_path / "2.tiff", big_tiff=True)
    assert read(tmp_path / "2.tiff", format="tiff", scale=None).tolist() == metres


@pytest.mark.parametrize("alpha", [None, 255, 0])
def test_carla_writes_24_bits_over_red_green_and_blue(tmp_path, alpha):
    # R + G * 256 + B * 65536 of 256**3 - 1 is a kilometre; all bits are the far plane, where the sky is.
    write_carla(tmp_path / "1.png", [[1, 255, 256, 65536, 0x123456, 256**3 - 1]], alpha)
    depth = read(tmp_path / "1.png", format="carla", scale=None)
    wanted = [1000 * value / (256**3 - 1) for value in (1, 255, 256, 65536, 0x12 * 65536 + 0x34 * 256 + 0x56)]
    assert depth.tolist()[0] == pytest.approx([*wanted, 0], rel=1e-7)


# --- what is wrong with a file ---


def test_eight_bits_are_refused_where_sixteen_are_meant(tmp_path):
    write(tmp_path / "1.png", [[1, 2]])
    refused(tmp_path / "1.png", "8 bits where 16 are meant")
    write(tmp_path / "2.png", picture())
    refused(tmp_path / "2.png", "holds colours, where one channel of 16 bits is meant")


@pytest.mark.parametrize(
    "values, says",
    [
        ([[1, nan, 2]], "1 pixels are NaN or infinite, the first nan"),
        ([[1, inf, -inf]], "2 pixels are NaN or infinite, the first inf"),
        ([[1, 1e41, 2]], "1 pixels are NaN or infinite, the first 1e+41"),
        ([[1, -0.5, -2]], "2 pixels are negative, the first -0.5"),
        ([[0, 0, 7]], "no depth, all is 7 or 0"),
    ],
)
def test_values_that_are_no_depth_are_refused(tmp_path, values, says):
    write_array(tmp_path / "1.npy", values, np.float64)
    refused(tmp_path / "1.npy", says, format="npy", invalid=7)


def test_sixteen_bits_that_are_all_invalid_are_refused(tmp_path):
    write_deep(tmp_path / "1.png", [[65535, 0]])
    refused(tmp_path / "1.png", "no depth, all is 65535 or 0", invalid=65535)


@pytest.mark.parametrize(
    "array, says",
    [
        (np.zeros((2, 3), np.int32), "must hold (H, W) float16, float32 or float64, got int32 (2, 3)"),
        (np.zeros((2, 3, 1), np.float32), "must hold (H, W) float16, float32 or float64, got float32 (2, 3, 1)"),
        (np.array([[{}]]), "no array of numpy's"),
        (np.zeros((0, 3), np.float32), ""),
    ],
)
def test_another_array_is_refused(tmp_path, array, says):
    np.save(tmp_path / "1.npy", array, allow_pickle=True)
    refused(tmp_path / "1.npy", says, format="npy")


def test_files_that_are_not_what_their_format_says_are_refused(tmp_path):
    (tmp_path / "text").write_text("no picture")
    np.save(tmp_path / "whole.npy", np.ones((40, 40), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-9])
    # It claims 40 TB, of which it has nothing.
    claim = (tmp_path / "whole.npy").read_bytes()[:128].replace(b"(40, 40), ", b"(9999999, 999999)")
    (tmp_path / "claim.npy").write_bytes(claim)
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "whole.tiff")
    (tmp_path / "cut.tiff").write_bytes((tmp_path / "whole.tiff").read_bytes()[:900])
    Image.fromarray(np.ones((4, 4), np.uint16)).save(tmp_path / "deep.tiff")
    write_deep(tmp_path / "grey.png", [[1]])
    for file, format in (("text", "png16"), ("text", "carla"), ("text", "tiff"), ("text", "npy"), ("grey.png", "tiff")):
        refused(tmp_path / file, "", format=format)
    refused(tmp_path / "cut.npy", "no array of numpy's", format="npy")
    refused(tmp_path / "claim.npy", "no array of numpy's", format="npy")
    refused(tmp_path / "cut.tiff", "", format="tiff")
    refused(tmp_path / "deep.tiff", "must hold one channel of 32-bit floats, got mode I;16", format="tiff")
    refused(tmp_path / "grey.png", "holds one channel, where CARLA's depth is 24 bits", format="carla")
    refused(tmp_path / "1.exr", "OpenEXR is not read; convert it to .npy or to .tiff", format="npy")
    for format in ("png16", "npy", "tiff", "carla"):
        refused(tmp_path / "nothing", "no such file", format=format)


@pytest.mark.filterwarnings("ignore")
def test_a_tiff_with_a_broken_byte_is_read_or_refused_and_nothing_else(tmp_path):
    Image.fromarray(np.ones((5, 7), np.float32)).save(tmp_path / "1.tiff")
    sound, told = (tmp_path / "1.tiff").read_bytes(), 0
    for place in range(4, len(sound)):
        (tmp_path / "2.tiff").write_bytes(sound[:place] + bytes([sound[place] ^ 0x41]) + sound[place + 1 :])
        try:
            read(tmp_path / "2.tiff", format="tiff", scale=None)
        except DataError:
            told += 1
    assert told > 50


@pytest.mark.parametrize(
    "options, says",
    [
        ({"scale": None}, "depth_scale must be given with depth_format = 'png16'"),
        ({"scale": 0}, "depth_scale must be the metres that a value of 1 stands for, more than 0, got 0"),
        ({"scale": nan}, "more than 0, got nan"),
        ({"invalid": 65536}, "depth_invalid must be a whole number from 0 to 65535 in png16, got 65536"),
        ({"invalid": 0.5}, "got 0.5"),
        ({"invalid": nan}, "got nan"),
        ({"format": "carla", "invalid": -1}, "from 0 to 16777215 in carla, got -1"),
        ({"limits": [1]}, "depth_range must be [low, high] in metres with 0 <= low < high, got [1]"),
        ({"limits": [5, 2]}, "got [5, 2]"),
        ({"limits": [0, inf]}, "got [0, inf]"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        make_coding(**{"format": "png16", "scale": 0.01, "invalid": None, "limits": None, **options})


# --- in a folder of images ---

CENTIMETRES = {"depth": "depth", "depth_scale": 0.01, "depth_invalid": 65535}
CLASSES = {"classes": ["road", "sky"], "ids": {"0": "road", "1": "sky"}}
FAR = np.arange(40).reshape(5, 8) * 100  # 0 to 39 m


@pytest.fixture
def folder(tmp_path):
    for index, name in enumerate(["a/1", "a/2"]):
        write(tmp_path / "images" / f"{name}.png", picture(index))
        write(tmp_path / "labels" / f"{name}.png", np.arange(40).reshape(5, 8) % 2)
        write_deep(tmp_path / "depth" / f"{name}.png", FAR + index)
    return tmp_path


def made(root, **options):
    return ImageFolder(root=str(root), split="train", **options)


def test_a_folder_has_classes_depth_or_both(folder):
    both, classes, depth = made(folder, **CENTIMETRES, **CLASSES), made(folder, **CLASSES), made(folder, **CENTIMETRES)
    assert [list(one.labels) for one in (both, classes, depth)] == [["semantic", "depth"], ["semantic"], ["depth"]]
    assert (depth.classes, depth.palette) == ((), ()) and tuple(both.classes) == ("road", "sky")
    assert depth[1].label is None and not classes[1].others and both[1].label is not None
    for one in (both[1], depth[1]):
        assert one.others["depth"].numpy() == pytest.approx((FAR + 1) / 100) and one.name == "a/2"
    assert not both.unlabelled(1).others and both.unlabelled(1).label is None


def test_depth_is_neither_read_nor_looked_for_unless_a_label_is(folder):
    (folder / "depth").rename(folder / "gone")
    dataset = made(folder, **CENTIMETRES)
    assert names(dataset) == ["a/1", "a/2"] and dataset.fingerprint(labels=False)
    with pytest.raises(DataError, match=r"depth: no such folder"):
        dataset[0]


def test_files_beside_the_images_are_told_by_their_names(tmp_path):
    write(tmp_path / "train" / "1_rgb.png", picture())
    write_array(tmp_path / "train" / "d_1_far.npy", np.ones((5, 8)))
    options = {"images_folder": "{split}", "depth": "{split}", "train_folder": "train", "image_ending": "_rgb.png"}
    dataset = made(tmp_path, depth_format="npy", depth_beginning="d_", depth_ending="_far.npy", **options)
    assert dataset[0].others["depth"].unique().tolist() == [1] and dataset[0].name == "1"


def test_an_image_without_depth_and_a_depth_without_image_are_named(folder):
    (folder / "depth" / "a" / "2.png").unlink()
    write_deep(folder / "depth" / "a" / "3.png", FAR)
    dataset = made(folder, **CENTIMETRES, **CLASSES)
    lone, orphan = dataset.problems(labelled=True)
    assert "images/a/2.png: without a label in" in lone and "depth; add NAME.png" in lone
    assert "depth/a/3.png: without an image in" in orphan and dataset.problems(labelled=False) == []
    with pytest.raises(DataError, match=r"images/a/2\.png: without a label in .*depth"):
        dataset[0]
    assert dataset.inspect(1, labelled=True).problems == []  # told once, by `problems`


def test_a_depth_of_another_size_than_its_image_is_told_with_both(folder):
    write_deep(folder / "depth" / "a" / "1.png", FAR[:3] + 1)
    dataset = made(folder, **CENTIMETRES, **CLASSES)
    says = r"depth/a/1\.png: 3 x 8 pixels \(height x width\), but its image .*images/a/1\.png has 5 x 8"
    with pytest.raises(DataError, match=says):
        dataset[0]
    (told,) = dataset.inspect(0, labelled=True).problems
    assert re.search(says, told) and dataset.inspect(0, labelled=False).problems == []


def test_an_array_of_another_size_is_told_too(tmp_path):
    write(tmp_path / "images" / "1.png", picture())
    write_array(tmp_path / "depth" / "1.npy", np.ones((8, 5)))
    with pytest.raises(DataError, match=r"1\.npy: 8 x 5 pixels .* has 5 x 8; a label must cover"):
        made(tmp_path, depth="depth", depth_format="npy")[0]


def test_another_depth_file_or_coding_has_another_fingerprint(folder):
    dataset = made(folder, **CENTIMETRES, **CLASSES)
    before = dataset.fingerprint(labels=True)
    assert before == made(folder, **CENTIMETRES, **CLASSES, depth_range=[1, 80]).fingerprint(labels=True)
    for options in ({"depth_scale": 0.1}, {"depth_invalid": 1}):
        other = made(folder, **{**CENTIMETRES, **options}, **CLASSES)
        assert other.fingerprint(labels=True) != before
        assert other.fingerprint(labels=False) == dataset.fingerprint(labels=False)
    assert len({before, *(made(folder, **one).fingerprint(labels=True) for one in (CENTIMETRES, CLASSES))}) == 3
    write_deep(folder / "depth" / "a" / "1.png", np.repeat(FAR, 2, 1))
    assert dataset.fingerprint(labels=True) != before


@pytest.mark.parametrize("scale, told", [(0.01, False), (1.0, True), (0.0001, True), (0.03, False)])
def test_a_median_far_outside_the_range_is_told_by_inspection(folder, capsys, scale, told):
    # The median is 20 m at a scale of 0.01.
    dataset = made(folder, **{**CENTIMETRES, "depth_scale": scale}, depth_range=[2, 50])
    found = dataset.inspect(0, labelled=True)
    assert np.array_equal(dataset[0].others["depth"], found.others["depth"]) and not found.problems
    assert capsys.readouterr().err == "" and bool(found.doubt) == told
    if told:
        assert re.search(r"depth/a/1\.png: its median is .* m, far outside depth_range = \[2, 50\]", found.doubt)
    assert dataset.inspect(0, labelled=False).doubt is None and not dataset.inspect(0, labelled=False).others


@pytest.mark.parametrize(
    "options, says",
    [
        ({**CENTIMETRES, "classes": []}, "classes must be 1 to 255 names, got 0"),
        ({"depth_scale": 0.01, **CLASSES}, "give its folder in depth, too"),
        ({"depth": "depth"}, "depth_scale must be given"),
        ({**CENTIMETRES, "ids": {"0": "ignore"}}, "are those of classes: name these in classes, too"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(folder, options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        made(folder, **options)


def test_classes_without_ids_are_told_what_to_do(folder):
    with pytest.raises(DataError, match=r"no ids are given; .* or leave classes out: then there is depth alone"):
        made(folder, **CENTIMETRES, classes=["road"])[0]
