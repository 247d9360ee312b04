"""Sets with depth, in the layouts that they are distributed in."""

import re

import numpy as np
import pytest
from image_files import names, picture, pixels, write, write_deep

from daf_driving.kitti_depth import KittiDepth
from daf_driving.space_files import label_space
from daf_driving.virtual_kitti2 import VirtualKitti2
from daframework.errors import DataError
from daframework.testing import check_dataset

# --- Virtual KITTI 2 ---

CENTIMETRES = np.array([[65535, 1234, 65534], [1, 40000, 100]])
COLOURS = np.array(
    [[(90, 200, 255), (210, 0, 200), (0, 139, 139)], [(100, 60, 100), (80, 80, 80), (160, 60, 60)]], np.uint8
)
MEANT = [["sky", "terrain", "car"], ["road", None, "truck"]]


def build_virtual(root, scenes=("Scene01", "Scene20"), kinds=("clone", "fog"), cameras=("Camera_0", "Camera_1")):
    """Two frames of each; an image says by its first value where it belongs."""
    of_all = [(scene, kind, camera) for scene in scenes for kind in kinds for camera in cameras]
    for index, (scene, kind, camera) in enumerate(of_all):
        for frame in (0, 1):
            frames = root / scene / kind / "frames"
            write(frames / "rgb" / camera / f"rgb_{frame:05}.jpg", np.full((2, 3, 3), 20 * index + frame))
            write_deep(frames / "depth" / camera / f"depth_{frame:05}.png", CENTIMETRES)
            write(frames / "classSegmentation" / camera / f"classgt_{frame:05}.png", COLOURS)


@pytest.fixture
def virtual(tmp_path):
    build_virtual(tmp_path)
    return tmp_path


VIRTUAL = {"train_folders": ["Scene01"], "test_folders": ["Scene20"]}


def made_virtual(root, split="train", **options):
    return VirtualKitti2(root=str(root), split=split, **{**VIRTUAL, **options})


def test_virtual_kittis_centimetres_are_metres_and_its_sky_is_invalid(virtual):
    sample = made_virtual(virtual)[1]
    assert sample.name == "Scene01/clone/Camera_0/00001"
    assert sample.others["depth"].numpy() == pytest.approx(np.array([[0, 12.34, 655.34], [0.01, 400, 1]]))


def test_virtual_kittis_colours_are_classes_in_cityscapes_names_and_colours(virtual):
    dataset = made_virtual(virtual)
    label = dataset[0].label
    assert [[None if index == 255 else dataset.classes[index] for index in row] for row in label.tolist()] == MEANT
    whole = label_space("cityscapes19")
    assert len(dataset.classes) == 10 and tuple(dataset.classes) == VirtualKitti2.classes
    for name, colour in zip(dataset.classes, dataset.palette, strict=True):
        assert colour == whole.palette[whole.classes.index(name)]
    part = made_virtual(virtual, classes=["road", "sky"])
    assert part[0].label.tolist() == [[1, 255, 255], [0, 255, 255]] and len(part.palette) == 2


def test_virtual_kittis_images_are_those_of_scenes_variants_and_cameras(virtual):
    test = made_virtual(virtual, "test", variants=["fog", "clone"], cameras=["Camera_1"])
    wanted = [f"Scene20/{kind}/Camera_1/0000{frame}" for kind in ("fog", "clone") for frame in (0, 1)]
    assert names(test) == wanted
    # The order of the files: both variants of a scene, both cameras of each.
    assert [int(test.unlabelled(index).image[0, 0, 0]) for index in range(4)] == [140, 141, 100, 101]
    assert test.file(0) == virtual / "Scene20/fog/frames/rgb/Camera_1/rgb_00000.jpg"


@pytest.mark.parametrize("gone, left", [("depth", "semantic"), ("classSegmentation", "depth")])
def test_virtual_kitti_has_the_labels_that_there_are_folders_of(virtual, gone, left):
    assert list(made_virtual(virtual).labels) == ["semantic", "depth"]
    for folder in list(virtual.rglob(gone)):
        folder.rename(folder.with_name("gone"))
    dataset = made_virtual(virtual)
    assert list(dataset.labels) == [left] and (dataset.classes == ()) == (left == "depth")
    assert (dataset[0].label is None) == (left == "depth") and bool(dataset[0].others) == (left == "depth")
    wanted = {"depth": "depth", "classSegmentation": "semantic"}[gone]
    with pytest.raises(DataError, match=rf"{gone}/Camera_0: no such folder; check the dataset's root"):
        made_virtual(virtual, labels=[wanted])[0]


def test_virtual_kitti_reads_what_is_asked_for(virtual):
    depth = made_virtual(virtual, labels=["depth"])
    (virtual / "Scene01/clone/frames/classSegmentation/Camera_0/classgt_00000.png").write_text("not to be opened")
    assert list(depth.labels) == ["depth"] and depth[0].label is None and depth.classes == ()
    semantic = made_virtual(virtual, labels=["semantic"])
    assert not semantic[1].others


