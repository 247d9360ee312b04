from typing import ClassVar

import pytest
import tiny
import torch
from torch import nn

from daframework import hookimpl
from daframework.errors import DataError, RecipeError
from daframework.interfaces import Generator, Loss
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.check import check


def problems(plugins, tables):
    with pytest.raises(RecipeError) as caught:
        check(plugins, parse(tables, "r.toml"), "r.toml")
    return caught.value.problems


def test_a_sound_recipe_passes_without_warnings(plugins, tables, source_only):
    assert check(plugins, parse(tables, "r"), "r") == []
    assert check(plugins, parse(source_only, "r"), "r") == []


def test_a_crop_larger_than_the_images_is_refused_with_both_sizes(plugins, tables):
    tables["data"]["crop_size"] = [32, 50]
    assert problems(plugins, tables) == [
        f"r.toml: data.crop_size: 32 x 50 (height x width) is larger than the images of {domain}, 32 x 48 (train/0); "
        "lower it, or set data.resize"
        for domain in ("source", "target")
    ]
    tables["data"]["resize"] = [40, 60]
    assert check(plugins, parse(tables, "r"), "r") == []
    tables["data"]["resize"] = [20, 60]
    assert "the images of source, 20 x 60 (as resized)" in problems(plugins, tables)[0]


@pytest.mark.parametrize(
    "table, what",
    [("generator", "generator 'painter'"), ("discriminator", "discriminator 'judge'"), ("task", "task 'pixels'")],
)
def test_a_crop_that_a_network_cannot_take_comes_with_one_that_would_do(plugins, tables, table, what):
    tables[table]["multiple"] = 8
    tables["data"]["crop_size"] = [20, 30]
    assert problems(plugins, tables) == [
        f"r.toml: data.crop_size: {what} needs height and width that are multiples of 8, got 20 x 30; 16 x 32 would do"
    ]


def test_a_one_sided_recipe_may_not_ask_for_the_way_back(plugins, tables):
    tables["translation"]["directions"] = ["source_to_target"]
    (problem,) = problems(plugins, tables)
    assert problem.startswith("r.toml: losses: a loss asks for an image translated from target to source") and (
        'set translation.directions = ["source_to_target", "target_to_source"]' in problem
    )
    tables["losses"][1] = {"name": "tiny_features"}
    assert check(plugins, parse(tables, "r"), "r") == []


def test_a_semantic_loss_needs_a_discriminator_that_segments(plugins, tables):
    tables["losses"].append({"name": "segment"})
    (problem,) = problems(plugins, tables)
    assert problem.startswith(
        "r.toml: losses.segment: needs a discriminator with a semantic head, and 'judge' has none"
    )
    tables["discriminator"]["semantic"] = True
    assert check(plugins, parse(tables, "r"), "r") == []


def test_an_adversarial_loss_needs_a_discriminator(plugins, tables):
    del tables["discriminator"]
    assert problems(plugins, tables)[0] == "r.toml: losses.least_squares: needs a [discriminator], and there is none"


class Detached(Loss):
    def generator_loss(self, images):
        return images.fake_target.detach().mean()


class Silent(Loss):
    needs_discriminator = True

    def discriminator_loss(self, images):
        return images.real_output.realness.mean()


class Rebuilding(Loss):
    def discriminator_loss(self, images):
        return images.rec_output.realness.mean()


class Broken(Loss):
    def generator_loss(self, images):
        return (images.fake_target @ images.source).mean()


class Squeezing(tiny.Pixels):
    def model(self):
        return nn.Sequential(nn.Conv2d(3, 3, 64), nn.Conv2d(3, self.num_classes, 1))


class Sized(Loss):
    def __init__(self, *, generator: Generator, layer: int = 0) -> None:
        super().__init__()
        self.width = generator.body[layer].out_channels

    def generator_loss(self, images):
        return images.features(images.source, (0,))[0].reshape(-1, self.width).mean()


class Consistent(Loss):
    """A model of the source must see the same."""

    needs_source_model = True
    devices: ClassVar = []

    def take_source_model(self, model):
        self.devices.append(next(model.parameters()).device.type)
        assert not model.training and not any(weight.requires_grad for weight in model.parameters())
        self.model = (model,)

    def generator_loss(self, images):
        return (self.model[0](images.fake_target) - self.model[0](images.source)).abs().mean()


