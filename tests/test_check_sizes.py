"""A recipe that is called sound trains at its batch and crop, and takes every image that it is given whole."""

from itertools import pairwise

import pytest
import tiny
import torch
from image_files import picture, write
from torch import nn

from daframework import hookimpl
from daframework.data.checks.sizes import survey_sizes, telling_sizes
from daframework.errors import RecipeError
from daframework.interfaces import Discriminator, DiscriminatorOutput, Generator
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.check import check

SHALLOW = {"encoder_depth": 3, "decoder_channels": [8, 8, 8]}


class Narrowing(Generator):
    """A batch norm over what a crop of 16 x 24 leaves: one pixel."""

    smallest = 24

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, (16, 24), stride=(16, 24)), nn.BatchNorm2d(3))

    def forward(self, image):
        return torch.tanh(nn.functional.interpolate(self.body(image), image.shape[-2:]))


class Patches(nn.Module):
    """Takes images of one size alone, unless told."""

    def __init__(self, num_classes, img_size=(16, 24), dynamic_img_size=False) -> None:
        super().__init__()
        self.size = None if dynamic_img_size else tuple(img_size)
        self.body = nn.Conv2d(3, num_classes, 1)

    def forward(self, image):
        if self.size not in (None, tuple(image.shape[-2:])):
            raise AssertionError(f"made for {self.size}")
        return self.body(image)


class FixedTask(tiny.Pixels):
    def __init__(self, *, num_classes, encoder_options=None):
        super().__init__(num_classes, 3, 1)
        self.options = encoder_options or {}

    def model(self):
        return Patches(self.num_classes, **self.options)


class Looking(tiny.Pixels):
    """Looks at an image's values, which the meta device does not have; takes images of at most 40 pixels a row."""

    def model(self):
        class Model(nn.Module):
            def __init__(self, body):
                super().__init__()
                self.body = body

            def forward(self, image):
                if image.shape[-1] > 40:
                    raise ValueError("too wide")
                return self.body(image) * (1 if float(image.mean()) > 0 else 2)

        return Model(super().model())


class LeastTask(tiny.Pixels):
    smallest = 16

    def model(self):
        return nn.Sequential(nn.AvgPool2d(16), nn.Conv2d(3, self.num_classes, 1), nn.Upsample(scale_factor=16))


class FixedJudge(Discriminator):
    def __init__(self, *, num_classes, segments: bool) -> None:
        super().__init__()
        self.body, self.has_semantics = Patches(num_classes), segments

    def forward(self, image):
        logits = self.body(image)
        return DiscriminatorOutput(logits[:, :1], logits if self.has_semantics else None)


class Parts:
    @hookimpl
    def daf_discriminators(self):
        return {"fixed": FixedJudge}

    @hookimpl
    def daf_generators(self):
        return {"narrowing": Narrowing}

    @hookimpl
    def daf_tasks(self):
        return {
            "fixed": FixedTask,
            "least": lambda *, num_classes: LeastTask(num_classes, 3, 8),
            "looking": lambda *, num_classes: Looking(num_classes, 3, 1),
        }

    @hookimpl
    def daf_datasets(self):
        return {"halved": Halved}


class Halved(tiny.Blocks):
    """Shrinks what its files hold."""

    def __init__(self, *, split: str, root: str) -> None:
        super().__init__("bright", split, 6, (32, 48), tiny.CLASSES)
        self.root = root

    def file(self, index):
        return self.root / f"{index}.png"


@pytest.fixture(scope="module")
def parts():
    return load_plugins(extra={"tiny": tiny, "parts": Parts()})


def problems(plugins, tables):
    """Those of a recipe, without its name; none if it is sound."""
    try:
        assert check(plugins, parse(tables, "r"), "r") == []
    except RecipeError as error:
        return [line.removeprefix("r: ") for line in error.problems]
    return []


def own_images(folder, sizes):
    """A folder of pairs of these heights and widths, and its dataset as a recipe names it."""
    for index, size in enumerate(sizes):
        write(folder / "images" / f"{index}.png", picture(index, (*size, 3)))
        write(folder / "labels" / f"{index}.png", picture(index, size) % 2)
    return {"name": "image_folder", "root": str(folder), "classes": ["a", "b"], "ids": {"0": "a", "1": "b"}}


# --- training ---


