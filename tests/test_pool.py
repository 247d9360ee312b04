import math

import pytest
import torch

from daframework.adapt.finite import FiniteCheck
from daframework.adapt.loop import lr_factor
from daframework.adapt.pool import ImagePool
from daframework.adapt.step import Fake
from daframework.errors import TrainingError


def fake(number, count=1, labelled=True):
    """Images whose every value is their number, with labels that say the same."""
    numbers = torch.arange(number, number + count).view(-1, 1, 1, 1)
    label = numbers[:, 0].expand(-1, 2, 2).long() % 256
    return Fake(numbers.expand(-1, 3, 2, 2).float(), label if labelled else None)


def test_without_a_pool_new_translations_are_handed_straight_out():
    new = fake(1, 2)
    assert ImagePool(0, 0, "target").exchange(new) is new


def test_the_pool_first_fills_with_what_it_hands_out():
    pool = ImagePool(4, 0, "target")
    for number in range(4):
        assert torch.equal(pool.exchange(fake(number)).image, fake(number).image)
    assert [int(image[0, 0, 0]) for image in pool.state_dict()["images"]] == [0, 1, 2, 3]


def test_an_old_translation_comes_half_of_the_time_with_its_own_label_and_only_once():
    pool = ImagePool(5, 0, "target")
    pool.exchange(fake(0, 5))
    old, handed = 0, []
    for number in range(5, 1005):
        out = pool.exchange(fake(number))
        came = int(out.image[0, 0, 0, 0])
        assert out.image.unique().tolist() == [came]
        assert out.label.dtype == torch.int64 and out.label.unique().tolist() == [came % 256]
        old += came != number
        handed.append(came)
    assert abs(old - 500) < 80  # five standard deviations
    assert len(set(handed)) == len(handed)


def test_each_image_of_a_batch_is_exchanged_on_its_own():
    pool = ImagePool(8, 0, "target")
    pool.exchange(fake(0, 8))
    old = [int((pool.exchange(fake(100 * n, 8)).image[:, 0, 0, 0] < 100 * n).sum()) for n in range(1, 9)]
    assert any(0 < count < 8 for count in old)


def test_translations_without_labels_stay_without():
    pool = ImagePool(2, 0, "source")
    assert all(pool.exchange(fake(number, labelled=False)).label is None for number in range(6))


def test_ignored_pixels_stay_ignored_in_the_pool():
    pool = ImagePool(1, 0, "target")
    labels = torch.full((1, 2, 2), 255)
    assert all(pool.exchange(Fake(torch.zeros(1, 3, 2, 2), labels)).label.unique().tolist() == [255] for _ in range(6))


def test_the_pool_keeps_copies():
    pool = ImagePool(2, 0, "target")
    new = fake(1, 2)
    pool.exchange(new)
    new.image.fill_(-9)
    new.label.fill_(9)
    state = pool.state_dict()
    assert [image.unique().tolist() for image in state["images"]] == [[1], [2]]
    assert [label.unique().tolist() for label in state["labels"]] == [[1], [2]]
    assert all(image.untyped_storage().nbytes() == image.numel() * 4 for image in state["images"])


def test_a_pool_goes_on_exactly_from_its_state(tmp_path):
    pool, later = ImagePool(3, 0, "target"), ImagePool(3, 9, "other")
    for number in range(7):
        pool.exchange(fake(number))
    torch.save(pool.state_dict(), tmp_path / "pool.pt")
    later.load_state_dict(torch.load(tmp_path / "pool.pt", weights_only=True), torch.device("cpu"))
    for number in range(7, 40):
        one, two = pool.exchange(fake(number)), later.exchange(fake(number))
        assert torch.equal(one.image, two.image) and torch.equal(one.label, two.label)


def test_pools_draw_from_streams_of_their_own():
    def handed(seed, name):
        pool = ImagePool(3, seed, name)
        return [int(pool.exchange(fake(number)).image[0, 0, 0, 0]) for number in range(60)]

    assert handed(0, "source") == handed(0, "source")
    assert handed(0, "source") != handed(0, "target") and handed(0, "source") != handed(1, "source")


@pytest.mark.parametrize(
    "steps, constant, expected",
    [
        (4, 0.5, [1, 1, 1, 0.5]),
        (10, 0.5, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]),
        (4, 0, [1, 0.75, 0.5, 0.25]),
        (4, 1, [1, 1, 1, 1]),
        (1, 0.5, [1]),
    ],
)
def test_the_learning_rate_stays_and_then_falls_to_zero_after_the_last_step(steps, constant, expected):
    assert [lr_factor(step, steps, constant) for step in range(steps)] == pytest.approx(expected)
    if constant < 1:
        assert lr_factor(steps, steps, constant) == 0


def test_the_first_loss_that_is_no_number_is_named_with_its_step():
    check = FiniteCheck()
    check.require("nothing kept")
    for step, cycle, gan in [(1, 1.0, 2.0), (2, 1.0, math.inf), (3, math.nan, 1.0), (4, 1.0, 1.0)]:
        check.add(step, {"generator/cycle": torch.tensor(cycle), "generator/gan": torch.tensor(gan)}, {})
    with pytest.raises(
        TrainingError, match="loss 'generator/gan' is not a finite number at step 2; nothing kept; lower"
    ):
        check.require("nothing kept")


def test_finite_losses_pass():
    check = FiniteCheck()
    check.add(1, {"a": torch.tensor(1e38)}, {"fake_target": torch.ones(2, 3, 4, 4)})
    check.require("nothing kept")


def test_an_image_that_is_no_number_is_named_before_the_losses_it_spoils():
    check, image = FiniteCheck(), torch.ones(2, 3, 4, 4)
    image[1, 2, 3, 0] = math.nan
    check.add(5, {"generator/gan": torch.tensor(math.nan)}, {"fake_target": image})
    with pytest.raises(TrainingError, match="image 'fake_target', made by a generator, is not a finite number at step"):
        check.require("nothing kept")
