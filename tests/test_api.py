"""``import daframework as daf``: what scripts and notebooks do, as the docs say, by the same code as the commands."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_docs
import torch
from conftest import Recorder
from image_files import picture
from PIL import Image

import daframework as daf
from daframework.data.decode import read_image, read_label
from daframework.errors import DataError, RecipeError, RunError

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_the_page_names_what_there_is():
    named = set(re.findall(r"`daf\.(\w+)", PAGE.read_text(encoding="utf-8")))
    assert named | {"Run", "__version__"} == set(daf.__all__) == set(dir(daf))
    assert all(getattr(daf, name) is not None for name in daf.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        daf.trian  # noqa: B018


@pytest.fixture
def daf_cli(request):
    """The command `daf`, whose fixture has the name of the module here."""
    return request.getfixturevalue("daf")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the tiny recipe."""
    import tomli_w
    from conftest import TABLES

    folder = tmp_path_factory.mktemp("api")
    (folder / "tiny.toml").write_text(tomli_w.dumps(TABLES))
    return folder


@pytest.fixture
def finished(installed, written):
    """The tiny recipe, run once."""
    return daf.run(daf.recipe(written / "tiny.toml", seed=3), written / "run")


def test_keys_are_set_and_the_others_stay(installed, written):
    recipe = daf.recipe(written / "tiny.toml", seed=3, translation={"steps": 3}, losses={"tiny_cycle": {"weight": 4}})
    plain = daf.recipe(written / "tiny.toml")
    assert (recipe.seed, recipe.translation.steps, recipe.translation.lr) == (3, 3, plain.translation.lr)
    assert {loss.name: loss.weight for loss in recipe.losses}["tiny_cycle"] == 4
    with pytest.raises(RecipeError, match=r"translation\.steps: must be a whole number, got 'x'"):
        daf.recipe(written / "tiny.toml", translation={"steps": "x"})
    with pytest.raises(RecipeError, match="no entry named 'cycel'"):
        daf.recipe(written / "tiny.toml", losses={"cycel": {"weight": 1}})
    with pytest.raises(RecipeError, match="not a file, and no recipe named 'tniy'"):
        daf.recipe("tniy")


def test_a_recipe_is_checked_and_run_and_its_rows_are_plain(installed, written, tmp_path):
    recipe, ear = daf.recipe(written / "tiny.toml", seed=3), Recorder()
    assert daf.check(recipe) == []
    run = daf.run(recipe, tmp_path / "run", listeners=[ear])
    assert "translation" in [stage for stage, _, _ in ear.stages]
    assert daf.run(recipe, tmp_path / "run").results == run.results == daf.open(tmp_path / "run").results
    rows = run.results.table()
    assert [row["method"] for row in rows] == ["source_only", "tiny", "oracle"]
    classes = [f"IoU/{name}" for name in run.results.classes]
    assert list(rows[1]) == ["method", "mIoU", "pixel_accuracy", *classes, "content_preservation", "mutual_information"]
    assert rows[1]["content_preservation"] is not None and rows[0]["content_preservation"] is None


@pytest.mark.parametrize("name", ["README.md", "docs/python.md", "docs/listeners.md", "docs/results.md"])
def test_python_on_a_page_runs(name, finished, written, tmp_path, monkeypatch, capsys):
    """With the tiny recipe and its run in place of those that the page names.

    Left out: plugins, which tests/test_docs.py runs, and benches, minutes each, whose arguments are checked there.
    """
    page = (PAGE.parents[1] / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"`(daf\.run\(recipe, .*\))`", page)  # what a sentence says of the block before
    ran = [block for block in blocks if "hookimpl" not in block and "daf.bench(" not in block]
    scores = finished.folder / "scores" / "tiny.pt"
    names = {"image": np.zeros((9, 12, 3), np.uint8), "recipe": daf.recipe(written / "tiny.toml")}
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    for block in ran:
        block = block.replace('"semantic_cyclegan"', repr(str(written / "tiny.toml"))).replace("300", "4")
        block = block.replace('"runs/cyclegan/seed0/scores/cyclegan.pt"', repr(str(scores)))
        exec(compile(block, name, "exec"), names)
    told = capsys.readouterr().out
    assert ran and ("translated" not in names or names["translated"].shape == (9, 12, 3))
    reached = f"tensor({finished.results.rows[1].scores.primary:.4f}"
    wanted = {"docs/listeners.md": "translation: 0 of 4 steps are done", "docs/results.md": reached}
    assert wanted.get(name, "") in told


def test_commands_on_the_pages_that_only_read_run(finished, written, daf_cli):
    """With the tiny recipe as mine.toml and its run as those that the pages name.

    The others are parsed alone, in tests/test_docs.py: they train, render or check what ships for minutes, need data to
    download, another machine or a package that a page writes, or delete.
    """
    lines = {line for name in test_docs.NAMES for line in test_docs.commands(name)}
    reads = (
        r"daf (--version|doctor|report |diff |data list|recipes|plugins$|plugins (generator:resnet|dataset:(acdc|im))|"
    )
    reads += r"(data )?check mine|data preview mine)"
    ran = sorted(line for line in lines if re.match(reads, re.sub(r" *#.*", "", line)))
    Path("mine.toml").write_bytes((written / "tiny.toml").read_bytes())
    for run in ("semantic_cyclegan/seed0", "cyclegan/seed0", "cyclegan/seed1"):
        shutil.copytree(finished.folder, Path("runs", run))
    assert len(ran) > 15
    for line in ran:
        code, out, errors = daf_cli(*shlex.split(line.partition(" >")[0], comments=True)[1:])
        # A machine may have something to tell of.
        assert out and (code == 0 or line.startswith("daf doctor")), f"{line}\n{errors}"