@pytest.mark.parametrize(
    "task, batch, remedies",
    [
        ({"arch": "deeplabv3plus"}, 1, "; set downstream.batch_size = 2 or more"),
        ({"arch": "unet"}, 1, "; set downstream.batch_size = 2 or more, or data.crop_size = [64, 64]"),
        ({"arch": "deeplabv3plus"}, 2, None),
        ({"arch": "unet", "arch_options": SHALLOW}, 1, None),
    ],
)
def test_a_batch_that_batch_norm_cannot_train_on_comes_with_what_would_do(plugins, source_only, task, batch, remedies):
    source_only["task"] = {"name": "segmentation", **task}
    source_only["data"]["crop_size"] = [32, 32]
    source_only["downstream"]["batch_size"] = batch
    for domain in ("source", "target"):
        source_only[domain]["size"] = [64, 64]
    found = problems(plugins, source_only)
    if remedies is None:
        assert found == []
    else:
        (problem,) = found
        start = (
            "downstream.batch_size: task 'segmentation' cannot be trained on 1 crop of 32 x 32 at a time: ValueError: "
        )
        assert problem.startswith(start) and problem.endswith(remedies), problem


def test_the_translations_networks_are_tried_at_their_own_batch(parts, tables):
    tables["generator"] = {"name": "narrowing"}
    assert problems(parts, tables) == []
    tables["data"]["batch_size"] = 1
    (problem,) = problems(parts, tables)
    assert problem.startswith("data.batch_size: generator 'narrowing' cannot be trained on 1 crop of 16 x 24 at a time")
    assert problem.endswith("; set data.batch_size = 2 or more, or data.crop_size = [32, 48]")


def test_a_batch_of_all_ranks_is_what_batch_norm_sees(parts, tables, monkeypatch):
    monkeypatch.setattr("daframework.runs.check_networks.count_ranks", lambda: 2)
    tables["generator"], tables["data"]["batch_size"] = {"name": "narrowing"}, 1
    assert problems(parts, tables) == []


# --- whole images ---


def test_a_network_of_one_size_is_refused_for_the_images_that_are_scored(parts, source_only):
    source_only["task"] = {"name": "fixed"}
    (problem,) = problems(parts, source_only)
    assert problem == (
        "data.resize: task 'fixed' takes crops of 16 x 24, but not the whole images of target test, as they are "
        "scored: 32 x 48 (test/0), AssertionError: made for (16, 24); set data.resize = [16, 24] or "
        "task.encoder_options.dynamic_img_size = true"
    )
    source_only["task"]["encoder_options"] = {"dynamic_img_size": True}
    assert problems(parts, source_only) == []
    source_only["task"], source_only["data"]["resize"] = {"name": "fixed"}, [16, 24]
    assert problems(parts, source_only) == []


def test_a_network_of_another_size_than_the_crop_is_named_with_its_option(parts, source_only):
    source_only["task"] = {"name": "fixed"}
    source_only["data"] |= {"crop_size": [8, 8], "resize": [8, 8]}
    (problem,) = problems(parts, source_only)
    assert problem.startswith("data.crop_size: task 'fixed' cannot take 8 x 8: AssertionError: made for (16, 24); set ")
    assert problem.endswith("task.encoder_options.dynamic_img_size = true")


def test_whole_images_are_tried_at_the_least_that_a_run_pads_them_to(parts, source_only, tmp_path):
    own = own_images(tmp_path / "train", [(16, 32), (16, 32)])
    own_images(tmp_path / "test", [(5, 30), (1, 64)])
    target = own | {"root": str(tmp_path), "train_folder": "train", "test_folder": "test"}
    source_only |= {"source": own, "target": target, "task": {"name": "least"}}
    source_only["data"]["crop_size"] = [16, 32]
    assert problems(parts, source_only) == []


def test_source_images_are_tried_where_an_oracle_judges_their_content(parts, tables):
    tables["task"] = {"name": "fixed"}
    tables["target"]["size"] = [16, 24]
    (problem,) = problems(parts, tables)
    assert "the whole images of source, for content preservation: 32 x 48 (train/0)" in problem
    tables["downstream"]["oracle"] = False
    assert problems(parts, tables) == []


def test_a_discriminator_is_tried_on_the_whole_images_that_it_segments(parts, tables):
    tables["discriminator"] = {"name": "fixed", "segments": False}
    assert problems(parts, tables) == []
    tables["discriminator"]["segments"] = True
    (problem,) = problems(parts, tables)
    assert (
        "discriminator 'fixed' takes crops of 16 x 24, but not the whole images of source, as samples are dra"
        in problem
    )


def test_where_nothing_is_scored_what_predict_cannot_take_is_a_warning(parts, source_only, capsys):
    source_only["task"] = {"name": "fixed"}
    source_only["downstream"]["score"] = source_only["downstream"]["oracle"] = False
    assert problems(parts, source_only) == []
    assert "the whole images of target, as daf predict gives them: 32 x 48 (train/0)" in capsys.readouterr().err


