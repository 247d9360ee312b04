"""Predictions of a finished run: what the model sees, pixel by pixel, in numbers that other tools read."""

import numpy as np
import pytest
import tomli_w
import torch
from conftest import SIZES, TABLES, refused
from PIL import Image

import daframework
from daframework.build import make_task
from daframework.data.checked import resize_image
from daframework.data.decode import image_size, read_image, read_label
from daframework.data.stream import to_float
from daframework.recipes.read import parse
from daframework.runs.rows import load_model
from daframework.runs.stages import execute
from daframework.storage.run_folder import RunFolder, open_folder

CLASSES = [("road", [1, 2, 3], 7), ("sky", [4, 5, 6], 23), ("tree", [7, 8, 9], 21)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, plugins, module_session):
    """A finished run that resizes what it sees, in a label space with ids."""
    from conftest import Recorder

    base = tmp_path_factory.mktemp("finished")
    entries = [{"name": name, "colour": colour, "id": number} for name, colour, number in CLASSES]
    (base / "numbered.toml").write_text(tomli_w.dumps({"classes": entries, "ignored_id": 0}))
    data = TABLES["data"] | {"resize": [16, 24], "classes": str(base / "numbered.toml")}
    recipe = parse(TABLES | {"data": data, "task": {"name": "pixels", "multiple": 8}}, "r")
    folder = open_folder(base / "run", recipe)
    execute(module_session(Recorder()), plugins, recipe, folder)
    return folder.path


def seen(plugins, session, path, row, image):
    """What the row's model sees in an image, written out: resized, predicted, brought back to size, decided."""
    from daframework.storage.run_folder import read_recipe

    folder = RunFolder(path)
    task = make_task(plugins, read_recipe(folder), 3)
    model = load_model(session(), task, folder, row)
    logits = model(to_float(resize_image(image, (16, 24))[None]))
    size = tuple(image.shape[1:])
    return torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)[0].argmax(0)


@pytest.mark.parametrize("row", ["tiny", "source_only", "oracle"])
def test_a_prediction_is_what_the_rows_model_sees_at_the_images_size(
    daf, finished, images, tmp_path, plugins, session, row
):
    out = tmp_path / "out"
    code, text, errors = daf("predict", finished, images, out, "--row", row)
    assert (code, errors) == (0, "") and f"4 predictions in {out}" in text
    written = {str(file.relative_to(out)): image_size(file) for file in out.rglob("*.png")}
    assert written == {name.rsplit(".", 1)[0] + ".png": size for name, size in SIZES.items()}
    for name in SIZES:
        expected = seen(plugins, session, finished, row, torch.from_numpy(read_image(images / name)))
        assert np.array_equal(read_label((out / name).with_suffix(".png")), expected)


def test_the_recipes_own_row_predicts_unless_another_is_named(daf, finished, images, tmp_path):
    daf("predict", finished, images, tmp_path / "own")
    daf("predict", finished, images, tmp_path / "named", "--row", "tiny")
    assert (tmp_path / "own" / "a.png").read_bytes() == (tmp_path / "named" / "a.png").read_bytes()


def test_ids_and_colours_are_those_of_the_label_space(daf, finished, images, tmp_path):
    for kind in ("index", "id", "colour"):
        assert daf("predict", finished, images, tmp_path / kind, "--write", kind)[0] == 0
    index = read_label(tmp_path / "index" / "a.png")
    assert np.array_equal(read_label(tmp_path / "id" / "a.png"), np.array([7, 23, 21])[index])
    colours = torch.tensor([colour for _, colour, _ in CLASSES], dtype=torch.uint8)
    assert np.array_equal(read_image(tmp_path / "colour" / "a.png").transpose(1, 2, 0), colours.numpy()[index])


def test_nothing_is_overwritten_without_being_asked(daf, finished, images, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("mine")
    refused(daf("predict", finished, images, out), r"a\.png is there already \(1 such files\); add --overwrite")
    assert (out / "a.png").read_text() == "mine" and len(list(out.rglob("*.png"))) == 1
    assert daf("predict", finished, images, out, "--overwrite")[0] == 0
    assert image_size(out / "a.png") == SIZES["a.png"]


def test_two_images_of_one_prediction_are_named(daf, finished, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    refused(daf("predict", finished, folder, tmp_path / "out"), r"a\.jpg and .*a\.png would both become .*a\.png")


def test_an_unknown_row_is_named_with_the_known_ones(daf, finished, images, tmp_path):
    refused(
        daf("predict", finished, images, tmp_path / "out", "--row", "orakle"),
        r"no row named 'orakle'; did you mean 'oracle'\? \(known: oracle, source_only, tiny\)",
    )


def test_a_run_without_results_is_named(daf, plugins, images, tmp_path, recipe):
    folder = open_folder(tmp_path / "unfinished", recipe)
    refused(daf("predict", folder.path, images, tmp_path / "out"), r"results\.json")


def test_classes_of_no_label_space_have_no_ids(daf, plugins, images, tmp_path, recipe, session):
    folder = open_folder(tmp_path / "run", recipe)
    execute(session(), plugins, recipe, folder)
    says = r"its classes road, sky, tree are those of no label space, so they have no ids; write indices"
    refused(daf("predict", folder.path, images, tmp_path / "out", "--write", "id"), says)
    assert daf("predict", folder.path, images, tmp_path / "out")[0] == 0
    assert daf("predict", folder.path, images, tmp_path / "colours", "--write", "colour")[0] == 0
    run = daframework.open(folder.path)
    indices, colours = (read_image(tmp_path / name / "a.png") for name in ("out", "colours"))
    assert np.array_equal(colours, np.array(run.palette, np.uint8)[indices[0]].transpose(2, 0, 1))


def test_what_is_wrong_with_one_image_does_not_stop_the_others(daf, finished, images, tmp_path):
    (images / "b.png").write_bytes((images / "a.png").read_bytes()[:-30])
    (images / "._a.png").write_bytes(b"as macOS leaves it")
    code, text, errors = daf("predict", finished, images, tmp_path / "out")
    assert code == 1 and "4 of 5 predictions in" in text
    refused((code, text, errors), r"b\.png: truncated or damaged")
    assert len([file for file in (tmp_path / "out").rglob("*") if file.is_file()]) == 4


def test_predictions_never_lie_among_the_images(daf, finished, images, tmp_path):
    before = (images / "a.png").read_bytes()
    for out in (images, images / "sub" / "new"):
        refused(daf("predict", finished, images, out, "--overwrite"), "whose images are to be read")
    assert (images / "a.png").read_bytes() == before
