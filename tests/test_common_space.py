"""Two domains with different labels are read in one label space; nothing becomes a class, or is lost, in silence."""

import pytest
import tomli_w
import torch
from cityscapesscripts.helpers.labels import labels as CITYSCAPES_LABELS

from daframework.data.spaces import Mapped, class_table, label_space, label_spaces, read_space
from daframework.errors import DataError, RecipeError
from daframework.recipes.read import parse
from daframework.runs.check import check
from daframework.runs.datasets import open_datasets
from daframework.runs.stages import execute
from daframework.storage.run_folder import open_folder

GROUND = {
    "classes": [{"name": "ground", "colour": [1, 2, 3]}, {"name": "sky", "colour": [4, 5, 6]}],
    "maps": {},
}


@pytest.fixture
def space(tmp_path):
    """Write a space's file, and return its path: ground and sky unless told."""

    def write(name="ground2.toml", **changes):
        path = tmp_path / name
        path.write_text(tomli_w.dumps(GROUND | changes), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def mapped(tables, space):
    """The source's road and tree are ground; the target has its own three classes."""
    tables["target"]["classes"] = ["street", "heaven", "bush"]
    tables["data"] |= {
        "classes": space(),
        "source_map": {"road": "ground", "tree": "ground"},
        "target_map": {"street": "ground", "heaven": "sky", "bush": "ignore"},
    }
    return tables


def problems(plugins, tables):
    with pytest.raises(RecipeError) as caught:
        open_datasets(plugins, parse(tables, "r"))
    return caught.value.problems


def test_both_domains_are_read_in_the_common_space(plugins, mapped, tables):
    found = open_datasets(plugins, parse(mapped, "r"))
    plain = tables["data"].copy()
    for domain, wanted in (("source", [0, 1, 0]), ("target", [0, 1, 255]), ("target_test", [0, 1, 255])):
        dataset = getattr(found, domain)
        assert tuple(dataset.classes) == ("ground", "sky") and tuple(dataset.palette) == ((1, 2, 3), (4, 5, 6))
        own, label = dataset.dataset[0].label, dataset[0].label
        assert label.dtype == torch.uint8
        for index, meaning in enumerate(wanted):
            assert (own == index).any() and (label[own == index] == meaning).all()
        assert (own == 255).any() and (label[own == 255] == 255).all()
        assert torch.equal(dataset[0].image, dataset.dataset[0].image)
    assert plain["classes"].endswith("ground2.toml")


def test_a_run_in_a_common_space_is_scored_in_its_classes(plugins, mapped, session, tmp_path):
    recipe = parse({**mapped, "translation": {**mapped["translation"], "steps": 2}}, "r")
    assert check(plugins, recipe, "r") == []
    results = execute(session(), plugins, recipe, open_folder(tmp_path / "run", recipe))
    assert results.classes == ("ground", "sky")
    assert all(len(row.scores.iou) == 2 for row in results.rows)


def test_a_class_without_a_place_is_named_with_the_lines_to_write(plugins, mapped):
    del mapped["data"]["source_map"]["tree"]
    mapped["data"]["target_map"] = {}
    assert problems(plugins, mapped) == [
        "data.source_map: tree have no place in the label space 'ground2'; say what they become, a class or ignore: "
        '{ "tree" = "..." }',
        "data.target_map: street, heaven, bush have no place in the label space 'ground2'; say what they become, a "
        'class or ignore: { "street" = "...", "heaven" = "...", "bush" = "..." }',
    ]


def test_a_misspelt_class_is_named_on_either_side(plugins, mapped):
    mapped["data"]["source_map"] |= {"tre": "ground", "road": "grund"}
    found = problems(plugins, mapped)
    assert found[0].startswith("data.source_map: no class named 'tre'; did you mean 'tree'?")
    assert found[1].startswith("data.source_map.road: no class named 'grund'; did you mean 'ground'?")


def test_a_class_that_the_source_never_shows_is_refused(plugins, mapped):
    mapped["data"]["source_map"]["sky"] = "ignore"
    (problem,) = problems(plugins, mapped)
    assert "no class of the source becomes sky of 'ground2', which would never be learned" in problem


def test_a_class_that_the_target_never_shows_is_allowed(plugins, mapped):
    mapped["data"]["target_map"]["heaven"] = "ignore"
    assert (open_datasets(plugins, parse(mapped, "r")).target[0].label != 1).all()


def test_a_map_without_a_space_is_refused(plugins, tables):
    tables["data"]["target_map"] = {"tree": "ignore"}
    assert problems(plugins, tables) == [
        "data.target_map: says what classes become, but data.classes names no label space"
    ]


def test_an_unknown_space_is_named_with_the_known_ones(plugins, mapped):
    mapped["data"]["classes"] = "camvid1"
    (problem,) = problems(plugins, mapped)
    assert "did you mean 'camvid11'?" in problem and "cityscapes19" in problem


def test_what_the_space_says_holds_for_exactly_the_space_it_names(plugins):
    camvid, known = label_space(plugins, "camvid11"), label_spaces(plugins)
    nineteen = label_space(plugins, "cityscapes19").classes
    table = class_table(nineteen, camvid, known, {}, "here")
    assert table["rider"] == "bicyclist" and table["road"] == "road" and table["wall"] == "building"
    with pytest.raises(RecipeError, match=r"sidewalk, wall, .* have no place"):
        class_table(nineteen[:-1], camvid, known, {}, "here")


def test_what_the_recipe_says_comes_before_what_the_space_says(plugins):
    camvid, known = label_space(plugins, "camvid11"), label_spaces(plugins)
    table = class_table(label_space(plugins, "cityscapes19").classes, camvid, known, {"rider": "pedestrian"}, "here")
    assert table["rider"] == "pedestrian" and table["bicycle"] == "bicyclist"


def test_every_map_that_is_shipped_leaves_no_class_out(plugins):
    known = {space.name: space for space in label_spaces(plugins)}
    maps = [(space, known[other]) for space in known.values() for other in space.maps]
    assert len(maps) >= 5
    for space, other in maps:
        table = class_table(other.classes, space, known.values(), {}, "here")
        assert set(space.maps[other.name]) <= set(other.classes)
        assert set(table.values()) >= set(space.classes), f"{other.name} does not fill {space.name}"


def test_the_ids_of_cityscapes19_are_those_of_the_official_server(plugins):
    space = label_space(plugins, "cityscapes19")
    wanted = {one.name: one.id for one in CITYSCAPES_LABELS if 0 <= one.trainId < 255}
    assert space.ids is not None and dict(zip(space.classes, space.ids, strict=True)) == wanted


def test_an_id_that_is_no_class_is_not_mapped_in_silence(plugins, mapped):
    found = open_datasets(plugins, parse(mapped, "r")).source
    assert isinstance(found, Mapped)
    inner = found.dataset
    wrong = inner[0]
    wrong.label[0, 0] = 7

    class Wrong(type(inner)):
        def __getitem__(self, index):
            return wrong

    found.dataset = Wrong("bright", "train", 2, (32, 48), inner.classes)
    with pytest.raises(DataError, match=rf"label of {wrong.name}: id 7 \(1 pixel\) is not in the id map"):
        found[0]


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"classes": []}, "classes: must be 1 to 255, got 0"),
        ({"classes": [GROUND["classes"][0]] * 2}, "classes: 'ground' is named twice"),
        ({"classes": [{"name": "ignore", "colour": [0, 0, 0]}]}, "classes: 'ignore' is no class"),
        (
            {"classes": [{"name": "a", "colour": [0, 0, 256]}]},
            r"classes.a.colour: must be \[red, green",
        ),
        ({"classes": [{"name": "a", "colour": [0, 0, 0], "id": 300}]}, "classes: either no class has an id, or each"),
        ({"classes": [{"name": "a"}]}, "classes.a.colour: missing"),
        (
            {"classes": [{"name": "a", "colour": [0, 0, 0], "id": 3}], "ignored_id": 3},
            "ignored_id: must be 0 to 255",
        ),
        ({"maps": {"other": {"x": "grund"}}}, "maps.other.x: no class named 'grund'; did you mean 'ground'"),
        ({"colours": []}, "no key named 'colours'"),
    ],
)
def test_a_wrong_space_is_refused_by_file_and_key(plugins, space, changes, says):
    path = space(**changes)
    with pytest.raises(RecipeError, match=rf"ground2\.toml: {says}"):
        label_space(plugins, path)


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    path = tmp_path / "space.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"space\.toml: not a TOML file"):
        read_space(path)


def test_ids_are_given_for_all_classes_or_for_none(plugins, space):
    assert label_space(plugins, space()).ids is None
    numbered = [one | {"id": 10 * place} for place, one in enumerate(GROUND["classes"])]
    assert label_space(plugins, space(classes=numbered)).ids == (0, 10)
