"""From a suite to its runs: what each recipe becomes under the suite's tables, and which suites cannot be compared."""

import copy
import re

import pytest
from conftest import TABLES
from tiny_suite import RECIPES, plan_of

from daframework.errors import RecipeError
from daframework.recipes.read import parse
from daframework.recipes.tables import ComponentTable

COLOURED = RECIPES["coloured.toml"]
MEASURED = {"name": "measured", "translation": {"steps": 0, "lr": 0.5}}
"""A method that translates without training."""


@pytest.fixture
def planned(plugins, tmp_path):
    """Plan the tiny suite: ``planned(only=["one"], seeds=[3], bootstrap=0)``."""

    def plan(files=RECIPES, /, **changes):
        return plan_of(plugins, tmp_path, files, **changes)

    return plan


def recipes(**more):
    """The tiny recipes, with changes to the tables of ``one``."""
    changed = copy.deepcopy(RECIPES)
    changed["one.toml"] |= more
    return changed


def recipe_of(plan, method, task="narrow"):
    return plan.cell(task, method, plan.seeds[0]).recipe


# --- the suite's tables ---


def test_without_tables_in_the_suite_the_recipes_stay_as_they_are(planned):
    plan = planned(target=None, downstream=None, tasks=None)
    assert plan.tasks == ("task",)
    for name in ("one", "coloured"):
        assert recipe_of(plan, name, "task") == parse(RECIPES[f"{name}.toml"], "r")


def test_keys_of_data_downstream_and_hardware_go_over_those_of_every_recipe(planned):
    plan = planned(data={"batch_size": 5}, downstream={"steps": 9}, hardware={"workers": 2})
    for cell in plan.cells:
        assert (cell.recipe.data.batch_size, cell.recipe.data.crop_size) == (5, (16, 24))
        assert (cell.recipe.downstream.steps, cell.recipe.downstream.batch_size) == (9, 2)
        assert (cell.recipe.hardware.workers, cell.recipe.hardware.accelerator) == (2, "cpu")


def test_a_domain_of_the_suite_takes_the_place_of_the_recipes(planned):
    plan = planned(source={"name": "blocks"}, target={"name": "blocks", "images": 21})
    for cell in plan.cells:
        assert cell.recipe.source == ComponentTable("blocks", {})
        assert cell.recipe.target == ComponentTable("blocks", {"images": 21})


def test_each_task_of_the_suite_takes_the_place_of_the_recipes(planned):
    plan = planned()
    assert plan.tasks == ("narrow", "wide")
    for cell in plan.cells:
        assert cell.recipe.task == ComponentTable("pixels", {"channels": 6} if cell.task == "wide" else {})


def test_the_translations_budget_is_given_to_those_that_train_alone(planned):
    plan = planned(RECIPES | {"measured.toml": TABLES | MEASURED}, translation={"steps": 7, "lr": 0.25})
    one, measured = (recipe_of(plan, name).translation for name in ("one", "measured"))
    assert (one.steps, one.lr, one.pool_size) == (7, 0.25, 3)
    assert (measured.steps, measured.lr) == (0, 0.5)
    assert recipe_of(plan, "coloured").translation is None and recipe_of(plan, "source_only").translation is None


def test_options_go_to_every_component_of_their_name(planned):
    plan = planned(options={"painter": {"channels": 5}, "judge": {"multiple": 4}, "tiny_cycle": {"weight": 2.5}})
    recipe = recipe_of(plan, "one")
    assert (recipe.generator.options, recipe.discriminator.options) == ({"channels": 5}, {"multiple": 4})
    assert {loss.name: loss.weight for loss in recipe.losses} == {"least_squares": 1.0, "tiny_cycle": 2.5}


def test_options_of_the_suite_keep_what_they_do_not_name(planned):
    plan = planned(
        recipes(generator={"name": "painter", "channels": 3, "dropout": 0.5}), options={"painter": {"channels": 5}}
    )
    assert recipe_of(plan, "one").generator.options == {"channels": 5, "dropout": 0.5}


def test_options_for_a_component_that_no_recipe_has_are_refused(planned):
    says = r"suite\.toml: options: none of the recipes has a component named 'paintr'; did you mean 'painter'\?"
    with pytest.raises(RecipeError, match=says):
        planned(options={"paintr": {"channels": 5}})


def test_a_bad_value_of_the_suite_is_told_with_its_key(planned):
    with pytest.raises(RecipeError, match=r"suite\.toml: one: downstream\.steps: must be at least 1, got 0"):
        planned(downstream={"steps": 0})
    with pytest.raises(RecipeError, match=r"no key named 'crop'; did you mean 'crop_size'"):
        planned(data={"crop": [8, 8]})


# --- methods and runs ---


def test_methods_are_the_references_and_then_the_suites_in_order(planned):
    extra = {"oracle.toml": {**COLOURED, "name": "oracle"}}
    del extra["oracle.toml"]["augment"]
    plan = planned(RECIPES | extra, recipes=["coloured.toml", "oracle.toml", "one.toml"])
    assert plan.methods == ("source_only", "oracle", "coloured", "one")


def test_references_are_trained_by_a_run_of_their_own_that_has_nothing_else(planned):
    plan = planned()
    cell = plan.cell("wide", "oracle", 0)
    assert cell == plan.cell("wide", "source_only", 0) and cell.method == cell.recipe.name == "source_only"
    own = (cell.recipe.generator, cell.recipe.discriminator, cell.recipe.losses, cell.recipe.translation)
    assert own == (None, None, (), None) and cell.recipe.augment is None


