"""``daf data convert``: labels keep their names and their meaning, and what has none is named, never guessed."""

import re
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from cityscapesscripts.helpers.labels import labels as CITYSCAPES_LABELS
from conftest import refused
from PIL import Image
from test_synthia import png

from daframework.data.decode import read_label
from daframework.errors import DataError

TRAINED = {one.name: one for one in CITYSCAPES_LABELS if 0 <= one.trainId < 255}


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


def read(path):
    return np.asarray(Image.open(path)).tolist()


@pytest.fixture
def space(tmp_path):
    """Write a label space of a name to colours, and return its path."""

    def make(name, colours, **more):
        classes = [{"name": one, "colour": list(colour)} for one, colour in colours.items()]
        path = tmp_path / f"{name}.toml"
        path.write_text(tomli_w.dumps({"classes": classes, **more}), encoding="utf-8")
        return str(path)

    return make


@pytest.fixture
def labels(tmp_path):
    """Labels in Cityscapes' colours in two sub-folders: road, car, sky; and rider."""
    road, car, sky, rider = (TRAINED[name].color for name in ("road", "car", "sky", "rider"))
    save(tmp_path / "labels/a/1.png", np.array([[road, car], [sky, road]], dtype=np.uint8))
    save(tmp_path / "labels/b/1.png", np.array([[rider, rider]], dtype=np.uint8))
    save(tmp_path / "labels/b/.hidden.png", np.zeros((1, 1), dtype=np.uint8))
    return tmp_path / "labels"


@pytest.fixture
def convert(daf):
    return lambda *arguments: daf("data", "convert", *arguments, "--workers", 0)


def problems(out):
    return [line.removeprefix("error: ") for line in out.splitlines() if line.startswith("error: ")]


# --- what is written ---


def test_colours_become_ids_under_the_same_names(convert, labels):
    code, out, errors = convert(labels, "out", "--from-colours", "cityscapes19", "--to", "cityscapes19")
    ids = {name: one.id for name, one in TRAINED.items()}
    assert code == 0 and errors == ""
    assert read("out/a/1.png") == [[ids["road"], ids["car"]], [ids["sky"], ids["road"]]]
    assert read("out/b/1.png") == [[ids["rider"]] * 2]
    assert sorted(str(path) for path in Path("out").rglob("*.png")) == ["out/a/1.png", "out/b/1.png"]
    assert "2 of 2 labels in out" in out


def test_every_colour_and_id_of_a_space_becomes_what_its_own_tools_say(convert, tmp_path):
    colours = np.array([[one.color for one in TRAINED.values()]], dtype=np.uint8)
    save(tmp_path / "labels/x.png", colours)
    assert convert(tmp_path / "labels", "ids", "--from-colours", "cityscapes19", "--to", "cityscapes19")[0] == 0
    assert read("ids/x.png") == [[one.id for one in TRAINED.values()]]
    assert convert("ids", "train", "--from", "cityscapes19", "--to", "cityscapes19", "--to-train-ids")[0] == 0
    assert read("train/x.png") == [[one.trainId for one in TRAINED.values()]]
    assert convert("train", "again", "--from", "cityscapes19", "--from-train-ids", "--to", "cityscapes19")[0] == 0
    assert read("again/x.png") == read("ids/x.png")


def test_one_space_becomes_another_by_its_map(convert, tmp_path):
    save(tmp_path / "labels/x.png", np.array([[TRAINED["sidewalk"].id, TRAINED["bus"].id, 0]], dtype=np.uint8))
    code, out, _ = convert(tmp_path / "labels", "out", "--from", "cityscapes19", "--to", "camvid11")
    assert code == 0 and read("out/x.png") == [[4, 8, 11]]  # pavement, car, void
    assert '"8" = "car"' in out and '"11" = "ignore"' in out


def test_the_original_camvid_becomes_the_11_classes_with_nothing_lost(convert, tmp_path):
    first = {"Sidewalk": (0, 0, 192), "Road": (128, 64, 128), "Archway": (192, 0, 128), "Void": (0, 0, 0)}
    save(tmp_path / "labels/0001TP_006690_L.png", np.array([list(first.values())], dtype=np.uint8))
    code, out, _ = convert(tmp_path / "labels", "out", "--from-colours", "camvid32", "--to", "camvid11")
    assert code == 0 and read("out/0001TP_006690_L.png") == [[4, 3, 1, 11]]
    assert "warning: 28 of 32 classes of 'camvid32' have no pixel" in out and "ignored, as" not in out


