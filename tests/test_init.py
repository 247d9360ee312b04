"""A recipe to edit, and one for two folders as they lie there."""

import re
import tomllib
from pathlib import Path

import pytest
import tiny
import torch
from conftest import refused
from image_files import write

from daframework.data.decode import write_image, write_label
from daframework.recipes.draft import draft
from daframework.recipes.read import offered_files, parse, read
from daframework.registry import load_plugins
from daframework.runs.datasets import open_datasets

SIZE = (48, 64)
OFFERED = {name: file for name, file, _ in offered_files(load_plugins())}


@pytest.mark.parametrize("name", OFFERED)
def test_a_draft_is_the_same_recipe_and_so_it_is_with_every_default_written_out(name):
    text = draft(OFFERED[name].read_text(), name)
    assert parse(tomllib.loads(text), "draft") == read(OFFERED[name])
    full = re.sub(r"(?m)^# (\w+ = (?!\(not set\)).*)$", r"\1", text)
    assert full != text and parse(tomllib.loads(full), "full") == read(OFFERED[name])


def test_a_recipe_is_written_under_its_files_name_and_nothing_is_overwritten(daf):
    code, out, _ = daf("init", "cyclegan", "--out", "my_first.toml")
    assert code == 0 and "daf check my_first.toml" in out
    text = Path("my_first.toml").read_text()
    assert read(Path("my_first.toml")).name == "my_first" and "# mirror an image" in text
    refused(daf("init", "--out", "my_first.toml"), r"my_first\.toml is there already; give another file with --out")
    assert Path("my_first.toml").read_text() == text
    refused(daf("init", "cyclegn"), "did you mean 'cyclegan'")
    Path("file").touch()
    refused(daf("init", "--out", "file/x.toml"), "file")
    assert daf("init", "--source", ".")[0] == 2 and daf("init", "--out", "x.json")[0] == 2


def images(folder, look, name="{:04d}.png", count=4):
    for index in range(count):
        write_image(folder / name.format(index), tiny.blocks(split="train", look=look, size=SIZE)[index].image)


def labels(folder, name="{:04d}.png", count=4, *, to=lambda label: label):
    for index in range(count):
        label = to(tiny.blocks(split="train", size=SIZE)[index].label)
        file = folder / name.format(index)
        if label.ndim == 2:
            write_label(file, label)
        else:
            write(file, label)


def coloured(label):
    return torch.tensor([[9, 8, 7], [70, 130, 180], [0, 200, 0]])[label.long().clamp(max=2)].byte()


def in_red(label):
    return torch.stack([label, torch.zeros_like(label), torch.zeros_like(label)], -1)


@pytest.mark.parametrize(
    "image, label, to, given, says",
    [
        ("images/{:04d}.png", "labels/{:04d}.png", lambda one: one, [], "ids 0 1 2 255 "),
        ("rgb/a/{:04d}_left.png", "gt/a/{:04d}_ids.png", lambda one: one, [], "ids 0 1 2 255 "),
        ("img/rgb_{:04d}.jpg", "seg/sem_{:04d}.png", lambda one: one, [], "ids 0 1 2 255 "),
        ("{:04d}.jpg", "../elsewhere/{:04d}.png", coloured, ["--labels", "elsewhere"], "colours 0,200,0 9,8,7 70,1"),
        ("images/{:04d}.png", "semantic/{:04d}.png", in_red, [], "ids in the red channel 0 1 2 255 "),
    ],
    ids=["plain", "endings", "beginnings", "colours elsewhere", "red channel"],
)
def test_two_folders_give_a_recipe_that_reads_every_label(daf, image, label, to, given, says):
    images(Path("game"), "bright", image)
    labels(Path("game"), label, to=to)
    images(Path("photos"), "dark", "{}.jpg", 3)
    code, out, errors = daf("init", "semantic_cut", "--source", "game", "--target", "photos", *given)
    assert (code, errors) == (0, ""), errors
    assert says in out and "source: 4 images in game" in out and "target: 3 images in photos, 48 x 64" in out
    assert "nothing can be scored" in out
    datasets = open_datasets(load_plugins(), read(Path("mine.toml")))
    assert len(datasets.source) == 4 and len(datasets.target) == 3
    assert datasets.source.problems(labelled=True) == []
    drawn = tiny.blocks(split="train", size=SIZE)
    for index in range(4):
        label = datasets.source[index].label
        assert to is coloured or torch.equal(label, drawn[index].label)


