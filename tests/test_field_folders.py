"""``image_folder`` reads the folders of the field as they are: other names, ids in a channel, colours, lists."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from image_files import names, picture
from image_files import write as write_file

from daf_driving.image_folder import ImageFolder
from daf_driving.space_files import colour_map, id_map, label_space
from daframework.data.label_files import value_name
from daframework.errors import DataError
from daframework.testing import check_dataset

SHARED = Path(__file__).parents[2] / "shared" / "data"
CITYSCAPES = label_space("cityscapes19").classes


def pair(root, image, label, pixels, *, seed=0):
    """An image and its label of any kind."""
    pixels = np.asarray(pixels)
    write_file(root / image, picture(seed, shape=(*pixels.shape[:2], 3)))
    write_file(root / label, pixels)


def made(root, split="train", **options):
    dataset = ImageFolder(root=str(root), split=split, **options)
    check_dataset(dataset)
    return dataset


def classes(dataset, index=0):
    named = {255: "ignore", **dict(enumerate(dataset.classes))}
    return [named[index] for index in dataset[index].label.flatten().tolist()]


# --- layouts of the field ---


def test_the_original_camvid(tmp_path):
    colours = [[(0, 0, 192), (128, 64, 128), (64, 192, 0), (0, 0, 0)]]
    for name in ("0001TP_006690", "0016E5_00390", "Seq05VD_f00000"):
        pair(tmp_path, f"701_StillsRaw_full/{name}.png", f"LabeledApproved_full/{name}_L.png", colours)
    (tmp_path / "train.txt").write_text("0001TP_006690.png\r\nSeq05VD_f00000.png\r\n")
    (tmp_path / "test.txt").write_text("701_StillsRaw_full/0016E5_00390.png LabeledApproved_full/0016E5_00390_L.png\n")
    options = {
        "images_folder": "701_StillsRaw_full",
        "labels_folder": "LabeledApproved_full",
        "label_ending": "_L.png",
        "classes": "camvid32",
        "colours": "camvid32",
        "list_file": "train.txt",
        "test_list_file": "test.txt",
    }
    dataset = made(tmp_path, **options)
    assert names(dataset) == ["0001TP_006690", "Seq05VD_f00000"] and dataset.problems(labelled=True) == []
    assert names(made(tmp_path, "test", **options)) == ["0016E5_00390"]
    assert classes(dataset) == ["Sidewalk", "Road", "Wall", "Void"]
    assert dataset.palette == label_space("camvid32").palette


def test_a_recipe_reads_the_original_camvid_in_the_11_classes(tmp_path, write, source_only, daf):
    for index, (name, colour) in enumerate({"0001TP_006690": (0, 0, 192), "0016E5_00390": (64, 192, 0)}.items()):
        pair(tmp_path, f"images/{name}.png", f"labels/{name}_L.png", np.full((16, 24, 3), colour), seed=index)
        (tmp_path / f"{index}.txt").write_text(f"{name}\n")
    options = {"name": "image_folder", "root": str(tmp_path), "label_ending": "_L.png", "colours": "camvid32"}
    options |= {"classes": "camvid32", "list_file": "0.txt", "test_list_file": "1.txt"}
    source_only |= {"source": options, "target": options}
    source_only["data"]["classes"] = "camvid11"
    found = tmp_path / "found.json"
    code, _, errors = daf("data", "check", write(source_only), "--workers", 0, "--json", found)
    sets = json.loads(found.read_text())["sets"]
    assert code == 0, errors
    assert [sets[place]["classes"][name]["pixels"] for place, name in ((0, "pavement"), (-1, "building"))] == [384, 384]


@pytest.mark.parametrize("kind", ["RGBA", "R=G=B", "red only", "grey"])
@pytest.mark.parametrize("ids, sky, car", [("carla_0.9.13", 13, 10), ("carla", 11, 14)])
def test_carla(tmp_path, kind, ids, sky, car):
    tags = np.array([[sky, car, 0]])
    zero, full = np.zeros_like(tags), np.full_like(tags, 255)
    channels = {"RGBA": [tags, zero, zero, full], "R=G=B": [tags] * 3, "red only": [tags, zero, full]}
    pixels = tags if kind == "grey" else np.stack(channels[kind], axis=-1)
    pair(tmp_path, "_out/rgb/00012345.png", "_out/seg/00012345.png", pixels)
    options = {"train_folder": "_out", "images_folder": "rgb", "labels_folder": "seg", "channel": "red", "ids": ids}
    assert classes(made(tmp_path, classes=["sky", "car"], **options)) == ["sky", "car", "ignore"]
    shipped = [name for name in CITYSCAPES if name in id_map(ids).values()]
    assert len(made(tmp_path, classes=shipped, **options).classes) == (19 if ids == "carla" else 13)


def test_carlascapes(tmp_path):
    for town, split in (("Town01", "train"), ("Town15", "test")):
        begin = f"{split}/{town}/{town}_000010_074800"
        pair(tmp_path, f"{begin}_img.png", f"{begin}_labelIds.png", [[1, 11, 24]])
        write_file(tmp_path / f"{begin}_color.png", picture(shape=(1, 3, 3)))
        (tmp_path / f"{begin}_instance.json").write_text("{}")
    options = {"image_ending": "_img.png", "label_ending": "_labelIds.png", "images_folder": ".", "labels_folder": "."}
    folders = {"train_folder": "train", "test_folder": "test"}
    dataset = made(tmp_path, "test", classes="cityscapes19", ids="carla", **options, **folders)
    assert names(dataset) == ["Town15/Town15_000010_074800"] and dataset.problems(labelled=True) == []
    assert classes(dataset) == ["road", "sky", "road"]


def test_airsim(tmp_path):
    for time in (1579, 1580):
        images = f"images/img_Drone__0_{time}.png", f"images/img_Drone__5_{time}.png"
        pair(tmp_path, *images, [[(153, 108, 6), (112, 105, 191)]])
    options = {"image_beginning": "img_Drone__0_", "label_beginning": "img_Drone__5_", "labels_folder": "images"}
    colours = {"153,108,6": "road", "112,105,191": "ignore"}
    dataset = made(tmp_path, classes=["road"], colours=colours, **options)
    assert names(dataset) == ["1579", "1580"] and classes(dataset) == ["road", "ignore"]
    (tmp_path / "images/img_Drone__5_1580.png").unlink()
    with pytest.raises(DataError, match=r"img_Drone__0_1580\.png: without a label in .*add img_Drone__5_NAME\.png"):
        made(tmp_path, classes=["road"], colours=colours, **options)[0]


@pytest.mark.parametrize("between", ["\t", " ", ", "])
def test_apolloscape_lane_marks(tmp_path, between):
    colours = {"70,130,180": "dividing", "0,0,0": "ignore"}
    stem = "Record001/Camera 5/170927_063811892_Camera_5"
    for name in (stem, stem.replace("811", "812")):
        pixels = [[(70, 130, 180), (0, 0, 0)]]
        pair(tmp_path, f"ColorImage_road02/ColorImage/{name}.jpg", f"Labels_road02/Label/{name}_bin.png", pixels)
    line = f"road02_ins/ColorImage/{stem}.jpg{between}road02_ins/Label/{stem}_bin.png\n"
    (tmp_path / "train.lst").write_text(line)
    dataset = made(
        tmp_path,
        images_folder="ColorImage_road02/ColorImage",
        labels_folder="Labels_road02/Label",
        label_ending="_bin.png",
        list_file="train.lst",
        classes=["dividing"],
        colours=colours,
    )
    assert names(dataset) == [stem] and classes(dataset) == ["dividing", "ignore"]


def test_dark_zurich(tmp_path):
    for split, name in (("train", "GOPR0351/GOPR0351_frame_000159"), ("val", "GOPR0356/GOPR0356_frame_000321")):
        write_file(tmp_path / f"rgb_anon/{split}/night/{name}_rgb_anon.png", picture(shape=(1, 2, 3)))
    pair(tmp_path, f"rgb_anon/val/night/{name}_rgb_anon.png", f"gt/val/night/{name}_gt_labelTrainIds.png", [[10, 255]])
    write_file(tmp_path / f"gt/val/night/{name}_gt_labelColor.png", picture(shape=(1, 2, 3)))
    (tmp_path / "lists_file_names").mkdir()
    (tmp_path / "lists_file_names/val_filenames.txt").write_text(f"val/night/{name}\n")
    options = {
        "images_folder": "rgb_anon/{split}",
        "labels_folder": "gt/{split}",
        "train_folder": "train/night",
        "test_folder": "val/night",
        "image_ending": "_rgb_anon.png",
        "label_ending": "_gt_labelTrainIds.png",
        "ids": "dark_zurich",
        "classes": "cityscapes19",
        "test_list_file": "lists_file_names/val_filenames.txt",
    }
    train = ImageFolder(root=str(tmp_path), split="train", **options)
    assert names(train) == ["GOPR0351/GOPR0351_frame_000159"]
    test = made(tmp_path, "test", **options)
    assert names(test) == [name] and classes(test) == ["sky", "ignore"] and test.problems(labelled=True) == []


def test_wilddash2(tmp_path):
    pair(tmp_path, "images/aa0000.jpg", "labels/aa0000_labelIds.png", [[35, 46, 52, 69, 80, 33]])
    dataset = made(tmp_path, label_ending="_labelIds.png", classes="cityscapes19", ids="wilddash2")
    assert classes(dataset) == ["car", "pole", "sidewalk", "ignore", "sidewalk", "bicycle"]


def test_synscapes(tmp_path):
    pair(tmp_path, "img/rgb/1.png", "img/class/1.png", [[7, 23]])
    folders = {"train_folder": "img", "images_folder": "rgb", "labels_folder": "class"}
    assert classes(made(tmp_path, classes="cityscapes19", ids="synscapes", **folders)) == ["road", "sky"]


def test_virtual_kitti_2(tmp_path):
    colours = [[(100, 60, 100), (0, 199, 0), (0, 139, 139), (80, 80, 80)]]
    for scene in ("Scene01", "Scene20"):
        frames = f"{scene}/clone/frames"
        image = f"{frames}/rgb/Camera_0/rgb_00000.jpg"
        pair(tmp_path, image, f"{frames}/classSegmentation/Camera_0/classgt_00000.png", colours)
        for link, kind in (("images", "rgb"), ("labels", "classSegmentation")):
            (tmp_path / link).mkdir(exist_ok=True)
            (tmp_path / link / scene).symlink_to(f"../{frames}/{kind}")
    beginnings = {"image_beginning": "rgb_", "label_beginning": "classgt_"}
    dataset = made(tmp_path, classes=["road", "vegetation", "car"], colours="vkitti2", **beginnings)
    assert names(dataset) == ["Scene01/Camera_0/00000", "Scene20/Camera_0/00000"]
    assert classes(dataset) == ["road", "vegetation", "car", "ignore"]


def test_train_ids_that_a_tool_wrote_beside_gta5s_labels_are_read_where_asked_for(tmp_path):
    pair(tmp_path, "images/00001.png", "labels/00001.png", picture(shape=(1, 2, 3)))
    write_file(tmp_path / "labels/00001_labelTrainIds.png", [[0, 255]])
    dataset = made(tmp_path, label_ending="_labelTrainIds.png", classes="cityscapes19", ids="cityscapes_train_ids")
    assert classes(dataset) == ["road", "ignore"] and dataset.problems(labelled=True) == []


# --- what is read otherwise is still checked ---


def test_an_unknown_colour_is_refused_with_its_file_its_pixels_and_a_near_one(tmp_path):
    pair(tmp_path, "images/1.png", "labels/1.png", [[(128, 64, 128), (127, 64, 128), (127, 64, 128), (9, 9, 9)]])
    dataset = made_unread(tmp_path, colours={"128,64,128": "road"})
    says = (
        "labels/1.png: colours 127,64,128 (2 pixels), 9,9,9 (1 pixel) are not among the 1 colours named; "
        "127,64,128 is one step from road's 128,64,128; give it a class or ignore in colours"
    )
    with pytest.raises(DataError, match=re.escape(says)):
        dataset[0]
    assert says in dataset.inspect(0, labelled=True).problems[0]


def made_unread(root, **options):
    return ImageFolder(root=str(root), split="train", classes=["road"], **options)


def test_an_unknown_id_in_a_channel_is_refused_with_its_file_and_pixels(tmp_path):
    pair(tmp_path, "images/1.png", "labels/1.png", [[(7, 0, 0), (8, 0, 0)]])
    with pytest.raises(DataError, match=r"labels/1\.png: id 8 \(1 pixel\) is not in the id map \(known: 7\)"):
        made_unread(tmp_path, channel="red", ids={"7": "road"})[0]


@pytest.mark.parametrize("options", [{"colours": {"7,0,0": "road"}}, {"channel": "red", "ids": {"7": "road"}}])
def test_transparent_pixels_are_ignored_whatever_their_colour(tmp_path, options):
    pair(tmp_path, "images/1.png", "labels/1.png", [[(7, 0, 0, 255), (7, 0, 0, 0), (9, 9, 9, 0)]])
    assert classes(made_unread(tmp_path, **options)) == ["road", "ignore", "ignore"]


def test_colours_where_ids_are_meant_are_refused_with_the_key_that_reads_them(tmp_path):
    pair(tmp_path, "images/1.png", "labels/1.png", [[(7, 0, 0)]])
    with pytest.raises(DataError, match=r'holds colours \(mode RGB\); if one channel holds the ids.* channel = "red"'):
        made_unread(tmp_path, ids={"7": "road"})[0]


# --- the maps that ship ---


def test_camvids_colours_are_those_of_its_32_classes():
    space = label_space("camvid32")
    assert len(space.classes) == len(set(space.palette)) == 32
    assert {*space.classes} == {*label_space("camvid11").maps["camvid32"]}
    assert space.palette[space.classes.index("Sidewalk")] == (0, 0, 192)


def test_a_colour_map_names_classes_of_cityscapes19_only():
    meanings = colour_map("vkitti2")
    assert set(meanings.values()) <= {*CITYSCAPES, "ignore"} and len(meanings) == 15
    assert {value_name(code, colours=True): one for code, one in meanings.items()}["210,0,200"] == "terrain"


def test_wilddashs_first_ids_are_cityscapes_and_all_81_are_known():
    wilddash, cityscapes = id_map("wilddash2"), id_map("cityscapes")
    assert list(wilddash) == list(range(81))
    assert all(wilddash[number] == cityscapes[number] for number in range(34))


# --- real files ---


@pytest.mark.skipif(not (SHARED / "airsim").is_dir(), reason=f"no AirSim images in {SHARED}")
def test_real_airsim_labels_are_read():
    ids = {
        "0": "sky",
        "1": "building",
        "2": "pole",
        "3": "road",
        "4": "pavement",
        "5": "tree",
        "7": "fence",
        "8": "car",
    }
    options = {"classes": list(ids.values()), "ids": {**ids, "255": "ignore"}, "channel": "red"}
    folders = {"train_folder": "train", "test_folder": "test"}
    sets = [ImageFolder(root=str(SHARED / "airsim"), split=one, **options, **folders) for one in ("train", "test")]
    assert [len(one) for one in sets] == [1367, 166]
    assert [one.problems(labelled=True) for one in sets] == [[], []]
    assert {name for one in sets for index in range(0, len(one), 80) for name in classes(one, index)} > {"sky", "road"}


@pytest.mark.skipif(not (SHARED / "camvid").is_dir(), reason=f"no CamVid in {SHARED}")
def test_real_camvid_is_read_by_its_folders_as_by_its_own_dataset():
    space = label_space("camvid11")
    ids = {str(place): name for place, name in enumerate((*space.classes, "ignore"))}
    folders = {
        "images_folder": "{split}",
        "labels_folder": "{split}annot",
        "train_folder": "train",
        "test_folder": "test",
    }
    dataset = ImageFolder(root=str(SHARED / "camvid"), split="test", classes="camvid11", ids=ids, **folders)
    assert len(dataset) == 233 and dataset.problems(labelled=True) == []
    assert set(classes(dataset)) <= {*space.classes, "ignore"} and "road" in classes(dataset)
