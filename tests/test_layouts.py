"""What holds for every dataset of files that is read in the layout it is distributed in."""

import inspect
import re

import numpy as np
import pytest
import test_acdc
import test_bdd100k
import test_cityscapes
import test_driving
import test_gta5
import test_idd
import test_kitti_semantics
import test_mapillary_vistas
import test_synthia
from attrs import field, frozen
from image_files import names, picture, pixels, write

from daf_driving.pairing import PREPARED
from daf_driving.space_files import label_space
from daframework.errors import DataError
from daframework.registry import components, load_plugins
from daframework.testing import check_dataset


@frozen
class Layout:
    """How to make up a dataset's files, and where its first training image and label lie."""

    name: str
    build: callable
    image: str
    label: str
    first: str
    holds: str
    unknown_id: int
    options: dict = field(factory=dict)
    test_options: dict = field(factory=dict)
    own: str = "cityscapes19"
    known: str = "cityscapes19"  # without data


LAYOUTS = {
    "gta5": Layout("gta5", test_gta5.build, "images/00001.png", "labels/00001.png", "00001", "images/ and labels/", 35),
    "synthia": Layout(
        "synthia",
        test_synthia.build,
        "RGB/0000000.png",
        "GT/LABELS/0000000.png",
        "0000000",
        "RGB/ and GT/",
        23,
        own="synthia16",
        known="synthia16",
    ),
    "cityscapes": Layout(
        "cityscapes",
        test_cityscapes.build,
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png",
        "aachen/aachen_000000_000019",
        "leftImg8bit/ and gtFine/",
        255,  # a file that holds it holds train ids
    ),
    "camvid": Layout(
        "camvid",
        test_driving.build_camvid,
        "train/0001TP_1.png",
        "trainannot/0001TP_1.png",
        "0001TP_1",
        "train/ and trainannot/",
        12,
        own="camvid11",
        known="camvid11",
    ),
    "idd": Layout(
        "idd",
        test_idd.build,
        "leftImg8bit/train/0/024541_leftImg8bit.png",
        "gtFine/train/0/024541_gtFine_labelcsTrainIds.png",
        "0/024541",
        "leftImg8bit/ and gtFine/",
        19,
    ),
    "idd lite": Layout(
        "idd",
        test_idd.build_lite,
        "leftImg8bit/train/0/024541_image.jpg",
        "gtFine/train/0/024541_label.png",
        "0/024541",
        "leftImg8bit/ and gtFine/",
        7,
        {"version": "lite"},
        own="idd7",
    ),
    "bdd100k": Layout(
        "bdd100k",
        test_bdd100k.build,
        "images/10k/train/0004a4c0-d4dff0ad.jpg",
        "labels/sem_seg/masks/train/0004a4c0-d4dff0ad.png",
        "0004a4c0-d4dff0ad",
        "images/ and labels/",
        19,
    ),
    "acdc": Layout(
        "acdc",
        test_acdc.build,
        "rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png",
        "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png",
        "fog/train/GOPR0475/GOPR0475_frame_000041",
        "rgb_anon/ and gt/",
        19,
    ),
    "mapillary vistas 1.2": Layout(
        "mapillary_vistas",
        test_mapillary_vistas.build,
        "training/images/-6-WLs7O63-6cwx-8adk7g.jpg",
        "training/v1.2/labels/-6-WLs7O63-6cwx-8adk7g.png",
        "-6-WLs7O63-6cwx-8adk7g",
        "training/ and validation/",
        66,
    ),
    "mapillary vistas 2.0": Layout(
        "mapillary_vistas",
        test_mapillary_vistas.build,
        "training/images/-6-WLs7O63-6cwx-8adk7g.jpg",
        "training/v2.0/labels/-6-WLs7O63-6cwx-8adk7g.png",
        "-6-WLs7O63-6cwx-8adk7g",
        "training/ and validation/",
        124,
        {"version": "v2.0"},
    ),
    "kitti semantics": Layout(
        "kitti_semantics",
        test_kitti_semantics.build,
        "training/image_2/000000_10.png",
        "training/semantic/000000_10.png",
        "000000_10",
        "training/ and testing/",
        34,
        test_options={"train_folder": "testing"},
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


@pytest.fixture
def root(layout, tmp_path):
    layout.build(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def factories():
    return {name: one.factory for name, one in components(load_plugins(), "dataset").items()}


@pytest.fixture
def made(layout, factories):
    """The dataset as a recipe makes it."""

    def make(split="train", **options):
        of_split = layout.test_options if split == "test" else {}
        return factories[layout.name](split=split, **{**layout.options, **of_split, **options})

    return make


@pytest.fixture
def needs(layout, factories):
    """Skip the test of a dataset that lacks an option."""

    def check(option):
        if option not in inspect.signature(factories[layout.name]).parameters:
            pytest.skip(f"has no option {option}")

    return check


def test_both_splits_are_as_promised(made, layout, root):
    for split in ("train", "test"):
        dataset = made(split, root=str(root))
        check_dataset(dataset)
        assert tuple(dataset.classes) == label_space(layout.own).classes
        assert tuple(dataset.palette) == label_space(layout.own).palette
    assert made("train", root=str(root))[0].name == layout.first


def test_the_classes_are_known_without_data(factories, layout):
    assert factories[layout.name].classes == label_space(layout.known).classes
    assert factories[layout.name].palette == label_space(layout.known).palette


def test_classes_outside_the_space_are_ignored(made, layout, root):
    if layout.own in ("idd7", "camvid11"):
        pytest.skip("has classes of its own only")
    whole, part = made(root=str(root)), made(root=str(root), classes="synthia13")
    check_dataset(part)
    assert part.classes == label_space("synthia13").classes and len(part.palette) == 13
    kept = {whole.classes.index(name): index for index, name in enumerate(part.classes)}
    wanted = [kept.get(index, 255) for index in whole[0].label.flatten().tolist()]
    assert part[0].label.flatten().tolist() == wanted and 255 in wanted


def test_a_space_with_other_classes_is_refused_before_any_file(made, needs):
    needs("classes")
    with pytest.raises(ValueError, match=r"has no .*pavement, tree, .*or use (cityscapes19|idd7|synthia13)"):
        made(root="/nowhere", classes="camvid11")


def test_a_target_needs_no_labels(made, layout, root):
    (root / layout.label).write_text("not to be opened")
    dataset = made(root=str(root))
    check_dataset(dataset, labelled=False)
    assert layout.image.endswith(".jpg") or np.array_equal(pixels(dataset.unlabelled(0)), picture(0))
    labels = (root / layout.label).parent
    labels.rename(root / "gone")
    dataset = made(root=str(root))
    assert dataset.unlabelled(0).label is None
    with pytest.raises(DataError, match=r"without a label in|no such folder"):
        dataset[0]


def test_an_image_without_a_label_is_named_when_a_label_is_asked_for(made, layout, root):
    (root / layout.label).unlink()
    dataset = made(root=str(root))
    assert dataset.unlabelled(0).label is None
    with pytest.raises(DataError, match=rf"{re.escape(layout.image)}: without a label in"):
        dataset[1]
    assert len(dataset.problems(labelled=True)) == 1 and dataset.problems(labelled=False) == []


def test_a_label_without_an_image_is_named_when_a_label_is_asked_for(made, layout, root):
    (root / layout.image).unlink()
    dataset = made(root=str(root))
    assert layout.first not in names(dataset)
    with pytest.raises(DataError, match=rf"{re.escape(layout.label)}.* without an image in"):
        dataset[0]


def test_what_the_fields_tools_write_beside_labels_is_passed_over(made, layout, root):
    label = root / layout.label
    for ending in PREPARED:
        write(label.with_name(label.stem + ending + ".png"), picture())
    dataset = made(root=str(root))
    assert dataset[0].name == layout.first and dataset.problems(labelled=True) == []


def test_an_unknown_id_is_refused_with_its_file_and_count(made, layout, root):
    shape = made(root=str(root))[0].label.shape
    write(root / layout.label, np.full(shape, layout.unknown_id))
    says = rf"{re.escape(layout.label)}: id {layout.unknown_id} \({shape.numel()} pixels\) is not in the id map"
    with pytest.raises(DataError, match=says):
        made(root=str(root))[0]


def test_colours_instead_of_ids_are_refused(made, layout, root):
    write(root / layout.label, picture())
    with pytest.raises(DataError, match=rf"{re.escape(layout.label)}: a label image must hold class ids"):
        made(root=str(root))[0]


def test_a_label_of_another_size_names_both(made, layout, root):
    write(root / layout.label, np.zeros((3, 8)))
    with pytest.raises(DataError, match=rf"{re.escape(layout.label)}: 3 x 8 pixels .*{re.escape(layout.image)} has"):
        made(root=str(root))[0]


def test_root_comes_from_the_environment_or_the_error_says_how(made, layout, root, tmp_path_factory, monkeypatch):
    data = tmp_path_factory.mktemp("data")
    (data / layout.name).symlink_to(root)
    monkeypatch.setenv("DAF_DATA", str(data))
    assert names(made()) == names(made(root=str(root)))
    monkeypatch.delenv("DAF_DATA")
    with pytest.raises(DataError, match=rf"{layout.name}: no folder given; .* holds {layout.holds}, .* {layout.name}/"):
        made()


def test_a_wrong_root_is_named(made, tmp_path):
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path))}/.*: no such folder; check the dataset's root"):
        made(root=str(tmp_path))


def test_a_folder_named_twice_is_an_error(made, layout, root, needs):
    needs("train_folders")
    if layout.name == "acdc":
        pytest.skip("takes each folder once")
    (folder,) = {"mapillary_vistas": ["training"]}.get(layout.name, ["train"])
    with pytest.raises(DataError, match=rf"{layout.name}: .* share a name; name each folder once"):
        made(root=str(root), train_folders=[folder, folder])


def test_an_unknown_space_is_refused(made, root, needs):
    needs("classes")
    with pytest.raises(ValueError, match="no label space named 'citscapes19'; did you mean 'cityscapes19'"):
        made(root=str(root), classes="citscapes19")