def test_a_target_with_labelled_test_images_is_scored(daf):
    images(Path("game/images"), "bright")
    labels(Path("game/labels"), to=lambda label: label.clamp(max=1))
    images(Path("photos/train/images"), "dark")
    images(Path("photos/test/images"), "dark", "t{}.png")
    labels(Path("photos/test/labels"), "t{}.png")
    assert daf("init", "--source", "game", "--target", "photos", "--out", "own.toml")[0] == 0
    recipe = read(Path("own.toml"))
    assert recipe.downstream.score and not recipe.downstream.oracle
    assert recipe.source.options["ids"] == {"0": "class_0", "1": "class_1", "2": "class_2", "255": "ignore"}
    assert recipe.data.crop_size == SIZE and recipe.name == "own"
    code, out, errors = daf("check", "own.toml")
    assert (code, errors) == (0, "") and "own is sound" in out


def binary(label, white=255):
    return (label == 1).to(torch.uint8) * white


def test_splits_within_the_folder_of_images_are_kept_apart(daf):
    for folder, look in (("game", "bright"), ("photos", "dark")):
        for split, count in (("train", 4), ("val", 2)):
            images(Path(f"{folder}/leftImg8bit/{split}/a"), look, "{:04d}_leftImg8bit.png", count)
            labels(Path(f"{folder}/gtFine/{split}/a"), "{:04d}_labelIds.png", count)
    code, out, _ = daf("init", "--source", "game", "--target", "photos")
    assert code == 0 and "target val: 2 images in photos/leftImg8bit/val" in out
    recipe = read(Path("mine.toml"))
    datasets = open_datasets(load_plugins(), recipe)
    assert recipe.downstream.score and recipe.downstream.oracle
    assert [len(one) for one in (datasets.source, datasets.target, datasets.target_test)] == [4, 4, 2]
    assert all(one.problems(labelled=True) == [] for one in (datasets.source, datasets.target, datasets.target_test))


def test_of_splits_within_the_images_any_may_lack_labels_and_none_of_the_sources_tests_is_looked_at(daf):
    for folder, labelled in (("game", "train"), ("photos", "val")):
        for split in ("train", "val"):
            images(Path(f"{folder}/images/{split}"), "bright")
        labels(Path(f"{folder}/labels/{labelled}"))
    Path("game/images/test").mkdir()
    code, _, errors = daf("init", "--source", "game", "--target", "photos")
    assert code == 0, errors
    downstream = read(Path("mine.toml")).downstream
    assert downstream.score and not downstream.oracle


def test_the_sources_test_images_need_no_labels(daf):
    images(Path("game/train"), "bright")
    images(Path("game/test"), "bright")
    labels(Path("ids/train"))
    images(Path("photos"), "dark")
    code, _, errors = daf("init", "--source", "game", "--labels", "ids", "--target", "photos")
    assert code == 0, errors


def test_255_alone_beside_labels_of_0_and_1_is_ignored(daf):
    images(Path("game/images"), "bright")
    labels(Path("game/labels"), to=lambda label: binary(label, white=1))
    for split, to in (("train", lambda label: label * 0 + 255), ("test", lambda label: binary(label, white=1))):
        images(Path(f"photos/{split}/images"), "dark")
        labels(Path(f"photos/{split}/labels"), to=to)
    assert daf("init", "--source", "game", "--target", "photos")[0] == 0
    assert read(Path("mine.toml")).source.options["ids"] == {"0": "class_0", "1": "class_1", "255": "ignore"}


def test_masks_of_0_and_255_and_of_0_and_1_are_of_the_same_two_classes(daf):
    images(Path("game/images"), "bright")
    labels(Path("game/labels"), to=binary)
    for split in ("train", "test"):
        images(Path(f"photos/{split}/images"), "dark")
        labels(Path(f"photos/{split}/labels"), to=lambda label: binary(label, white=1))
    assert daf("init", "--source", "game", "--target", "photos")[0] == 0
    recipe = read(Path("mine.toml"))
    for domain in (recipe.source, recipe.target):
        assert domain.options["ids"] == {"0": "background", "1": "foreground", "255": "foreground"}
        assert domain.options["classes"] == ["background", "foreground"]


def shifted(label):
    return label.clamp(max=2) + 30  # ids of instances, as Cityscapes has them beside those of classes


def cities(folder, image, **kinds):
    for city in ("aachen", "bochum"):
        images(folder / "images" / city, "bright", image)
        for ending, to in kinds.items():
            labels(folder / "labels" / city, f"{{:04d}}{ending}.png", to=to)


def plain(label):
    return label