@pytest.mark.parametrize(
    "split, options, says",
    [
        ("test", {"test_folders": []}, "no scene is of the split 'test'; there is no official split"),
        ("train", {"test_folders": ["Scene01"]}, "Scene01 would be in both splits; there is no official split"),
        ("train", {"train_folders": ["Scene03"]}, "Scene03/clone/frames/rgb/Camera_0: no such folder"),
        ("train", {"variants": ["rain"]}, "Scene01/rain/frames/rgb/Camera_0: no such folder"),
        ("train", {"train_folders": ["Scene01", "Scene01"]}, "share a name; name each folder once"),
    ],
)
def test_scenes_that_are_not_there_are_told(virtual, split, options, says):
    with pytest.raises(DataError, match=re.escape(says)):
        made_virtual(virtual, split, **options)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"classes": ["road", "person"]}, "classes: virtual_kitti2 has no person; take out what never occurs"),
        ({"variants": []}, "classes, variants, cameras and labels must name at least one each"),
        ({"labels": []}, "classes, variants, cameras and labels must name at least one each"),
    ],
)
def test_virtual_kittis_bad_options_are_refused(options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        made_virtual("/nowhere", **options)


def test_an_unknown_colour_of_virtual_kitti_is_told(virtual):
    path = virtual / "Scene01/clone/frames/classSegmentation/Camera_0/classgt_00000.png"
    write(path, np.full((2, 3, 3), (100, 60, 101)))
    with pytest.raises(DataError, match=r"classgt_00000\.png: colour 100,60,101 \(6 pixels\) .* one step from road's"):
        made_virtual(virtual)[0]


def test_virtual_kittis_files_without_a_partner_are_named(virtual):
    frames = virtual / "Scene01/clone/frames"
    (frames / "depth/Camera_0/depth_00001.png").unlink()
    (frames / "rgb/Camera_0/rgb_00000.jpg").unlink()
    told = made_virtual(virtual).problems(labelled=True)
    assert len(told) == 3 and all(re.search(r"without (a label in|an image in)", line) for line in told)
    assert sum("rgb_00001.jpg: without a label in" in line for line in told) == 1
    assert sum("depth_00000.png: without an image in" in line for line in told) == 1


# --- KITTI's depth ---

DRIVES = ("2011_09_26_drive_0001_sync", "2011_09_28_drive_0002_sync")
CAMERAS = ("image_02", "image_03")
MEASURED = np.array([[0, 256, 0, 640], [0, 0, 20480, 1]])  # nothing, 1 m, 2.5 m, 80 m, 1 / 256 m


def build_kitti(root):
    """Of each drive's five images the first and last have no depth, as distributed; three images are chosen."""
    for index, (drive, camera) in enumerate((drive, camera) for drive in DRIVES for camera in CAMERAS):
        for frame in range(5):
            raw = root / drive[:10] / drive / camera / "data" / f"{frame:010}.png"
            write(raw, picture(10 * index + frame, (2, 4, 3)))
            if 0 < frame < 4:
                part = "train" if drive == DRIVES[0] else "val"
                write_deep(root / part / drive / "proj_depth" / "groundtruth" / camera / raw.name, MEASURED)
    chosen = root / "depth_selection" / "val_selection_cropped"
    for frame, camera in ((1, "image_02"), (1, "image_03"), (3, "image_02")):
        write(chosen / "image" / f"{DRIVES[1]}_image_{frame:010}_{camera}.png", picture(50 + frame, (2, 4, 3)))
        write_deep(chosen / "groundtruth_depth" / f"{DRIVES[1]}_groundtruth_depth_{frame:010}_{camera}.png", MEASURED)
        (chosen / "intrinsics").mkdir(exist_ok=True)


@pytest.fixture
def kitti(tmp_path):
    build_kitti(tmp_path)
    return tmp_path


def made_kitti(root, split="train", **options):
    return KittiDepth(root=str(root), split=split, **options)


def test_kittis_depth_is_the_value_by_256_and_zero_is_invalid(kitti):
    dataset = made_kitti(kitti)
    assert list(dataset.labels) == ["depth"] and (dataset.classes, dataset.palette) == ((), ())
    sample = dataset[0]
    assert sample.label is None and sample.others["depth"].tolist() == [[0, 1, 0, 2.5], [0, 0, 80, 1 / 256]]


def test_kittis_images_are_those_of_the_raw_data_that_have_depth(kitti):
    dataset = made_kitti(kitti)
    frames = [f"{frame:010}" for frame in (1, 2, 3)]
    assert names(dataset) == [f"{DRIVES[0]}/{camera}/{frame}" for camera in CAMERAS for frame in frames]
    assert np.array_equal(pixels(dataset[4]), picture(12, (2, 4, 3))) and dataset.problems(labelled=True) == []
    assert names(made_kitti(kitti, cameras=["image_03"])) == names(dataset)[3:]
    assert names(made_kitti(kitti, "test", test_folder="val"))[0] == f"{DRIVES[1]}/image_02/{frames[0]}"


def test_kittis_chosen_images_lie_beside_their_depth(kitti):
    dataset = made_kitti(kitti, "test")
    ends = ("image_0000000001_image_02", "image_0000000001_image_03", "image_0000000003_image_02")
    assert names(dataset) == [f"{DRIVES[1]}_{end}" for end in ends]
    assert np.array_equal(pixels(dataset[2]), picture(53, (2, 4, 3))) and dataset[2].others["depth"].max() == 80
    left = made_kitti(kitti, "test", cameras=["image_02"])
    assert names(left) == names(dataset)[::2] and left[1].others and left.problems(labelled=True) == []


def test_the_raw_data_may_lie_elsewhere(kitti):
    (kitti / "raw").mkdir()
    for date in ("2011_09_26", "2011_09_28"):
        (kitti / date).rename(kitti / "raw" / date)
    assert len(made_kitti(kitti, raw_folder="raw")) == 6
    with pytest.raises(DataError, match=r"image_02/data: no such folder, but .* has depth: fetch the raw data of this"):
        made_kitti(kitti)


def test_drives_are_kept_by_the_beginning_of_their_names(kitti):
    for split in ("train", "test"):
        kept, other = DRIVES if split == "train" else DRIVES[::-1]
        assert names(made_kitti(kitti, split, drives=[kept[:21]])) == names(made_kitti(kitti, split))
        with pytest.raises(DataError, match=rf"nothing is left with drives = \['{other}'\] \(known there: {kept}"):
            made_kitti(kitti, split, drives=[other])


def test_kittis_partners_are_missed(kitti):
    chosen = kitti / "depth_selection" / "val_selection_cropped"
    (chosen / "groundtruth_depth" / f"{DRIVES[1]}_groundtruth_depth_0000000003_image_02.png").unlink()
    (chosen / "image" / f"{DRIVES[1]}_image_0000000001_image_02.png").unlink()
    lone, orphan = made_kitti(kitti, "test").problems(labelled=True)
    assert "_image_0000000003_image_02.png: without a label in" in lone
    assert "_groundtruth_depth_0000000001_image_02.png: without an image in" in orphan
    (kitti / DRIVES[0][:10] / DRIVES[0] / "image_02" / "data" / "0000000002.png").unlink()
    dataset = made_kitti(kitti)
    with pytest.raises(DataError, match=r"groundtruth/image_02/0000000002\.png: without an image in .*image_02/data"):
        dataset[0]


@pytest.mark.parametrize(
    "split, options, says",
    [
        ("train", {}, r"{}/train: no such folder; check the dataset's root"),
        ("test", {}, r"{}/depth_selection/val_selection_cropped/image: no such folder; check the dataset's root"),
        ("test", {"test_folder": "val"}, r"{}/val: no such folder; check the dataset's root"),
    ],
)
def test_kittis_wrong_root_is_told(tmp_path, split, options, says):
    with pytest.raises(DataError, match=re.escape(says.format(tmp_path))):
        made_kitti(tmp_path, split, **options)


def test_kittis_cameras_must_be_named():
    with pytest.raises(ValueError, match="cameras must name at least one of image_02, image_03"):
        made_kitti("/nowhere", cameras=[])


# --- both ---


@pytest.mark.parametrize("build, factory", [(build_virtual, VirtualKitti2), (build_kitti, KittiDepth)])
def test_images_are_given_without_opening_a_label(build, factory, tmp_path):
    build(tmp_path)
    options = {"train_folders": ["Scene01"]} if factory is VirtualKitti2 else {}
    dataset = factory(root=str(tmp_path), split="train", **options)
    for path in (*tmp_path.rglob("depth_*.png"), *tmp_path.rglob("proj_depth/**/*.png")):
        path.write_text("not to be opened")
    check_dataset(dataset, labelled=False)
    assert not dataset.unlabelled(0).others and dataset.inspect(0, labelled=False).problems == []
    assert len(dataset.inspect(0, labelled=True).problems) == 1


@pytest.mark.parametrize("name, factory", [("virtual_kitti2", VirtualKitti2), ("kitti_depth", KittiDepth)])
def test_the_root_comes_from_the_environment_or_the_error_says_how(name, factory, tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path))}/{name}/.*: no such folder"):
        factory(split="train")
    monkeypatch.delenv("DAF_DATA")
    with pytest.raises(DataError, match=rf"{name}: no folder given; .* {name}/"):
        factory(split="train")