def test_a_map_of_ones_own_comes_first(convert, labels):
    arguments = (labels, "out", "--from-colours", "cityscapes19", "--to", "cityscapes19", "--map", "rider=person")
    assert convert(*arguments)[0] == 0 and read("out/b/1.png") == [[TRAINED["person"].id] * 2]
    assert convert(*arguments, "--overwrite", "--map", "rider=ignore")[0] == 0 and read("out/b/1.png") == [[0, 0]]


def test_a_class_without_a_place_is_refused_before_anything_is_written(convert, labels, space):
    small = space("small", {"road": (1, 2, 3)})
    result = convert(labels, "out", "--from-colours", "cityscapes19", "--to", small)
    refused(result, "--map: sidewalk, .* have no place in")
    assert not Path("out").exists()


def test_sixteen_bit_ids_are_read(convert, tmp_path):
    save(tmp_path / "labels/x.png", np.array([[7, 26001]], dtype=np.uint16))
    code, out, _ = convert(tmp_path / "labels", "out", "--from", "cityscapes19", "--to", "cityscapes19")
    assert code == 1 and "id 26001 (1 pixel) is of no class" in problems(out)[0]
    arguments = ("--from", "cityscapes19", "--to", "cityscapes19", "--ignore", "26001")
    assert convert(tmp_path / "labels", "out", *arguments)[0] == 0 and read("out/x.png") == [[7, 0]]


def test_what_the_last_line_says_is_what_a_dataset_needs(convert, labels, daf):
    spaces = ("--from-colours", "cityscapes19", "--to", "cityscapes19", "--to-train-ids")
    code, out, _ = convert(labels, "data/labels", *spaces)
    ids = out.splitlines()[-1].partition("ids = ")[2]
    random = np.random.default_rng(0)
    for name, size in (("a/1", (2, 2)), ("b/1", (1, 2))):
        save(Path(f"data/images/{name}.png"), random.integers(0, 256, (*size, 3), dtype=np.uint8))
    classes = f"classes={list(TRAINED)}".replace("'", '"')
    code, out, _ = daf("data", "check", "image_folder", "data", "--set", f"ids={ids}", "--set", classes, "--workers", 0)
    assert code == 0 and "4 of 19" in out


# --- what has no meaning ---


def test_unknown_colours_are_named_with_their_files_and_counts_and_the_rest_is_written(convert, labels):
    for name, count in (("c/1", 3), ("c/2", 5)):
        save(labels / f"{name}.png", np.full((1, count, 3), (0, 0, 0), dtype=np.uint8))
    code, out, _ = convert(labels, "out", "--from-colours", "cityscapes19", "--to", "cityscapes19")
    first, second = problems(out)
    assert code == 1 and re.search(r"c/1\.png: colour 0,0,0 \(3 pixels\) is of no class; not converted", first)
    assert "c/2.png: colour 0,0,0 (5 pixels)" in second
    assert "0,0,0 is in 2 files (8 pixels) and stands for no class of 'cityscapes19'; add --ignore 0,0,0" in out
    assert "2 of 4 labels in out" in out and not Path("out/c").exists() and Path("out/a/1.png").exists()


@pytest.mark.parametrize("ignored", ["0,0,0", "others"])
def test_what_is_to_be_ignored_is_named_on_the_command_line(convert, labels, ignored):
    save(labels / "a/2.png", np.array([[(0, 0, 0), TRAINED["sky"].color]], dtype=np.uint8))
    arguments = ("--from-colours", "cityscapes19", "--to", "cityscapes19", "--ignore", ignored)
    assert convert(labels, "out", *arguments)[0] == 0 and read("out/a/2.png") == [[0, TRAINED["sky"].id]]


def test_what_is_dropped_and_the_classes_without_a_pixel_are_told_with_counts(convert, tmp_path):
    pavement, road, tree = (0, 0, 192), (128, 64, 128), (128, 128, 0)  # of the original CamVid
    save(tmp_path / "labels/1.png", np.array([[pavement, pavement, road]], dtype=np.uint8))
    save(tmp_path / "labels/2.png", np.array([[pavement, tree, (0, 0, 0)]], dtype=np.uint8))
    arguments = (tmp_path / "labels", "out", "--to", "camvid11", "--ignore", "others")
    code, out, _ = convert(*arguments, "--from-colours", "camvid11")
    assert code == 0 and read("out/1.png") == [[11, 11, 3]]
    assert "ignored, as no class of 'camvid11': 0,0,192 in 2 files (3 pixels), 0,0,0 in 1 files (1 pixels)" in out
    (line,) = [line for line in out.splitlines() if "have no pixel" in line]
    assert line.startswith("warning: 9 of 11 classes") and "pavement (60,40,222)" in line and "road" not in line