def test_references_are_the_same_whichever_recipe_comes_first(planned):
    own = recipes(data=TABLES["data"] | {"batch_size": 1})
    plans = [planned(own, recipes=names) for names in (["one.toml", "coloured.toml"], ["coloured.toml", "one.toml"])]
    assert recipe_of(plans[0], "source_only") == recipe_of(plans[1], "source_only")
    given = planned(own, data={"batch_size": 3})
    assert {cell.recipe.data.batch_size for cell in given.cells} == {3}


def test_runs_come_references_first_then_by_task_then_by_seed(planned, tmp_path):
    plan = planned(seeds=[4, 2])
    assert [cell.name for cell in plan.cells] == [
        f"{task}/{method}/seed{seed}"
        for methods in (("source_only",), ("one", "coloured"))
        for task in ("narrow", "wide")
        for seed in (4, 2)
        for method in methods
    ]
    for cell in plan.cells:
        assert cell.recipe.seed == cell.seed and cell.folder.path == tmp_path / "bench" / cell.name


def test_only_leaves_the_references_and_what_it_names(planned):
    plan = planned(only=["coloured"])
    assert plan.methods == ("source_only", "oracle", "coloured")
    assert {cell.method for cell in plan.cells} == {"source_only", "coloured"}
    assert plan.baseline is None  # there is no row to compare with
    assert planned(only=["oracle", "one"]).methods == ("source_only", "oracle", "one")
    normed = planned(only=["coloured+target_norms"], downstream={"target_norms": 1.0})
    assert normed.methods == ("source_only", "source_only+target_norms", "oracle", "coloured", "coloured+target_norms")
    with pytest.raises(RecipeError, match=r"--only: no method named 'colored'; did you mean 'coloured'\?"):
        planned(only=["one", "colored"])


def test_the_baseline_is_cyclegan_where_it_is_among_the_methods(planned):
    named = {"cyclegan.toml": TABLES | {"name": "cyclegan"}}
    assert planned(RECIPES | named, baseline=None).baseline == "cyclegan"
    assert planned(baseline=None).baseline is None
    assert planned(baseline="source_only").baseline == "source_only"
    with pytest.raises(RecipeError, match=r"suite\.toml: baseline: no method named 'ona'; did you mean 'one'\?"):
        planned(baseline="ona")


def test_without_labels_for_an_oracle_there_is_no_such_row(planned):
    assert planned(downstream={"oracle": False}).methods == ("source_only", "one", "coloured")


# --- recipes ---


def test_a_recipe_beside_the_suite_comes_before_one_that_a_plugin_offers(planned):
    changes = {"recipes": ["cyclegan"], "baseline": None}
    assert planned(**changes).methods[2:] == ("cyclegan",)
    assert planned({"cyclegan": TABLES | {"name": "mine"}}, **changes).methods[2:] == ("mine",)


def test_an_unknown_recipe_is_refused_with_the_nearest(planned):
    with pytest.raises(
        RecipeError, match=r"cyclgan: not a file, and no recipe named 'cyclgan'; did you mean 'cyclegan'"
    ):
        planned(recipes=["one.toml", "cyclgan"])


def test_two_recipes_of_one_name_are_refused(planned):
    with pytest.raises(RecipeError, match=r"recipes: two are named 'one', and a table needs a name for each row"):
        planned(RECIPES | {"other.toml": TABLES | {"name": "one"}})


def test_source_only_under_another_name_is_refused(planned):
    plain = {key: table for key, table in COLOURED.items() if key != "augment"} | {"name": "plain"}
    with pytest.raises(RecipeError, match=r"'plain' has no \[generator\] and no \[augment\], so it is source_only"):
        planned(RECIPES | {"plain.toml": plain})


@pytest.mark.parametrize(
    "tables, says",
    [
        ({"data": {"crop_size": [16, 16]}}, r"data.crop_size was [16, 16] and [16, 24]"),
        ({"source": {"name": "blocks", "look": "dark"}}, "source.look was dark and bright"),
        ({"downstream": TABLES["downstream"] | {"batch_size": 1}}, "downstream.batch_size was 1 and 2"),
        ({"source": {"name": "blocks", "classes": ["a", "b"]}}, "source.classes was ['a', 'b'] and not set"),
        ({"hardware": {"precision": "64-true"}}, "hardware.precision was 64-true and auto"),
    ],
)
def test_recipes_that_disagree_cannot_be_compared(planned, tables, says):
    says = f"recipes 'one' and 'coloured' cannot be compared: {says}; write [source]"
    with pytest.raises(RecipeError, match=re.escape(says)):
        planned(recipes(**tables))


def test_recipes_with_tasks_of_their_own_cannot_be_compared_unless_the_suite_gives_one(planned):
    own = recipes(task={"name": "pixels", "channels": 3})
    assert planned(own).tasks == ("narrow", "wide")
    with pytest.raises(RecipeError, match=r"task\.channels was 3 and not set"):
        planned(own, tasks=None)


def test_recipes_may_differ_in_what_is_their_own(planned):
    planned(recipes(data=TABLES["data"] | {"batch_size": 1}, log={"every": 7}, hardware={"workers": 1}, seed=8))