def test_three_lines_translate_an_image_in_a_fresh_interpreter(finished, tmp_path, monkeypatch):
    run = finished
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    Image.fromarray(picture(shape=(5, 7, 3))).save(tmp_path / "a.png")
    script = (
        "import daframework as daf; from PIL import Image\n"
        f"run = daf.open({str(run.folder)!r})\n"
        f"run.translate(Image.open({str(tmp_path / 'a.png')!r})).save({str(tmp_path / 'b.png')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert Image.open(tmp_path / "b.png").size == (7, 5)


def test_every_kind_of_image_is_translated_alike_and_given_back_as_it_came(finished, daf_cli, tmp_path):
    run = finished
    (tmp_path / "images").mkdir()
    Image.fromarray(array := picture(shape=(9, 13, 3))).save(tmp_path / "images" / "a.png")
    assert daf_cli("translate", run.folder, tmp_path / "images", tmp_path / "out")[0] == 0
    expected = torch.from_numpy(read_image(tmp_path / "out" / "a.png"))
    assert run.translate_folder(tmp_path / "images", tmp_path / "by_script") == 1
    assert np.array_equal(read_image(tmp_path / "by_script" / "a.png"), expected)
    as_array = expected.permute(1, 2, 0).numpy()
    tensor = torch.from_numpy(array).permute(2, 0, 1)

    made = run.translate(Image.fromarray(array))
    assert made.mode == "RGB" and np.array_equal(np.array(made), as_array)
    assert np.array_equal(run.translate(array), as_array) and run.translate(array).dtype == np.uint8
    assert np.array_equal(run.translate(np.stack([array, array]))[1], as_array)
    assert torch.equal(run.translate(tensor), expected) and torch.equal(run.translate(tensor[None])[0], expected)
    floats = run.translate(array / 255)
    assert floats.dtype == np.float64 and np.abs(floats * 255 - as_array).max() < 0.51
    floats = run.translate(tensor.float() / 127.5 - 1)
    assert floats.dtype == torch.float32 and float(((floats + 1) * 127.5 - expected).abs().max()) < 0.51
    first, second = run.translate([array, Image.fromarray(array[:3, :2])])
    assert np.array_equal(first, as_array) and second.size == (2, 3)
    assert run.generator()(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_predictions_are_those_of_the_command(finished, daf_cli, tmp_path):
    run = finished
    (tmp_path / "images").mkdir()
    Image.fromarray(array := picture(shape=(9, 13, 3))).save(tmp_path / "images" / "a.png")
    assert daf_cli("predict", run.folder, tmp_path / "images", tmp_path / "out", "--row", "oracle")[0] == 0
    expected = torch.from_numpy(read_label(tmp_path / "out" / "a.png")).long()
    assert run.predict_folder(tmp_path / "images", tmp_path / "by_script", row="oracle") == 1
    assert np.array_equal(read_label(tmp_path / "by_script" / "a.png"), expected)
    with pytest.raises(DataError, match="there already"):
        run.predict_folder(tmp_path / "images", tmp_path / "by_script")
    assert torch.equal(run.predict(array, row="oracle"), expected)
    assert torch.equal(run.predict(np.stack([array, array]), row="oracle")[1], expected)
    assert torch.equal(run.predict([Image.fromarray(array)], row="oracle")[0], expected)
    assert run.model("oracle")(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    "image, got",
    [
        (np.zeros((4, 4), np.uint8), r"got ndarray of shape \(4, 4\) and uint8"),
        (np.zeros((4, 4, 3), np.int64), "got ndarray of shape .* and int64"),
        (np.full((4, 4, 3), 255.0), "got floats from 255 to 255"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), r"got Tensor of shape \(4, 4, 3\)"),
        (torch.full((3, 4, 4), float("nan")), "got floats from nan to nan"),
        ("a.png", "got str"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is_one(finished, image, got):
    with pytest.raises(DataError, match=rf"an image must be a PIL image, .*, {got}"):
        finished.translate(image)


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32])
def test_a_picture_that_does_not_say_what_is_white_is_refused(finished, values):
    with pytest.raises(DataError, match=r"a PIL image of mode (I;16|I|F) does not say what is black and what white"):
        finished.predict(Image.fromarray(picture(shape=(9, 13)).astype(values)))


def test_a_folder_that_is_no_run_or_not_finished_says_which(finished, installed, written, tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        daf.open(tmp_path)
    run = finished
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.toml").write_bytes((run.folder / "recipe.toml").read_bytes())
    begun = daf.open(tmp_path / "begun", device="cpu")
    with pytest.raises(RunError, match=r"results\.json: cannot be read.*has the run finished"):
        begun.results  # noqa: B018
    with pytest.raises(RunError, match="holds no trained generator; has its translation finished"):
        begun.translate(np.zeros((4, 4, 3), np.uint8))
