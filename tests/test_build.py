from collections.abc import Mapping, Sequence
from typing import Literal

import pytest
import tiny
import torch
from torch import nn

from daframework.build import make, make_dataset, make_task
from daframework.errors import PluginError, RecipeError
from daframework.interfaces import Generator
from daframework.networks import make_generator, make_networks, make_term
from daframework.recipes.read import parse
from daframework.registry import Component, Origin, load_plugins

ORIGIN = Origin("lab", "daf-lab", "2.0")


class Blank(Generator):
    def forward(self, image):
        return image


def build(factory, options, **supplied):
    return make(Component("generator", "lab", factory, ORIGIN), options, "generator", **supplied)


def refused(factory, options, **supplied):
    with pytest.raises(RecipeError) as caught:
        build(factory, options, **supplied)
    return caught.value.problems


def typed(
    *,
    count: int = 1,
    rate: float = 1.0,
    deep: bool = False,
    mode: Literal["sum", "mean", 2] = "sum",
    size: Sequence[int] = (1,),
    limit: float | None = None,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    anything: object = None,
) -> Generator:
    blank = Blank()
    blank.got = (count, rate, deep, mode, size, limit, weights, anything)
    return blank


def test_options_reach_the_factory():
    options = {"count": 2, "rate": 3, "deep": True, "mode": "mean", "size": [4, 5], "limit": 6, "weights": {"a": 7}}
    assert build(typed, options | {"anything": [{}]}).got == (2, 3.0, True, "mean", (4, 5), 6.0, {"a": 7.0}, [{}])


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("count", "2", "must be a whole number, got '2'"),
        ("count", 2.0, "must be a whole number, got 2.0"),
        ("count", True, "must be a whole number, got True"),
        ("rate", "x", "must be a number, got 'x'"),
        ("rate", float("nan"), "must be a finite number, got nan"),
        ("rate", 10**400, "must be a finite number, got 1000"),
        ("deep", 1, "must be true or false, got 1"),
        ("mode", "max", "must be one of 'sum', 'mean', 2, got 'max'"),
        ("mode", 2.0, "must be one of 'sum', 'mean', 2, got 2.0"),
        ("mode", [], "must be one of 'sum', 'mean', 2, got []"),
        ("size", 4, "must be a list, got 4"),
        ("size", "48", "must be a list, got '48'"),
        ("size.1", [4, "5"], "must be a whole number, got '5'"),
        ("limit", "no", "must be a number, got 'no'"),
        ("weights", 3, "must be a table, got 3"),
        ("weights.a", {"a": "b"}, "must be a number, got 'b'"),
    ],
)
def test_an_option_of_another_type_is_refused_by_its_path(key, value, says):
    (problem,) = refused(typed, {key.partition(".")[0]: value})
    assert problem.startswith(f"generator.{key}: {says}")


def test_every_wrong_option_is_reported_at_once():
    def factory(*, channels: int, blocks: int, num_classes: int) -> Generator:
        raise AssertionError("not reached")

    assert refused(factory, {"chanels": 3, "blocks": 2.5}, num_classes=3) == [
        "generator: generator 'lab' has no option named 'chanels'; did you mean 'channels'? (known: blocks, channels)",
        "generator.blocks: must be a whole number, got 2.5",
        "generator: generator 'lab' needs the option 'channels'",
    ]


def test_a_factory_with_open_options_takes_any():
    def factory(*, depth: int = 1, **more: object) -> Generator:
        blank = Blank()
        blank.got = (depth, more)
        return blank

    assert build(factory, {"depth": 2, "other": "x"}).got == (2, {"other": "x"})


def test_a_module_without_options_needs_none_and_takes_none():
    assert isinstance(build(Blank, {}, num_classes=3), Blank)
    (problem,) = refused(Blank, {"depth": 1})
    assert problem.startswith("generator: generator 'lab': ") and "'depth'" in problem


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_a_value_that_the_factory_refuses_is_a_problem_of_its_table(error):
    def factory(*, blocks: int) -> Generator:
        raise error(f"blocks must be at least 1, got {blocks}")

    assert refused(factory, {"blocks": 0}) == ["generator: generator 'lab': blocks must be at least 1, got 0"]


def test_a_factory_that_builds_something_else_is_a_fault_of_its_plugin():
    with pytest.raises(PluginError, match=r"'lab' of plugin lab \(daf-lab 2.0\) must be a Generator, got Conv2d"):
        build(lambda: nn.Conv2d(3, 3, 1), {})


def test_annotations_that_cannot_be_resolved_are_a_fault_of_the_plugin():
    def factory(*, loss: "NotImported") -> Generator:  # noqa: F821
        raise AssertionError("not reached")

    with pytest.raises(PluginError, match=r"'lab' of plugin lab \(daf-lab 2.0\): .*'NotImported' is not defined"):
        build(factory, {"loss": 1})


