"""Label spaces and id maps are what the datasets' own tools say they are."""

import tomllib
from pathlib import Path

import pytest
from cityscapesscripts.helpers.labels import labels as CITYSCAPES_LABELS

from daf_driving.space_files import id_map, label_space, labels_of, space_names

FOLDER = Path(__file__).parents[1] / "plugins" / "daf_driving"
TRAINED = sorted((one for one in CITYSCAPES_LABELS if 0 <= one.trainId < 255), key=lambda one: one.trainId)


def test_cityscapes19_is_in_the_order_and_colours_of_the_train_ids():
    space = label_space("cityscapes19")
    assert [one.trainId for one in TRAINED] == list(range(19))
    assert space.classes == tuple(one.name for one in TRAINED)
    assert space.palette == tuple(one.color for one in TRAINED)


@pytest.mark.parametrize("dataset", ["cityscapes", "gta5", "kitti_semantics"])
def test_label_ids_become_train_ids(dataset):
    table = labels_of(dataset, "cityscapes19").table
    wanted = {one.id: one.trainId for one in CITYSCAPES_LABELS if one.id >= 0}
    # GTA5 stores the license plate, which has the id -1 in Cityscapes, as 34.
    assert table == (wanted | {34: 255} if dataset == "gta5" else wanted)


@pytest.mark.parametrize(
    "space, left_out",
    [
        ("synthia16", {"terrain", "truck", "train"}),
        ("synthia13", {"terrain", "truck", "train", "wall", "fence", "pole"}),
    ],
)
def test_synthias_spaces_are_the_usual_parts_of_the_19(space, left_out):
    whole, part = label_space("cityscapes19"), label_space(space)
    kept = [pair for pair in zip(whole.classes, whole.palette, strict=True) if pair[0] not in left_out]
    assert list(zip(part.classes, part.palette, strict=True)) == kept
    assert len(part.classes) == int(space[-2:])


# The table in README.txt of SYNTHIA-RAND-CITYSCAPES.
SYNTHIA_IDS = {
    1: "sky",
    2: "building",
    3: "road",
    4: "sidewalk",
    5: "fence",
    6: "vegetation",
    7: "pole",
    8: "car",
    9: "traffic sign",
    10: "person",
    11: "bicycle",
    12: "motorcycle",
    15: "traffic light",
    17: "rider",
    19: "bus",
    21: "wall",
}


def test_synthias_ids_mean_what_its_readme_says():
    classes = label_space("synthia16").classes
    table = labels_of("synthia", "synthia16").table
    assert list(table) == list(range(23))
    assert {raw: classes[index] for raw, index in table.items() if index != 255} == SYNTHIA_IDS


def test_a_class_outside_the_space_is_ignored_and_the_rest_move_up():
    classes = label_space("synthia13").classes
    for dataset, raw in (("cityscapes", 17), ("gta5", 17), ("synthia", 7)):
        assert id_map(dataset)[raw] == "pole" and labels_of(dataset, "synthia13").table[raw] == 255
    assert labels_of("cityscapes", "synthia13").table[19] == labels_of("synthia", "synthia13").table[15] == 3
    assert classes[3] == "traffic light"


def test_a_class_that_a_dataset_lacks_is_named_with_the_spaces_that_fit():
    with pytest.raises(
        ValueError, match=r"synthia has no terrain, truck, train; .*or use synthia13 or synthia16, in source"
    ):
        labels_of("synthia", "cityscapes19")
    with pytest.raises(ValueError, match=r"gta5 has no pavement, .* use cityscapes19 or synthia13 or synthia16"):
        labels_of("gta5", "camvid11")


def test_an_unknown_space_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"no label space named 'citscapes19'; did you mean 'cityscapes19'\? \(known: "
    ):
        labels_of("gta5", "citscapes19")
    assert space_names() == (
        "camvid11",
        "camvid32",
        "camvid5",
        "cityscapes19",
        "idd26",
        "idd7",
        "synthia13",
        "synthia16",
    )


@pytest.mark.parametrize("name", space_names())
def test_a_space_holds_different_classes_with_colours(name):
    space = label_space(name)
    assert len(set(space.classes)) == len(space.classes) == len(space.palette) <= 255
    assert "ignore" not in space.classes
    assert len(set(space.palette)) == len(space.palette)
    assert all(0 <= value <= 255 for colour in space.palette for value in colour)


@pytest.mark.parametrize("dataset", sorted(path.stem for path in FOLDER.glob("id_maps/*.toml")))
def test_an_id_map_names_classes_of_one_space_only(dataset):
    space = {"idd_level3": "idd26", "idd_level1": "idd7"}.get(dataset, "cityscapes19")
    assert set(id_map(dataset).values()) <= {*label_space(space).classes, "ignore"}


@pytest.mark.parametrize("dataset", ["acdc", "bdd100k", "idd"])
def test_train_ids_are_places_in_cityscapes19(dataset):
    assert labels_of(dataset, "cityscapes19").table == {**{index: index for index in range(19)}, 255: 255}


@pytest.mark.parametrize(("plugin", "count"), [("daf_driving", 26), ("daf_streets", 2)])
def test_every_file_of_tables_is_installed(plugin, count):
    content = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns, folder = content["tool"]["setuptools"]["package-data"][plugin], FOLDER.with_name(plugin)
    installed = {path for pattern in patterns for path in folder.glob(pattern)}
    assert installed == set(folder.rglob("*.toml")) and len(installed) == count


def test_a_table_is_read_once():
    assert label_space("cityscapes19") is label_space("cityscapes19")
    assert id_map("gta5") is id_map("gta5")