class Eager(Generator):
    """Notes on which device its weights are made."""

    devices: ClassVar = set()

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 1)
        self.devices.add(self.body.weight.device.type)

    def forward(self, image):
        self.devices.add(image.device.type)
        return torch.tanh(self.body(image))


class Oversized(Eager):
    """Would need 400 GB."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Linear(300_000, 300_000)


class More:
    @hookimpl
    def daf_losses(self):
        return {
            "silent": Silent,
            "detached": Detached,
            "rebuilding": Rebuilding,
            "broken": Broken,
            "sized": Sized,
            "consistent": Consistent,
        }

    @hookimpl
    def daf_generators(self):
        return {"eager": Eager, "oversized": Oversized}

    @hookimpl
    def daf_tasks(self):
        return {"squeezing": lambda *, num_classes: Squeezing(num_classes, 4, 1)}

    @hookimpl
    def daf_datasets(self):
        return {
            "gone": gone,
            "known_but_gone": KnownButGone,
            "empty": lambda *, split: tiny.blocks(split=split, images=0),
        }


def gone(*, split: str):
    raise DataError("/data/gta: no such folder; download it")


class KnownButGone(tiny.Blocks):
    classes = tuple("abcdefg")

    def __init__(self, *, split: str) -> None:
        gone(split=split)


@pytest.fixture(scope="module")
def more():
    return load_plugins(extra={"tiny": tiny, "more": More()})


def test_a_loss_must_train_the_generators(more, tables):
    tables["losses"] = [{"name": "silent"}]
    assert problems(more, tables) == ["r.toml: losses: none of them trains the generators"]
    tables["losses"] = [{"name": "detached"}]
    (problem,) = problems(more, tables)
    assert problem.startswith("r.toml: losses: none of them gives the generators a gradient; ")
    tables["losses"] += [{"name": "least_squares"}]
    assert check(more, parse(tables, "r"), "r") == []


def test_a_loss_that_asks_for_what_no_loss_makes_is_refused(more, tables):
    tables["losses"] = [{"name": "least_squares"}, {"name": "rebuilding"}]
    (problem,) = problems(more, tables)
    assert problem.startswith("r.toml: losses: a loss asks for the discriminator's output on rec_source")


def test_a_loss_that_reads_the_generator_is_built_with_it(more, tables):
    tables["losses"] = [{"name": "sized"}]
    assert check(more, parse(tables, "r"), "r") == []
    tables["generator"]["channels"] = 5
    assert check(more, parse(tables, "r"), "r") == []


def test_a_loss_that_reads_a_generator_that_cannot_be_built_is_named_beside_it(more, tables):
    tables["generator"]["chanels"] = 5
    tables["losses"] = [{"name": "sized", "layer": "first"}, {"name": "tiny_cycle"}]
    found = problems(more, tables)
    assert len(found) == 3 and found[0].startswith("r.toml: generator: generator 'painter' has no option named")
    assert found[1:] == [
        "r.toml: losses.sized: loss 'sized' reads the generator, which cannot be built",
        "r.toml: losses.sized.layer: must be a whole number, got 'first'",
    ]


def test_a_generator_that_offers_no_features_is_refused_where_a_loss_asks_for_them(more, tables):
    tables["generator"] = {"name": "eager"}
    tables["losses"] = [{"name": "tiny_features"}]
    (problem,) = problems(more, tables)
    assert (
        problem
        == "r.toml: losses: a step fails: TypeError: generator Eager offers no features (in loss 'tiny_features')"
    )


def test_a_loss_that_needs_the_sources_model_is_checked_with_one_that_computes_nothing(more, tables):
    Consistent.devices.clear()
    tables["losses"] = [{"name": "consistent"}]
    assert check(more, parse(tables, "r"), "r") == []
    assert Consistent.devices == ["meta"]


def test_a_task_that_cannot_be_built_is_one_problem_also_where_a_loss_needs_its_model(more, tables):
    tables["losses"] = [{"name": "consistent"}]
    tables["task"]["chanels"] = 3
    tables["data"]["crop_size"] = [32, 50]
    found = problems(more, tables)
    assert [problem.partition(": ")[2].partition(":")[0] for problem in found] == ["data.crop_size"] * 2 + ["task"]


def test_a_step_that_fails_is_found_without_computing(more, tables):
    tables["losses"] = [{"name": "broken"}]
    (problem,) = problems(more, tables)
    assert problem.startswith("r.toml: losses: a step fails: RuntimeError: ")


def test_a_task_that_cannot_take_the_crop_is_a_problem(more, tables):
    tables["task"] = {"name": "squeezing"}
    (problem,) = problems(more, tables)
    assert problem.startswith("r.toml: data.crop_size: task 'squeezing' cannot take 16 x 24: RuntimeError: ")


def test_domains_with_other_classes_are_refused(plugins, tables):
    tables["target"]["classes"] = ["road", "tree", "sky"]
    assert problems(plugins, tables) == [
        "r.toml: source and target must have the same classes in the same order, got [road, sky, tree] and "
        "[road, tree, sky]; name a label space for both in data.classes"
    ]


def test_a_dataset_without_images_is_refused(more, tables):
    tables["target"] = {"name": "empty"}
    assert check(more, parse(tables, "r"), "r") == ["target: the dataset 'empty' holds no image"]


def test_missing_data_is_a_warning(more, tables):
    tables["source"] = {"name": "gone"}
    assert check(more, parse(tables, "r"), "r") == ["/data/gta: no such folder; download it"]


def test_with_data_missing_the_rest_is_checked_with_the_classes_that_are_known(more, tables):
    tables["source"] = {"name": "known_but_gone"}
    tables["losses"].append({"name": "segment"})
    tables["discriminator"] |= {"semantic": True, "num_classes": 3}
    (problem,) = problems(more, tables)
    assert "semantics must be (2, 7, 16, 24), got (2, 3, 16, 24)" in problem


def test_problems_of_several_parts_are_reported_at_once(plugins, tables):
    tables["source"]["look"] = "noir"
    tables["task"]["chanels"] = 3
    tables["generator"]["name"] = "paint"
    tables["discriminator"]["channels"] = "8"
    tables["losses"] += [{"name": "gan"}, {"name": "segment", "x": 1}]
    found = problems(plugins, tables)
    expected = (
        "source: ",
        "task: ",
        "generator.name: ",
        "discriminator.channels: ",
        "losses.gan.name: ",
        "losses.segment",
    )
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(f"r.toml: {start}"), problem


def test_nothing_is_computed_or_allocated(more, tables):
    tables["generator"] = {"name": "oversized"}
    Eager.devices.clear()
    check(more, parse(tables, "r"), "r")
    assert Eager.devices == {"meta"}


def test_an_unknown_component_is_named_beside_keys_that_cannot_be_read(daf, write, tables):
    tables["data"]["crop"] = 3
    tables["generator"] = {"name": "paintr", "channels": 3}
    tables["task"]["chanels"] = 3
    tables["losses"].append({"name": "sgment", "weight": "x"})
    path = write(tables)
    for command in ("check", "run"):
        code, _, errors = daf(command, path)
        found = [line.partition(".toml: ")[2].partition(": ")[0] for line in errors.splitlines()]
        assert code == 1
        assert found == ["data", "losses.sgment.weight", "task", "generator.name", "losses.sgment.name"], errors
    assert daf("check", path, "--set", "generator=paintr")[2].count("no generator named 'paintr'") == 1


def test_an_unknown_component_is_named_beside_what_is_wrong_with_the_others(plugins, tables):
    tables["generator"]["name"] = "paintr"
    tables["discriminator"]["multiple"] = 8
    tables["data"]["crop_size"] = [20, 24]
    tables["losses"].append({"name": "segment"})
    crop, generator, loss = sorted(problems(plugins, tables))
    assert crop.startswith("r.toml: data.crop_size: discriminator 'judge' needs height and width")
    assert generator.startswith("r.toml: generator.name: no generator named 'paintr'; did you mean 'painter'?")
    assert loss.startswith("r.toml: losses.segment: needs a discriminator with a semantic head")