@pytest.mark.parametrize("others", [True, False])
def test_a_colour_that_is_one_step_from_a_class_is_told_as_such(convert, tmp_path, others):
    save(tmp_path / "labels/x.png", np.array([[(127, 64, 129), (120, 64, 128), (128, 64, 128)]], dtype=np.uint8))
    spaces = ("--from-colours", "camvid11", "--to", "camvid11", *(("--ignore", "others") if others else ()))
    code, out, _ = convert(tmp_path / "labels", "out", *spaces)
    assert code == (0 if others else 1)
    assert "127,64,129 is one step from road's 128,64,128" in out and "120,64,128 is one step" not in out
    assert others or "add --ignore 127,64,129 to ignore it, --ignore others to ignore all" in out


def with_alpha(path, colours, alpha):
    pixels = np.concatenate((np.asarray(colours), np.asarray(alpha)[..., None]), axis=-1)
    save(path, pixels.astype(np.uint8))


def test_transparent_pixels_are_ignored_and_told(convert, tmp_path):
    road, sky = TRAINED["road"].color, TRAINED["sky"].color
    with_alpha(tmp_path / "labels/x.png", [[road, sky, (0, 0, 0), sky]], [[255, 1, 0, 0]])
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    palette.putpalette([*road, *sky])
    palette.save(tmp_path / "labels/y.png", transparency=1)
    code, out, _ = convert(tmp_path / "labels", "out", "--from-colours", "cityscapes19", "--to", "cityscapes19")
    assert code == 0 and "3 transparent pixels in 2 files were ignored" in out
    assert read("out/x.png") == [[7, 23, 0, 0]] and read("out/y.png") == [[7, 0]]


@pytest.mark.parametrize("channel, place", [("red", 0), ("green", 1), ("blue", 2)])
def test_ids_are_read_from_one_channel(convert, tmp_path, channel, place):
    pixels = np.full((1, 3, 3), 99, dtype=np.uint8)
    pixels[..., place] = [7, 26, 23]
    save(tmp_path / "labels/x.png", pixels)
    with_alpha(tmp_path / "labels/y.png", pixels, [[255, 255, 0]])
    save(tmp_path / "labels/grey.png", np.array([[7, 26, 23]], dtype=np.uint8))
    Image.fromarray(pixels).quantize(3).save(tmp_path / "labels/palette.png")  # as programs make files smaller
    spaces = ("--from", "cityscapes19", "--to", "cityscapes19", "--to-train-ids", "--channel", channel)
    assert convert(tmp_path / "labels", "out", *spaces)[0] == 0
    assert read("out/x.png") == read("out/grey.png") == read("out/palette.png") == [[0, 13, 10]]
    assert read("out/y.png") == [[0, 13, 255]]


def test_a_grey_file_of_16_bits_is_its_own_channel(convert, tmp_path):
    save(tmp_path / "labels/deep.png", np.array([[7, 300]], dtype=np.uint16))
    spaces = ("--from", "cityscapes19", "--to", "cityscapes19", "--channel", "red", "--ignore", "300")
    assert convert(tmp_path / "labels", "out", *spaces)[0] == 0 and read("out/deep.png") == [[7, 0]]


@pytest.mark.parametrize("channel, place", [("red", 0), ("green", 1), ("blue", 2)])
def test_sixteen_bits_a_channel_are_read_whole(convert, tmp_path, channel, place):
    pixels = np.full((1, 3, 4), 65535, dtype=np.uint16)
    pixels[..., place] = [7, 300, 26]
    pixels[..., 3] = [65535, 1, 0]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/x.png").write_bytes(png(pixels, filters=(4,)))
    spaces = ("--from", "cityscapes19", "--to", "cityscapes19", "--channel", channel, "--ignore", "300")
    code, out, _ = convert(tmp_path / "labels", "out", *spaces)
    assert code == 0 and read("out/x.png") == [[7, 0, 0]] and "1 transparent pixels in 1 files" in out
    code, out, _ = convert(tmp_path / "labels", "new", "--from-colours", "camvid11", "--to", "camvid11")
    assert code == 1 and "x.png: colours of 16 bits a channel are not supported" in problems(out)[0]


