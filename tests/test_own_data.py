"""The page on one's own data, worked from start to table on files as it describes them."""

import json
import re
from pathlib import Path

import pytest
import tiny
from PIL import Image

from daframework.data.decode import image_size, read_image, write_image, write_label
from daframework.recipes.read import read

PAGE = (Path(__file__).parents[1] / "docs" / "own_data.md").read_text(encoding="utf-8")
RECIPE = re.search(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
SMALL = [
    *("data.resize=[24, 32]", "data.crop_size=[24, 32]", "generator.channels=2", "generator.blocks=1"),
    *("discriminator.channels=4", "translation.steps=2", "downstream.steps=2", "downstream.batch_size=2"),
    *("task.arch_options={encoder_depth=3, decoder_channels=[8, 8, 4]}", "hardware.accelerator='cpu'"),
]


def settings(*more):
    return [part for one in (*SMALL, *more) for part in ("--set", one)]


@pytest.fixture
def files(daf):
    """The tree of the page, in the working folder, and the recipe of the page."""
    for folder, look, ending, labelled in (
        ("renderings", "bright", "png", True),
        ("photos/train", "dark", "jpg", False),
        ("photos/test", "dark", "jpg", True),
    ):
        for index, sample in enumerate(tiny.blocks(split=Path(folder).name, look=look, images=6, size=(30, 44))):
            write_image(Path(folder) / "images" / f"{index:04d}.{ending}", sample.image)
            if labelled:
                write_label(Path(folder) / "labels" / f"{index:04d}.png", sample.label)
            if index == 5:
                break
    Path("mine.toml").write_text(RECIPE)


def commands():
    """The lines of the page that are typed, in order."""
    return [
        line
        for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def test_the_page_from_start_to_table(daf, files):
    assert [line.split()[1:3] for line in commands()] == [
        *(["init", "--source"], ["data", "check"], ["data", "preview"], ["check", "mine.toml"], ["run", "mine.toml"]),
        *(["predict", "runs/mine/seed0"], ["run", "mine.toml"]),
    ]
    Path("mine.toml").rename("by_hand.toml")
    assert daf("init", "--source", "renderings", "--target", "photos")[0] == 0
    looked_at, by_hand = (read(Path(name)) for name in ("mine.toml", "by_hand.toml"))
    assert looked_at.source.options["ids"].keys() == by_hand.source.options["ids"].keys()
    assert looked_at.downstream.score and not looked_at.downstream.oracle
    Path("by_hand.toml").replace("mine.toml")
    code, text, errors = daf("data", "check", "mine.toml")
    assert code == 0, text + errors
    code, text, errors = daf("data", "preview", "mine.toml")
    assert code == 0, errors
    code, text, errors = daf("check", "mine.toml")
    assert (code, errors) == (0, "") and "mine is sound" in text
    code, text, errors = daf("run", "mine.toml", *settings())
    assert code == 0, errors
    rows = json.loads(Path("runs/mine/seed0/results.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["source_only", "mine"]
    assert all(0 <= row["mIoU"] <= 1 for row in rows) and "mine" in text
    assert daf("predict", "runs/mine/seed0", "photos/train/images", "predictions", "--write", "index")[0] == 0
    assert image_size(Path("predictions/0003.png")) == (30, 44)
    assert daf("translate", "runs/mine/seed0", "renderings/images", "translated")[0] == 0
    assert read_image(Path("translated/0000.png")).shape == (3, 30, 44)


def test_without_any_label_of_the_target_everything_but_the_scores_is_there(daf, files):
    for path in Path("photos/test/labels").iterdir():
        path.unlink()
    Path("photos/test/labels").rmdir()
    code, _, errors = daf("run", "mine.toml", *settings())
    assert code == 1 and "photos/test/labels: no such folder" in errors
    code, text, errors = daf("run", "mine.toml", *settings("downstream.score=false"))
    assert code == 0, errors
    says = "nothing was scored, as downstream.score = false asks; daf predict uses the models"
    assert says in text
    rows = json.loads(Path("runs/mine/seed0/results.json").read_text())["rows"]
    assert [row["mIoU"] for row in rows] == [None, None]
    assert daf("predict", "runs/mine/seed0", "photos/train/images", "predictions")[0] == 0
    assert len(list(Path("predictions").iterdir())) == 6
    code, text, _ = daf("report", "runs/mine/seed0")
    assert code == 0 and says in text


def test_the_first_wrong_file_is_named_before_anything_is_trained(daf, files):
    Image.new("L", (44, 31)).save("renderings/labels/0003.png")
    code, text, _ = daf("data", "check", "mine.toml")
    assert code == 1 and "0003.png: 31 x 44 pixels" in re.sub(r"\s+", " ", text)
