import colorsys

import pytest
import torch

from daframework.compute.randomness import generator
from daframework.data import augment
from daframework.data.augment import augment_classes, augment_colors, augment_geometry
from daframework.recipes.tables import AugmentTable

EVERYTHING = AugmentTable(gamma=1.5, gain=(0.3, 1.3), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur=3)
CHANGES = [
    {"gamma": 1.5},
    {"gain": (0.3, 1.3)},
    {"brightness": 0.4},
    {"contrast": 0.4},
    {"saturation": 0.8},
    {"hue": 0.3},
    {"blur": 2.0},
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


def test_each_image_is_changed_as_its_own_table_says(images):
    labels, before = torch.arange(96).view(1, 8, 12).repeat(4, 1, 1).byte(), images.clone()
    moved, plain = AugmentTable(scale=(2.0, 2.0), gamma=1.5), AugmentTable()
    random = [generator(0, str(place)) for place in range(3)]
    image, label = augment.augmented(images, labels, [plain, moved, plain, moved], random)
    assert torch.equal(images, before), "what was given is not written to"
    for place in (0, 2):
        assert torch.equal(image[place], images[place]) and torch.equal(label[place], labels[place])
    # As if all were changed so: what an image draws does not hang on how many others there are of its table.
    every = augment.augmented(images, labels, [moved] * 4, [generator(0, str(place)) for place in range(3)])
    assert torch.equal(image[1::2], every[0][1::2]) and torch.equal(label[1::2], every[1][1::2])
    assert not torch.equal(label[1], labels[1]) and not torch.equal(image[1], image[3])


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


def test_blur_is_a_gaussian_whose_width_is_at_most_the_greatest():
    dot = torch.full((8, 3, 31, 31), -1.0)
    dot[:, :, 15, 15] = 1
    spread = unit(augmented(dot, blur=2.0))[:, 0]
    across = torch.arange(-15, 16).double()
    assert torch.allclose(spread.sum((1, 2)), torch.ones(8).double(), atol=1e-4)
    deviations = (spread.sum(1) * across**2).sum(1).sqrt()
    assert deviations.max() <= 2.0 and deviations.min() < 1 < deviations.max()
    assert torch.allclose(spread, spread.transpose(1, 2), atol=1e-6)


# --- each class for itself ---


def recoloured(image, label, strength=0.6, seed=0):
    return augment_classes(image, label, AugmentTable(class_colors=strength), generator(seed, "class colors"))


@pytest.fixture
def classes():
    """32 images with mild values, of which nothing is clipped, and labels with four classes and 255."""
    random = torch.Generator().manual_seed(7)
    label = torch.tensor([0, 1, 2, 18, 255])[torch.randint(5, (32, 8, 12), generator=random)]
    return torch.rand(32, 3, 8, 12, generator=random) * 0.2 - 0.1, label


def test_every_pixel_of_a_class_changes_alike_and_half_of_the_images_do_not(classes):
    image, label = classes
    result, slopes = recoloured(image, label), []
    for before, after, ids in zip(unit(image), unit(result), label, strict=True):
        for value in ids.unique():
            for channel in range(3):
                given, made = before[channel, ids == value], after[channel, ids == value]
                slope = float(
                    ((given - given.mean()) * (made - made.mean())).sum() / (given - given.mean()).square().sum()
                )
                assert torch.allclose(made, made.mean() + slope * (given - given.mean()), atol=1e-5)
                assert abs(slope - 1) <= 0.6 * 4 / 3 and abs(made.mean() - slope * given.mean()) <= 0.6 * 2 / 3 + 1e-5
                slopes.append(round(slope, 3))
    changed = [not torch.allclose(one, two, atol=1e-5) for one, two in zip(image, result, strict=True)]
    assert 8 <= sum(changed) <= 24 and len(set(slopes)) > 0.7 * len(slopes) * sum(changed) / 32


def test_class_colours_follow_from_the_random_stream_and_the_class_alone(classes):
    image, label = classes
    before, fewer = image.clone(), label.clone()
    fewer[:, 4:] = 3
    one = recoloured(image, label)
    assert torch.equal(one, recoloured(image, label)) and torch.equal(image, before)
    assert torch.equal(one[:, :, :4], recoloured(image, fewer)[:, :, :4])
    assert not torch.equal(one, recoloured(image, label, seed=1))
    assert recoloured(image, label, strength=0.0) is image
    wide = recoloured(image.sign(), label, strength=1.0)
    assert wide.min() == -1 and wide.max() == 1


# --- what moves pixels ---


def moved(image, label, seed=0, **changes):
    return augment_geometry(image, label, AugmentTable(**changes), generator(seed, "geometry"))


@pytest.fixture
def pairs():
    """Images that show their labels: smooth blobs, so that one pixel of difference is at edges only."""
    label = (torch.rand(4, 1, 4, 5, generator=torch.Generator().manual_seed(5)) * 3).long()
    label = label.repeat_interleave(8, 2).repeat_interleave(8, 3)[:, 0]
    label[:, :2, :2] = 255
    return (label[:, None].float().clamp(max=3) / 1.5 - 1).repeat(1, 3, 1, 1), label


@pytest.mark.parametrize(
    "changes", [{"scale": (0.5, 2.0)}, {"rotation": 30.0}, {"scale": (0.7, 1.4), "rotation": 90.0}]
)
def test_a_label_moves_with_its_image(pairs, changes):
    for seed in range(5):
        image, label = moved(*pairs, seed=seed, **changes)
        assert image.shape == pairs[0].shape and label.shape == pairs[1].shape and label.dtype == torch.int64
        inside = label != 255
        shown = ((image[:, 0] + 1) * 1.5 - label).abs()[inside] < 0.05
        assert inside.float().mean() > 0.1 and shown.float().mean() > 0.75  # edges are interpolated
        assert set(label.unique().tolist()) <= {0, 1, 2, 255}


def test_what_comes_in_from_outside_is_ignored(pairs):
    _, label = moved(torch.zeros(4, 3, 40, 40), torch.ones(4, 40, 40, dtype=torch.int64), scale=(0.5, 0.5))
    assert (label[:, 11:29, 11:29] == 1).all() and (label[:, :9] == 255).all() and (label[:, :, 31:] == 255).all()


def test_enlarging_by_two_doubles_a_square(pairs):
    label = torch.zeros(1, 41, 41, dtype=torch.int64)
    label[:, 16:25, 16:25] = 1
    _, larger = moved(torch.zeros(1, 3, 41, 41), label, scale=(2.0, 2.0))
    side = (larger[0] == 1).any(0).sum()
    assert 17 <= side <= 19 and (larger == 1).sum() == side**2


def test_turning_stays_within_the_degrees(pairs):
    label = torch.zeros(64, 81, 81, dtype=torch.int64)
    label[:, 40, 41:79] = 1  # a hand that points to the right
    _, turned = moved(torch.zeros(64, 3, 81, 81), label, rotation=20.0)
    angles = []
    for one in turned:
        rows, columns = torch.nonzero(one == 1, as_tuple=True)
        far = (rows - 40) ** 2 + (columns - 40) ** 2 > 900
        angles.append(float(torch.atan2((rows - 40.0)[far], (columns - 40.0)[far]).rad2deg().mean()))
    assert -20.8 <= min(angles) < -12 and 12 < max(angles) <= 20.8


@pytest.mark.parametrize("changes", [{"scale": (0.5, 2.0)}, {"rotation": 30.0}])
def test_moves_follow_from_the_random_stream_alone_and_each_pair_has_its_own(pairs, changes):
    image, label = (one[:1].repeat(4, *[1] * (one.ndim - 1)) for one in pairs)
    torch.manual_seed(1)
    first = moved(image, label, **changes)
    torch.manual_seed(2)
    again = moved(image, label, **changes)
    assert all(torch.equal(*both) for both in zip(first, again, strict=True))
    assert all(not torch.equal(first[0][0], first[0][other]) for other in range(1, 4))
    assert not torch.equal(first[1], moved(image, label, seed=1, **changes)[1])


def test_nothing_asked_for_moves_nothing(pairs):
    image, label = moved(*pairs, gamma=1.0)
    assert image is pairs[0] and label is pairs[1]