def test_a_file_of_thousands_of_colours_is_one_line(convert, tmp_path):
    save(tmp_path / "labels/x.png", np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8))
    code, out, _ = convert(tmp_path / "labels", "out", "--from-colours", "camvid11", "--to", "camvid11")
    assert code == 1 and len(problems(out)) == 1 and re.search(r"and \d{4} more are of no class", problems(out)[0])
    assert "is this the right label space?" in out and len(out.splitlines()) < 30


def test_files_that_cannot_be_read_are_named_and_the_rest_is_written(convert, labels):
    (labels / "a/2.png").write_bytes(b"")
    Image.new("CMYK", (2, 2)).save(labels / "a/3.png", "JPEG")
    code, out, _ = convert(labels, "out", "--from-colours", "cityscapes19", "--to", "cityscapes19")
    empty, other = problems(out)
    assert code == 1 and "2.png: the file is empty" in empty and "3.png: colour mode CMYK" in other
    assert "2 of 4 labels in out" in out


def test_colours_where_ids_are_meant_are_refused_with_a_command_that_works(daf, labels):
    with pytest.raises(DataError, match="this one holds colours") as caught:
        read_label(labels / "a/1.png")
    command = str(caught.value).partition("with: daf ")[2].replace("SPACE", "cityscapes19").split()
    assert daf(*command)[0] == 0 and read("OUT/1.png")[0][0] == TRAINED["road"].id


# --- what is never overwritten ---


def test_files_that_are_there_are_kept_unless_told(convert, labels):
    save(Path("out/b/1.png"), np.full((1, 1), 9, dtype=np.uint8))
    arguments = (labels, "out", "--from-colours", "cityscapes19", "--to", "cityscapes19")
    refused(convert(*arguments), r"out/b/1\.png is there already \(1 such files\); add --overwrite")
    assert read("out/b/1.png") == [[9]] and not Path("out/a").exists()
    assert convert(*arguments, "--overwrite")[0] == 0 and read("out/b/1.png") == [[TRAINED["rider"].id] * 2]


def test_labels_are_never_written_over_themselves(convert, labels):
    before = (labels / "a/1.png").read_bytes()
    spaces = ("--from-colours", "cityscapes19", "--to", "cityscapes19", "--overwrite")
    for out in (labels, labels / "new", labels / "a" / ".."):
        refused(convert(labels, out, *spaces), "whose labels are to be read; write to a folder beside it")
    # a/a/1.png of the labels in labels/a would become a/1.png of the same
    save(labels / "a/a/1.png", np.zeros((1, 1, 3), dtype=np.uint8))
    refused(convert(labels / "a", labels, *spaces), r"a/1\.png: is one of the labels to be read")
    assert (labels / "a/1.png").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("--to", "camvid11"), "either --from SPACE"),
        (("--from", "camvid11", "--from-colours", "camvid11", "--to", "camvid11"), "either --from SPACE"),
        (("--from", "camvid11"), "Missing option '--to'"),
        (("--from-colours", "camvid11", "--from-train-ids", "--to", "camvid11"), "--from-train-ids is about ids"),
        (("--from-colours", "camvid11", "--channel", "red", "--to", "camvid11"), "--channel is about ids"),
        (("--from", "camvid11", "--to", "camvid11", "--map", "x"), "must be CLASS=CLASS"),
        (("--from", "camvid11", "--to", "camvid11", "--ignore", "1,2,3"), "must be an id such as 255"),
        (("--from-colours", "camvid11", "--to", "camvid11", "--ignore", "1,2,300"), "must be a colour such as 0,0,0"),
    ],
)
def test_a_command_line_that_cannot_be_meant_ends_with_2(convert, labels, arguments, says):
    code, _, errors = convert(labels, "out", *arguments)
    assert code == 2 and says in errors and not Path("out").exists()


def test_spaces_and_folders_that_are_not_there_are_named(convert, labels, tmp_path, space):
    (tmp_path / "empty").mkdir()
    camvid = ("--from", "camvid11", "--to", "camvid11")
    refused(convert(labels, "out", "--from", "camvid1", "--to", "camvid11"), "'camvid1'; did you mean 'camvid11'")
    refused(convert(tmp_path / "gone", "out", *camvid), "gone: not a folder of labels")
    refused(convert(tmp_path / "empty", "out", *camvid), r"empty: holds no label \(\.png\)")
    twice = space("twice", {"road": (1, 2, 3), "car": (1, 2, 3)})
    refused(convert(labels, "out", "--from-colours", twice, "--to", twice), "road and car share the colour 1,2,3")
