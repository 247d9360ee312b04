import colorsys

import pytest
import torch

from daframework.data.augment import augment_colors
from daframework.randomness import generator
from daframework.tables import AugmentTable

EVERYTHING = AugmentTable(gamma=1.5, gain=(0.3, 1.3), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
CHANGES = [
    {"gamma": 1.5},
    {"gain": (0.3, 1.3)},
    {"brightness": 0.4},
    {"contrast": 0.4},
    {"saturation": 0.8},
    {"hue": 0.3},
]


@pytest.fixture
def images():
    return torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(3)).repeat(4, 1, 1, 1) * 2 - 1


def augmented(images, seed=0, **changes):
    return augment_colors(images, AugmentTable(**changes), generator(seed, "colors"))


def test_nothing_asked_for_changes_nothing(images):
    assert augment_colors(images, AugmentTable(), generator(0, "colors")) is images


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_each_image_has_a_draw_of_its_own(images, changes):
    result = augmented(images, **changes)
    assert not torch.allclose(result, images)
    assert all(not torch.allclose(result[0], result[other], atol=1e-3) for other in range(1, 4))


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_draws_follow_from_the_random_stream_alone(images, changes):
    torch.manual_seed(1)
    one = augmented(images, **changes)
    torch.manual_seed(2)
    assert torch.equal(one, augmented(images, **changes))
    assert not torch.equal(one, augmented(images, seed=1, **changes))


def test_the_given_images_are_not_written_to(images):
    before = images.clone()
    augment_colors(images, EVERYTHING, generator(0, "colors"))
    assert torch.equal(images, before)


@pytest.mark.parametrize("extreme", [-1.0, 1.0, None])
def test_results_stay_in_range(images, extreme):
    given = images if extreme is None else torch.full_like(images, extreme)
    for seed in range(20):
        result = augment_colors(given, EVERYTHING, generator(seed, "colors"))
        assert result.isfinite().all() and result.min() >= -1 and result.max() <= 1


def unit(images):
    return ((images + 1) / 2).double()


def test_gamma_raises_to_a_power_between_its_bounds(images):
    for seed in range(10):
        mild = images * 0.6  # a power of what is nearly black or white cannot be told
        power = (unit(augmented(mild, seed=seed, gamma=1.5)).log() / unit(mild).log()).flatten(1)
        assert torch.allclose(power, power.median(1, keepdim=True).values.expand_as(power), rtol=2e-2)
        assert ((power.median(1).values > 0.223 * 0.98) & (power.median(1).values < 4.4817 * 1.02)).all()


@pytest.mark.parametrize("changes, low, high", [({"gain": (0.3, 0.9)}, 0.3, 0.9), ({"brightness": 0.4}, 0.6, 1.4)])
def test_gain_and_brightness_multiply_by_a_factor_between_their_bounds(images, changes, low, high):
    dark = (images + 1) / 2 - 1  # at most half as bright as white, so that nothing is clipped
    for seed in range(10):
        factor = (unit(augmented(dark, seed=seed, **changes)) / unit(dark)).flatten(1)
        assert torch.allclose(factor, factor[:, :1].expand_as(factor), rtol=1e-4)
        assert ((factor > low) & (factor < high)).all()


def test_contrast_spreads_values_around_a_mean_that_stays(images):
    mild = images * 0.4  # so that nothing is clipped
    for seed in range(10):
        result, before = unit(augmented(mild, seed=seed, contrast=0.4)), unit(mild)
        assert torch.allclose(result.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=0.02)
        spread = result.std((1, 2, 3)) / before.std((1, 2, 3))
        assert ((spread > 0.55) & (spread < 1.45)).all() and spread.max() - spread.min() > 0.02


def test_hue_turns_a_colour_by_at_most_its_share_and_keeps_saturation_and_value(images):
    turned = unit(augmented(images, hue=0.2))[0].flatten(1).T.tolist()
    given = unit(images)[0].flatten(1).T.tolist()
    turns = []
    for before, after in zip(given, turned, strict=True):
        (h0, s0, v0), (h1, s1, v1) = colorsys.rgb_to_hsv(*before), colorsys.rgb_to_hsv(*after)
        assert s1 == pytest.approx(s0, abs=1e-3) and v1 == pytest.approx(v0, abs=1e-3)
        if s0 * v0 > 0.1:
            turns.append((h1 - h0 + 0.5) % 1 - 0.5)
    assert max(turns) - min(turns) < 0.01 and 0.005 < abs(turns[0]) <= 0.2


def test_saturation_multiplies_the_distance_to_grey_and_keeps_the_value(images):
    mild = images * 0.3 + 0.3
    result = unit(augmented(mild, saturation=0.5))[0]
    before = unit(mild)[0]
    assert torch.allclose(result.max(0).values, before.max(0).values, atol=1e-3)
    ratio = (1 - result.min(0).values / result.max(0).values) / (1 - before.min(0).values / before.max(0).values)
    assert ratio.std() < 1e-2 and 0.5 < ratio.mean() < 1.5
