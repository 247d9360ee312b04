"""Rare classes come more often, images without them never, and the same seed draws the same."""

import math
from collections import Counter
from random import Random

import pytest
import torch
from test_checked import Listed
from test_run import comparable, run

from daframework.data.sampling import rare_class_probabilities, rare_classes
from daframework.data.stream import cut, random_place
from daframework.errors import DataError, RunError, StoppedError
from daframework.interfaces import Sample
from daframework.recipes.read import parse
from daframework.storage.checkpoint import save
from daframework.storage.run_folder import open_folder

COUNTS = torch.tensor([[900, 100, 0, 0], [1000, 0, 0, 0], [500, 400, 100, 0], [990, 0, 10, 0]])


def test_probabilities_are_those_of_the_formula():
    pixels = torch.tensor([700, 200, 100])
    weights = [math.exp((1 - share) / 0.1) for share in (0.7, 0.2, 0.1)]
    expected = [weight / sum(weights) for weight in weights]
    assert rare_class_probabilities(pixels, 0.1).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_low_temperature_draws_the_rarest_and_a_high_one_all_alike():
    pixels = torch.tensor([700, 200, 100])
    assert rare_class_probabilities(pixels, 0.001).tolist() == pytest.approx([0, 0, 1], abs=1e-12)
    assert rare_class_probabilities(pixels, 1e6).tolist() == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_a_temperature_near_zero_overflows_nowhere():
    assert rare_class_probabilities(torch.tensor([1, 10**12]), 1e-6).tolist() == [1.0, 0.0]


def test_a_class_that_never_occurs_is_never_drawn():
    assert rare_class_probabilities(COUNTS.sum(0), 0.01)[3] == 0
    sampler = rare_classes(COUNTS, (10, 10), 0.5)
    assert {sampler.draw(Random(seed))[1] for seed in range(2000)} == {0, 1, 2}


def test_an_image_is_drawn_only_for_a_class_of_which_it_shows_enough():
    sampler = rare_classes(COUNTS, (30, 40), 0.5)  # a hundredth of the crop is 12 pixels
    assert sampler.images[2] == [2] and sampler.images[1] == [0, 2] and sampler.images[0] == [0, 1, 2, 3]


def test_where_no_image_shows_enough_the_best_are_drawn():
    sampler = rare_classes(COUNTS, (200, 200), 0.5)  # 400 pixels are wanted
    assert sampler.images[2] == [2] and sampler.least[2] == 50


def test_classes_and_images_are_drawn_as_often_as_they_should_be():
    sampler = rare_classes(COUNTS, (10, 10), 0.5)
    drawn = Counter(sampler.draw(Random(seed)) for seed in range(20000))
    classes = Counter()
    for (_, wanted), times in drawn.items():
        classes[wanted] += times
    expected = rare_class_probabilities(COUNTS.sum(0), 0.5)
    for wanted in range(3):
        assert classes[wanted] / 20000 == pytest.approx(float(expected[wanted]), abs=0.015)
    of_class_0 = [drawn[index, 0] for index in range(4)]
    assert max(of_class_0) < 1.25 * min(of_class_0)


def spotted(height=60, width=80, spot=6):
    """A label of class 0 with a small square of class 2 in its corner; the image shows where a pixel came from."""
    label = torch.zeros(height, width, dtype=torch.uint8)
    label[:spot, :spot] = 2
    image = torch.arange(height * width).view(height, width) % 251
    return Sample(image.to(torch.uint8).expand(3, -1, -1), label, "spotted")


def test_a_crop_shows_the_class_far_more_often_than_by_chance():
    dataset = Listed([spotted()])
    sampler = rare_classes(torch.tensor([[60 * 80 - 36, 0, 36]]), (20, 20), 0.01)
    crops = [cut(sampler.place(dataset, (20, 20), True, 0, Random(seed)), (20, 20)) for seed in range(300)]
    shown = sum(int((label == 2).sum()) >= sampler.least[2] for _, label in crops)
    alone = [cut(random_place(dataset[0], (20, 20), True, Random(seed)), (20, 20)) for seed in range(300)]
    by_chance = sum(int((label == 2).sum()) >= sampler.least[2] for _, label in alone)
    assert shown > 2 * by_chance > 0
    assert all(image.shape == (3, 20, 20) and label.shape == (20, 20) for image, label in crops)


def test_image_and_label_are_cut_from_the_same_place():
    sample = spotted()
    paired = Sample(sample.image, sample.image[0].contiguous(), "paired")
    sampler = rare_classes(torch.tensor([[4700, 0, 100]]), (20, 20), 0.01)
    for seed in range(20):
        image, label = cut(sampler.place(Listed([paired]), (20, 20), True, 0, Random(seed)), (20, 20))
        assert torch.equal(image[0], label)


def test_a_set_without_labelled_pixels_is_refused():
    with pytest.raises(DataError, match="no pixel of the set is labelled"):
        rare_classes(torch.zeros(3, 4, dtype=torch.int64), (10, 10), 0.01)


# --- in a run ---


@pytest.fixture
def rare(tables):
    tables["data"]["rare_class_temperature"] = 0.05
    return tables


def test_rare_classes_are_trained_on_more_often_in_every_row(plugins, rare, tables, session, tmp_path):
    results, recorder = run(plugins, rare, tmp_path / "rare", session)
    counted = [stage for stage, *_ in recorder.stages if stage.startswith("counting")]
    assert counted == ["counting classes of the source", "counting classes of the target"]
    del tables["data"]["rare_class_temperature"]
    others, _ = run(plugins, tables, tmp_path / "plain", session)
    for row, other in zip(results.rows, others.rows, strict=True):
        assert row.method == other.method and row.scores != other.scores
    assert results.seconds["counting classes"] >= 0


@pytest.mark.parametrize("stop_after", [2, 11, 18, 25])
def test_a_run_that_draws_by_class_goes_on_exactly(plugins, rare, session, tmp_path, stop_after):
    run(plugins, rare, tmp_path / "whole", session)
    with pytest.raises(StoppedError):
        run(plugins, rare, tmp_path / "stopped", session, stop_after=stop_after)
    run(plugins, rare, tmp_path / "stopped", session)
    assert comparable(tmp_path / "stopped") == comparable(tmp_path / "whole")


def test_the_target_is_drawn_without_its_labels(plugins, rare, session, tmp_path):
    rare["downstream"]["oracle"] = False
    _, recorder = run(plugins, rare, tmp_path / "run", session)
    assert not any("target" in stage for stage, *_ in recorder.stages if stage.startswith("counting"))


def test_counts_of_another_set_are_not_used(plugins, rare, session, tmp_path):
    folder = open_folder(tmp_path / "run", parse(rare, "r"))
    save(folder.class_counts("source"), {"counts": torch.ones(2, 3, dtype=torch.int64)})
    with pytest.raises(RunError, match=r"source\.pt: counts another set of images; delete it"):
        run(plugins, rare, folder.path, session)
