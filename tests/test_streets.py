import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from daf_streets.classes import CLASSES, PALETTE, SKY
from daf_streets.streets import Streets

LOOKS = ("game", "camera")


def small(look: str, split: str = "train", **options) -> Streets:
    return Streets(look=look, split=split, **{"train_images": 40, "test_images": 40, **options})


@cache
def labels(look: str, split: str = "train") -> np.ndarray:
    dataset = small(look, split)
    return np.stack([dataset[i].label.numpy() for i in range(len(dataset))])


def digest(look: str) -> str:
    sample = small(look, "test", seed=3)[7]
    return hashlib.sha256(sample.image.numpy().tobytes() + sample.label.numpy().tobytes()).hexdigest()


def test_classes_are_camvids_in_its_order_and_each_has_a_colour():
    assert CLASSES[0] == "sky" and CLASSES[3] == "road" and CLASSES[10] == "bicyclist" and len(CLASSES) == 11
    assert len(PALETTE) == len(set(PALETTE)) == 11


@pytest.mark.parametrize("look", LOOKS)
def test_the_same_index_gives_the_same_bits_in_any_order(look):
    first, second = small(look), small(look)
    forwards = [first[i] for i in range(4)]
    assert forwards[3].name == "train_000003"
    backwards = [second[i] for i in reversed(range(4))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert (a.image == b.image).all() and (a.label == b.label).all()


def test_another_process_draws_the_same_bits():
    code = (
        "import hashlib; from daf_streets.streets import Streets\n"
        "for look in ('game', 'camera'):\n"
        "    s = Streets(look=look, split='test', seed=3)[7]\n"
        "    print(hashlib.sha256(s.image.numpy().tobytes() + s.label.numpy().tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [digest(look) for look in LOOKS]


@pytest.mark.parametrize("look", LOOKS)
def test_train_and_test_share_no_scene(look):
    train, test = ({label.tobytes() for label in labels(look, split)} for split in ("train", "test"))
    assert len(train) == len(test) == 40 and not train & test


def test_another_seed_is_another_city():
    assert (small("game")[0].label != small("game", seed=1)[0].label).any()


def test_the_number_of_images_does_not_change_an_image():
    assert (small("camera", train_images=3)[2].image == small("camera", train_images=900)[2].image).all()


@pytest.mark.parametrize("look", LOOKS)
def test_labels_are_classes_and_every_class_occurs(look):
    assert set(np.unique(labels(look))) == set(range(11))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (32, 200), (150, 40), (256, 384)])
def test_any_size_is_a_street(look, size):
    dataset = small(look, size=size)
    for index in range(3):
        sample = dataset[index]
        assert sample.image.shape == (3, *size) and sample.label.shape == size
        found = set(np.unique(sample.label.numpy()).tolist())
        assert {SKY, CLASSES.index("building"), CLASSES.index("road")} <= found


@pytest.mark.parametrize("look", LOOKS)
def test_a_scene_is_the_same_at_every_size(look):
    coarse, fine = small(look)[5].label.numpy(), small(look, size=(128, 192))[5].label.numpy()
    assert (fine[::2, ::2] == coarse).mean() > 0.85


def test_the_two_looks_lay_streets_out_differently():
    game, camera = ([(labels(look) == c).mean() for c in range(11)] for look in LOOKS)
    sky, tree = CLASSES.index("sky"), CLASSES.index("tree")
    assert game[sky] > 1.7 * camera[sky]
    assert camera[tree] > game[tree]
    assert sum(abs(one - other) for one, other in zip(game, camera, strict=True)) / 2 > 0.1


def test_game_is_brighter_and_more_saturated_than_camera():
    def saturation(look):
        images = np.stack([small(look)[i].image.numpy() for i in range(10)]).astype(float)
        return (images.max(1) - images.min(1)).mean()

    assert saturation("game") > 2 * saturation("camera")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": [16, 96]}, "each at least 32, got \\[16, 96\\]"),
        ({"size": (64,)}, "size must be \\[height, width\\]"),
        ({"train_images": 0}, "train_images must be at least 1, got 0"),
        ({"split": "test", "test_images": -2}, "test_images must be at least 1, got -2"),
    ],
)
def test_a_bad_option_is_named_in_one_line(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        Streets(**{"look": "game", "split": "train", **options})
    assert "\n" not in str(caught.value)


def test_an_index_beyond_the_end_is_refused():
    with pytest.raises(IndexError, match="index 40 of 40 images"):
        small("game")[40]
