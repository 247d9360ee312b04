"""Mapillary Vistas: palette labels of two versions whose ids overlap and mean different things."""

import re
from importlib.resources import files

import numpy as np
import pytest
from image_files import names, picture, write, write_deep, write_palette

from daf_driving.mapillary_vistas import MapillaryVistas
from daf_driving.space_files import id_map
from daframework.errors import DataError
from daframework.testing import check_dataset

FRAMES = {
    "training": ["-6-WLs7O63-6cwx-8adk7g", "___lsWlSt4a6bhPLnWblI2"],
    "validation": ["0035fkbjWljhaftpVM37-g"],
    "testing": ["zzS5pMgSBBNOECuFE7JzGw"],
}
COUNTS = {"v1.2": 66, "v2.0": 124}
SHAPES = ((11, 12), (16, 9))  # wide and tall
ROAD, CAR, SKY = {"v1.2": 13, "v2.0": 21}, {"v1.2": 55, "v2.0": 108}, {"v1.2": 27, "v2.0": 61}


def label(version, shape):
    """Every id that the version has."""
    return np.resize(np.arange(COUNTS[version]), shape)


def build(root, layout="2.0"):
    """The archive of version 2.0, which holds both versions of the labels, or one of version 1."""
    for folder, frames in FRAMES.items():
        for index, frame in enumerate(frames):
            shape = SHAPES[index]
            write(root / folder / "images" / f"{frame}.jpg", picture(index, (*shape, 3)))
            if folder == "testing":  # its labels are not public
                continue
            for version in COUNTS if layout == "2.0" else ("v1.2",):
                base = root / folder / version if layout == "2.0" else root / folder
                write_palette(base / "labels" / f"{frame}.png", label(version, shape))
                write_deep(base / "instances" / f"{frame}.png", label(version, shape) * 256)
                write(base / "panoptic" / f"{frame}.png", picture(index, (*shape, 3)))
                (base / "panoptic" / "panoptic_2020.json").write_text("{}")
    for name in ("config_v1.2.json", "config_v2.0.json") if layout == "2.0" else ("config.json",):
        (root / name).write_text("{}")


@pytest.fixture
def mapillary(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return MapillaryVistas(root=str(root), split=split, **options)


def test_splits_are_training_and_validation_of_any_size(mapillary):
    dataset = made(mapillary)
    assert names(dataset) == FRAMES["training"]
    assert names(made(mapillary, "test")) == FRAMES["validation"]
    assert names(made(mapillary, train_folders=["testing"])) == FRAMES["testing"]
    assert [tuple(dataset[index].label.shape) for index in (0, 1)] == list(SHAPES)


@pytest.mark.parametrize("version", COUNTS)
def test_palette_indices_of_either_version_become_the_classes(mapillary, version):
    dataset = made(mapillary, version=version)
    check_dataset(dataset)
    found = dict(zip(label(version, SHAPES[0]).flatten().tolist(), dataset[0].label.flatten().tolist(), strict=True))
    meaning = {raw: dataset.classes[index] for raw, index in found.items() if index != 255}
    assert meaning[ROAD[version]] == "road" and meaning[CAR[version]] == "car" and meaning[SKY[version]] == "sky"
    assert found[COUNTS[version] - 1] == 255  # unlabelled
    assert set(meaning.values()) == set(dataset.classes)


def test_an_archive_of_version_1_has_labels_without_a_folder_of_their_version(tmp_path):
    build(tmp_path, "1.1")
    dataset = made(tmp_path)
    assert (dataset[0].label.numpy() == 0)[label("v1.2", SHAPES[0]) == 13].all()
    with pytest.raises(DataError, match=r"training/v2\.0/labels: no such folder"):
        made(tmp_path, version="v2.0")[0]


def test_labels_of_2_0_are_never_read_as_those_of_1_2(mapillary):
    """Even where all ids are known to both: the folder says which version it is."""
    for path in (mapillary / "training" / "v1.2" / "labels").iterdir():
        path.unlink()
    (mapillary / "training" / "v1.2" / "labels").rmdir()
    with pytest.raises(DataError, match=r"training/v1\.2/labels: no such folder"):
        made(mapillary)[0]
    (mapillary / "training" / "v2.0" / "labels").rename(mapillary / "training" / "labels")
    with pytest.raises(
        DataError, match=r"labels/-6-.*\.png: ids 66 \(1 pixel\), .* not in the id map \(known: 0\.\.65\)"
    ):
        made(mapillary)[0]


# --- what the ids mean ---


def read_names(version):
    """Each id's name in the set's own configuration, which stands behind it in the file of meanings."""
    content = files("daf_driving").joinpath("id_maps", f"mapillary_vistas_{version}.toml").read_text(encoding="utf-8")
    return {int(raw): name for raw, name in re.findall(r'^(\d+) = ".*"  # (\S+)$', content, re.MULTILINE)}


def meanings(version):
    table = id_map(f"mapillary_vistas_{version}")
    known = read_names(version)
    assert list(table) == list(known) == list(range(COUNTS[version]))
    return {known[raw]: meaning for raw, meaning in table.items()}


# gen_id_to_ignore in datasets/mapillary.py of shachoi/RobustNet.
ROBUSTNET = {
    "road": {13, 24, 41},
    "sidewalk": {2, 15},
    "building": {17},
    "wall": {6},
    "fence": {3},
    "pole": {45, 47},
    "traffic light": {48},
    "traffic sign": {50},
    "vegetation": {30},
    "terrain": {29},
    "sky": {27},
    "person": {19},
    "rider": {20, 21, 22},
    "car": {55},
    "truck": {61},
    "bus": {54},
    "train": {58},
    "motorcycle": {57},
    "bicycle": {52},
}


def test_version_1_2_is_read_as_robustnet_does():
    table = id_map("mapillary_vistas_v1.2")
    assert {
        name: {raw for raw in table if table[raw] == name} for name in set(table.values()) - {"ignore"}
    } == ROBUSTNET


def test_a_class_of_both_versions_means_the_same():
    old, new = meanings("v1.2"), meanings("v2.0")
    both = set(old) & set(new)
    assert len(both) == 61 and {name: old[name] for name in both} == {name: new[name] for name in both}
    assert set(old) - set(new) == {
        "human--person",
        "marking--crosswalk-zebra",
        "marking--general",
        "object--billboard",
        "object--traffic-light",
    }


def test_the_parts_of_a_class_mean_what_the_whole_meant():
    old, new = meanings("v1.2"), meanings("v2.0")
    fresh = {name: meaning for name, meaning in new.items() if name not in old}
    for name, meaning in fresh.items():
        if name.startswith("marking"):
            whole = "marking--crosswalk-zebra" if name.endswith("crosswalk-zebra") else "marking--general"
        elif name.startswith(("human--person", "object--traffic-light")):
            whole = "--".join(name.split("--")[:2])
        elif name in ("object--traffic-sign--direction-front", "object--traffic-sign--temporary-front"):
            whole = "object--traffic-sign--front"
        elif name == "object--support--pole-group":
            whole = "object--support--pole"
        else:
            assert meaning == "ignore", name
            continue
        assert meaning == old[whole], name