def test_a_network_that_looks_at_values_is_tried_on_the_cpu(parts, source_only, capsys):
    source_only["task"] = {"name": "looking"}
    (problem,) = problems(parts, source_only)
    assert "task 'looking' takes crops of 16 x 24, but not" in problem and "ValueError: too wide" in problem
    source_only["target"]["size"] = [32, 40]
    assert problems(parts, source_only) == [] and capsys.readouterr().err == ""
    source_only["target"]["size"] = source_only["source"]["size"] = [30_000, 40]
    source_only["data"]["crop_size"] = [29_000, 40]
    assert problems(parts, source_only) == []
    assert "task 'looking' looks at values, and is not tried on images of 29000 x 40" in capsys.readouterr().err


def test_every_size_among_the_test_images_is_tried(parts, source_only, tmp_path):
    own = own_images(tmp_path, [(32, 48), (16, 24), (32, 48)])
    source_only |= {"source": own, "target": own, "task": {"name": "fixed"}}
    (problem,) = problems(parts, source_only)
    assert f"32 x 48 ({tmp_path}/images/0.png)" in problem
    own_images(tmp_path, [(16, 24), (16, 24), (16, 25)])
    (problem,) = problems(parts, source_only)
    assert f"16 x 25 ({tmp_path}/images/2.png)" in problem


# --- what the crop demands of images ---


def test_every_image_smaller_than_the_crop_is_found(daf, write, source_only, tmp_path):
    own = own_images(tmp_path / "own", [(48, 64)] * 3 + [(24, 40)] + [(48, 64)] * 2)
    path = write(source_only | {"source": own, "data": {"crop_size": [32, 48], "batch_size": 1}, "target": own})
    code, _, errors = daf("check", path)
    assert code == 1
    assert [line.partition("data.crop_size: ")[2] for line in errors.splitlines()] == [
        f"32 x 48 (height x width) is larger than 1 of the 6 images of {domain}, 24 x 40 "
        f"({tmp_path}/own/images/3.png); lower it, or set data.resize"
        for domain in ("source", "target")
    ]
    code, out, _ = daf("data", "check", path, "--workers", 0)
    small = [line for line in out.splitlines() if line.startswith("error: ") and "crop_size" in line]
    assert (
        code == 1
        and small
        == [
            f"error: {tmp_path}/own/images/3.png: 24 x 40 pixels (height x width), smaller than data.crop_size, "
            "32 x 48; take it away, lower the crop or set data.resize"
        ]
        * 2
    )
    fits = ("--set", "data.resize=[32, 48]")
    assert daf("check", path, *fits)[0] == 0
    assert "crop_size" not in daf("data", "check", path, "--workers", 0, *fits)[1]


def test_a_file_whose_header_is_damaged_and_a_first_label_with_an_unknown_id_are_refused(
    plugins, source_only, tmp_path
):
    own, other = own_images(tmp_path / "own", [(32, 48)] * 4), own_images(tmp_path / "other", [(32, 48)] * 2)
    (tmp_path / "own/images/2.png").write_bytes(b"no image")
    write(tmp_path / "other/labels/0.png", picture(0, (32, 48)))
    label, image = problems(plugins, source_only | {"source": own, "target": other})
    assert label.startswith(f"{tmp_path}/other/labels/0.png: ids ") and "are not in the id map" in label
    assert image.startswith(f"{tmp_path}/own/images/2.png: not an image")


def test_headers_are_passed_over_where_a_dataset_gives_images_of_another_size(tmp_path):
    for index in range(6):
        write(tmp_path / f"{index}.png", picture(index, (64, 96, 3)))
    assert survey_sizes(Halved(split="train", root=tmp_path), seconds=9).counts == {(32, 48): 1}


def test_sizes_are_looked_at_as_long_as_there_is_time_and_all_over_the_set(tmp_path):
    asked = []

    class Filed(tiny.Pictures):
        def file(self, index):
            asked.append(index)
            return tmp_path / "0.png"

    write(tmp_path / "0.png", picture(0, (4, 6, 3)))
    pictures = Filed([torch.zeros(3, 4, 6, dtype=torch.uint8)] * 100)
    whole = survey_sizes(pictures, seconds=99)
    assert (whole.counts, whole.cut_short) == ({(4, 6): 100}, False) and sorted(asked) == list(range(100))
    first = sorted(asked[:20])
    assert max(after - before for before, after in pairwise(first)) < 10
    cut = survey_sizes(pictures, seconds=-1)
    assert (cut.seen, cut.total, cut.cut_short) == (1, 100, True)


def test_of_many_sizes_the_extremes_are_tried():
    sizes = [(height, width) for height in range(10, 40) for width in range(20, 60)]
    chosen = telling_sizes([*sizes, (5, 90), (90, 5)], 16)
    assert len(chosen) == len(set(chosen)) <= 16 and {(5, 90), (90, 5), (10, 20), (39, 59)} <= set(chosen)
    assert telling_sizes(sizes[:16], 16) == sizes[:16]