def test_a_factory_gets_what_is_supplied_only_if_it_asks(plugins, recipe):
    assert make_task(plugins, recipe, 5).num_classes == 5
    networks = make_networks(plugins, recipe, 5)
    assert set(networks.generators) == {"source_to_target", "target_to_source"}
    assert make_dataset(plugins, recipe, "target", "test").split == "test"
    assert make_dataset(plugins, recipe, "target", "train").split == "train"


def test_what_the_recipe_says_wins_over_what_is_supplied(plugins, tables):
    tables["task"]["num_classes"] = 9
    assert make_task(plugins, parse(tables, "r"), 5).num_classes == 9


def test_an_unknown_component_is_a_problem_of_its_tables_name(plugins, tables):
    tables["generator"]["name"] = "panter"
    with pytest.raises(RecipeError, match=r"^generator\.name: no generator named 'panter'; did you mean 'painter'"):
        make_generator(plugins, parse(tables, "r"), "source_to_target", 3)


# --- first weights ---


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


class Projecting(tiny.Cycle):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)


class Measuring(tiny.Cycle):
    def __init__(self, *, generator: Generator, layer: int = 0) -> None:
        super().__init__()
        self.width = generator.body[layer].out_channels
        self.given = (generator,)


class MoreLosses:
    from daframework import hookimpl

    @hookimpl
    def daf_losses(self):
        return {"projecting": Projecting, "measuring": Measuring}


def test_first_weights_of_a_component_do_not_depend_on_what_else_is_in_the_recipe(tables):
    plugins = load_plugins(extra={"tiny": tiny, "more": MoreLosses()})
    tables["losses"] = [{"name": "projecting"}]
    alone = make_networks(plugins, parse(tables, "r"), 3)
    torch.rand(7)  # nor on what was drawn before
    tables["losses"] = [{"name": "tiny_identity"}, {"name": "least_squares"}, {"name": "projecting", "weight": 2}]
    tables["task"]["channels"] = 9
    tables["discriminator"]["channels"] = 8
    among = make_networks(plugins, parse(tables, "r"), 3)
    for direction, generator in alone.generators.items():
        assert torch.equal(weights(generator), weights(among.generators[direction]))
    assert torch.equal(weights(alone.terms[0].loss), weights(among.terms[2].loss))
    del tables["discriminator"]
    without = make_networks(plugins, parse(tables, "r"), 3)
    assert torch.equal(weights(alone.generators["source_to_target"]), weights(without.generators["source_to_target"]))


def test_a_one_sided_recipe_has_one_generator_and_judges_what_it_makes(plugins, tables):
    both = make_networks(plugins, parse(tables, "r"), 3)
    tables["translation"]["directions"] = ["source_to_target"]
    one = make_networks(plugins, parse(tables, "r"), 3)
    assert list(one.generators) == ["source_to_target"] and list(one.discriminators) == ["target"]
    for pair in ((one.generators, both.generators), (one.discriminators, both.discriminators)):
        assert all(torch.equal(weights(network), weights(pair[1][name])) for name, network in pair[0].items())
    del tables["discriminator"]
    assert make_networks(plugins, parse(tables, "r"), 3).discriminators == {}


def test_a_loss_that_asks_for_the_generator_gets_the_one_that_is_trained(tables):
    plugins = load_plugins(extra={"tiny": tiny, "more": MoreLosses()})
    tables["generator"]["channels"] = 7
    tables["losses"] = [{"name": "measuring"}]
    networks = make_networks(plugins, parse(tables, "r"), 3)
    loss = networks.terms[0].loss
    assert loss.width == 7 and loss.given[0] is networks.generators["source_to_target"]
    assert not torch.equal(weights(loss.given[0]), weights(networks.generators["target_to_source"]))


def test_a_loss_that_asks_for_a_generator_that_cannot_be_built_is_named_with_its_other_faults(tables):
    plugins = load_plugins(extra={"tiny": tiny, "more": MoreLosses()})
    tables["losses"] = [{"name": "measuring", "layer": "first"}, {"name": "tiny_cycle"}]
    recipe = parse(tables, "r")
    with pytest.raises(RecipeError) as caught:
        make_term(plugins, recipe, recipe.losses[0], 3, None)
    assert caught.value.problems == [
        "losses.measuring: loss 'measuring' reads the generator, which cannot be built",
        "losses.measuring.layer: must be a whole number, got 'first'",
    ]
    assert isinstance(make_term(plugins, recipe, recipe.losses[1], 3, None).loss, tiny.Cycle)


def test_every_network_starts_from_weights_of_its_own(plugins, recipe):
    networks = make_networks(plugins, recipe, 3)
    for pair in (networks.generators, networks.discriminators):
        one, two = map(weights, pair.values())
        assert not torch.equal(one, two)


def test_another_seed_gives_other_weights(plugins, tables):
    one = make_generator(plugins, parse(tables, "r"), "source_to_target", 3)
    two = make_generator(plugins, parse(tables | {"seed": 1}, "r"), "source_to_target", 3)
    assert not torch.equal(weights(one), weights(two))


def test_building_leaves_the_global_random_state_alone(plugins, recipe):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    make_networks(plugins, recipe, 3)
    assert torch.equal(before, torch.get_rng_state())
