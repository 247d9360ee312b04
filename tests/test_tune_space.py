"""The space of a search: what is searched unless a file says so, how one is read, and what is refused."""

import pytest

from daframework.errors import RecipeError
from daframework.recipes.read import parse
from daframework.tuning.space import Range, default_space, make_space, own_values, with_values


def test_weights_but_the_first_and_learning_rates_are_searched_from_a_quarter_to_four_times_their_own(tables):
    tables["losses"].append({"name": "tiny_identity", "weight": 0.0})  # a factor of nothing is nothing
    assert default_space(parse(tables, "r")) == {
        "losses.tiny_cycle.weight": Range(2.5, 40.0, log=True),
        "translation.lr": Range(0.0025, 0.04, log=True),
        "translation.discriminator_lr": Range(0.0025, 0.04, log=True),
    }
    tables["translation"]["discriminator_lr"] = 0.4
    assert default_space(parse(tables, "r"))["translation.discriminator_lr"] == Range(0.1, 1.6, log=True)
    del tables["discriminator"]
    assert "translation.discriminator_lr" not in default_space(parse(tables, "r"))


def test_a_recipe_that_trains_no_translation_has_nothing_to_search_by_default(source_only):
    with pytest.raises(RecipeError, match=r"^tiny: trains no translation.*--space$"):
        default_space(parse(source_only, "r"))


def test_keys_are_written_with_dots_or_as_tables_and_numbers_are_whole_where_the_key_takes_such(plugins, recipe):
    tables = {
        "translation.lr": {"low": 1, "high": 2},
        "losses": {"tiny_cycle": {"weight": {"low": 1.5, "high": 20, "log": True}}},
        "translation": {"pool_size": {"low": 0, "high": 4}},
        "data.crop_size": {"choices": [[16, 24], [16, 16]]},
    }
    space = make_space(plugins, recipe, tables, "s")
    assert space["translation.lr"] == Range(1.0, 2.0) and type(space["translation.lr"].low) is float
    assert space["losses.tiny_cycle.weight"] == Range(1.5, 20.0, log=True)
    assert type(space["translation.pool_size"].high) is int
    own = {"translation.lr": 0.01, "losses.tiny_cycle.weight": 10.0, "translation.pool_size": 3}
    assert own_values(recipe, space) == own | {"data.crop_size": [16, 24]}
    assert [value in space[key] for key, value in own_values(recipe, space).items()] == [False, True, True, True]
    changed = with_values(recipe, {"losses.tiny_cycle.weight": 3.0, "data.crop_size": [16, 16]}, "other")
    assert (changed.name, changed.losses[1].weight, changed.data.crop_size) == ("other", 3.0, (16, 16))
    assert recipe.losses[1].weight == 10.0


LR = {"low": 1e-3, "high": 1e-2}


@pytest.mark.parametrize(
    "written, says",
    [
        ({}, "no key to search; write one"),
        ({"translation.lrr": LR}, "translation: no key named 'lrr'; did you mean 'lr'?"),
        ({"translatoin.lr": LR}, "no key named 'translatoin'; did you mean 'translation'?"),
        ({"losses.tiny_cycel.weight": LR}, "no entry named 'tiny_cycel'; did you mean 'tiny_cycle'"),
        ({"generator.chanels": {"choices": [1, 2]}}, "has no option named 'chanels'; did you mean 'channels'"),
        ({"translation.lr": LR | {"hihg": 1}}, "translation.lr: no key named 'hihg'; did you mean 'high'"),
        ({"translation.lr": 3}, "translation.lr: must be a table, got 3"),
        ({"translation.lr": {}}, "translation.lr: must have low and high, or choices"),
        ({"translation.lr": {"low": 1}}, "translation.lr: must have both low and high"),
        ({"translation.lr": LR | {"choices": [1, 2]}}, "translation.lr: must have low and high, or choices"),
        ({"translation.lr": {"low": 2, "high": 2}}, "translation.lr: must have low below high, got low = 2, high = 2"),
        ({"translation.lr": {"low": 0, "high": 2, "log": True}}, "low: must be greater than 0 on a logarithmic scale"),
        ({"translation.lr": {"low": "a", "high": 2}}, "translation.lr.low: must be a finite number, got 'a'"),
        ({"translation.lr": {"low": 1, "high": float("inf")}}, "high: must be a finite number, got inf"),
        ({"translation.lr": {"choices": [0.1, 0.1]}}, "choices: must be two different values or more, got [0.1, 0.1]"),
        ({"translation.lr": {"low": -1, "high": 2}}, "translation.lr: must be greater than 0, got -1"),
        ({"translation.lr": LR, "translation": {"lr": LR}}, "translation.lr: is there twice"),
        ({"seed": {"low": 0, "high": 9}}, "seed: cannot be searched"),
        ({"target.look": {"choices": ["dark", "bright"]}}, "target.look: cannot be searched"),
        ({"downstream.score": {"choices": [True, False]}}, "downstream.score: cannot be searched"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_key_or_its_range_is_a_line(plugins, recipe, written, says):
    with pytest.raises(RecipeError) as error:
        make_space(plugins, recipe, written, "s.toml")
    (problem,) = error.value.problems
    assert problem.startswith("s.toml: ") and says in problem