LAYOUTS = {
    "of a city each": (lambda: cities(Path("game"), "{:04d}.png", **{"": plain}), [], "class_0 class_1 class_2 ignore"),
    "by both folders": (
        lambda: cities(Path("game"), "{:04d}_leftImg8bit.png", _instanceIds=shifted, _labelIds=plain),
        ["--source", "game/images", "--labels", "game/labels"],
        "class_0 class_1 class_2 ignore",
    ),
    "binary masks": (
        lambda: (images(Path("game/images"), "bright"), labels(Path("game/labels"), to=binary)),
        [],
        "background foreground",
    ),
    "train and val": (
        lambda: [
            (images(Path(f"game/{split}/images"), "bright"), labels(Path(f"game/{split}/labels")))
            for split in ("train", "val")
        ],
        [],
        "class_0 class_1 class_2 ignore",
    ),
    "train and val within": (
        lambda: [
            (images(Path(f"game/images/{split}"), "bright"), labels(Path(f"game/labels/{split}")))
            for split in ("train", "val")
        ],
        [],
        "class_0 class_1 class_2 ignore",
    ),
    "train elsewhere": (
        lambda: (images(Path("game/train"), "bright"), labels(Path("ids/train"), to=coloured)),
        ["--labels", "ids"],
        "class_0_200_0 class_9_8_7 class_70_130_180",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_field_give_recipes_that_daf_check_accepts(daf, layout):
    lay, given, meanings = LAYOUTS[layout]
    lay()
    images(Path("photos/a"), "dark", "{}.jpg", 2)
    images(Path("photos/b"), "dark", "{}.jpg", 2)
    code, out, errors = daf("init", "--source", "game", "--target", "photos", *given)
    assert (code, errors) == (0, "") and "target: 4 images in photos" in out
    code, out, errors = daf("check", "mine.toml")
    assert (code, errors) == (0, "") and "mine is sound" in out
    source = read(Path("mine.toml")).source.options
    assert [*source.get("ids", source.get("colours")).values()] == meanings.split()


@pytest.mark.parametrize(
    "recipe, to, says",
    [
        ("cyclegan", lambda label: label[:40], r"mine\.toml is not written: game/labels/0000\.png: 40 x 64 pixels"),
        ("depth_semantic_cyclegan", plain, r"not written: only labels of classes are looked for, not 'depth'"),
        ("broken.toml", plain, r"not written: .*no generator named 'gone'"),
    ],
)
def test_a_recipe_that_daf_check_would_refuse_is_not_written(daf, recipe, to, says):
    images(Path("game/images"), "bright")
    labels(Path("game/labels"), to=to)
    images(Path("photos"), "dark", "{}.jpg", 2)
    Path("broken.toml").write_text(OFFERED["cyclegan"].read_text().replace('name = "resnet"', 'name = "gone"'))
    refused(daf("init", recipe, "--source", "game", "--target", "photos"), says)
    assert not Path("mine.toml").exists()


def test_a_target_without_labels_gives_a_recipe_that_daf_check_accepts(daf):
    images(Path("game/images"), "bright")
    labels(Path("game/labels"))
    images(Path("photos"), "dark", "{}.jpg")
    assert daf("init", "color_transfer", "--source", "game", "--target", "photos")[0] == 0
    code, out, errors = daf("check", "mine.toml")
    assert (code, errors) == (0, "") and "mine is sound" in out


def test_what_cannot_be_a_domain_is_named_and_nothing_is_written(daf):
    images(Path("game/images"), "bright")
    labels(Path("game/labels"), "other_{}_x.png")
    images(Path("photos"), "dark")
    images(Path("many/a"), "dark")
    images(Path("many/b"), "dark")
    Path("empty").mkdir()
    labels(Path("all_ignored"), to=lambda label: torch.full_like(label, 255))

    def init(source, target, *more):
        return daf("init", "--source", source, "--target", target, *more)

    refused(init("photos", "photos", "--labels", "game/labels"), "are one folder, photos")
    refused(init("game", "photos"), r"no label belongs to an image .* such as other_0_x\.png to 0000\.png")
    refused(init("photos", "empty", "--labels", "all_ignored"), "empty: holds no images")
    refused(init("photos", "gone", "--labels", "all_ignored"), "gone: no such folder")
    refused(init("empty", "photos"), "empty: holds no images")
    refused(init("photos", "many"), "photos: has no folder of labels")
    refused(init("many", "photos"), "many: has no folder of labels")
    refused(init("photos", "game/images", "--labels", "all_ignored"), "no pixel is labelled in the 4 files read")
    refused(init("photos", "game/images", "--labels", "gone"), "gone: no such folder of labels")
    refused(init("photos", "game/images", "--labels", "photos"), "holds the images too")
    images(Path("rides/a/images"), "dark")
    labels(Path("rides/a/labels"))
    refused(
        init("rides", "photos"), "rides: holds labels among its images, such as a/labels/0000.png; name both folders"
    )
    refused(init("photos", "rides", "--labels", "gone"), "gone: no such folder of labels")
    labels(Path("half"), count=2)
    refused(init("photos", "game/images", "--labels", "half"), "2 of 4 images of photos have no label")
    assert not list(Path().glob("*.toml"))
