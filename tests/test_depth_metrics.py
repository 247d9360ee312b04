import math

import numpy as np
import pytest
import torch

from daf_depth.depth_metrics import METRICS, depth_sums, depth_values

NAMES = [metric.name for metric in METRICS]


def depths(rows):
    return torch.tensor([rows], dtype=torch.float32)


def random_depths(*, seed=0, images=3, shape=(6, 9)):
    """Predicted and true depths, of which a fifth is invalid, some are beyond 80 m, and some predicted as beyond."""
    random = np.random.default_rng(seed)
    true = np.exp(random.uniform(np.log(0.5), np.log(150), (images, *shape)))
    guess = true * np.exp(random.normal(0.1, 0.3, true.shape))
    true[random.uniform(size=true.shape) < 0.2] = 0
    return guess, true


def values(guess, true, **options):
    found = depth_values(depth_sums(torch.as_tensor(guess), torch.as_tensor(true), **options))
    return dict(zip(NAMES, found.tolist(), strict=True))


def published(guess, true, low=1e-3, high=80.0, median_scaling=False):
    """Of one image, as evaluation scripts of the field write it."""
    mask = np.logical_and(true >= low, true <= high)
    pred, gt = guess[mask], true[mask]
    if median_scaling:
        pred = pred * np.median(gt) / np.median(pred)
    pred[pred < low] = low
    pred[pred > high] = high
    thresh = np.maximum(gt / pred, pred / gt)
    err = np.log(pred) - np.log(gt)
    return {
        "AbsRel": np.mean(np.abs(gt - pred) / gt),
        "SqRel": np.mean((gt - pred) ** 2 / gt),
        "RMSE": np.sqrt(((gt - pred) ** 2).mean()),
        "RMSE_log": np.sqrt(((np.log(gt) - np.log(pred)) ** 2).mean()),
        "SILog": np.sqrt(np.mean(err**2) - np.mean(err) ** 2) * 100,
        "delta1": (thresh < 1.25).mean(),
        "delta2": (thresh < 1.25**2).mean(),
        "delta3": (thresh < 1.25**3).mean(),
    }


def test_four_pixels_by_hand():
    # Ratios 1, 1.5, 2 and, at the invalid pixel, anything.
    found = depth_sums(depths([[10, 6], [4, 77]]), depths([[10, 4], [8, 0]]))
    log = [0, math.log(1.5), -math.log(2)]
    mean = sum(log) / 3
    expected = [3, 0 + 0.5 + 0.5, 0 + 1 + 2, 0 + 4 + 16, sum(x * x for x in log), sum((x - mean) ** 2 for x in log)]
    assert found.tolist() == pytest.approx([*expected, 1, 2, 2], abs=1e-12)
    by_name = dict(zip(NAMES, depth_values(found).tolist(), strict=True))
    assert by_name["AbsRel"] == pytest.approx(1 / 3) and by_name["SqRel"] == pytest.approx(1)
    assert by_name["RMSE"] == pytest.approx(math.sqrt(20 / 3))
    assert (by_name["delta1"], by_name["delta3"]) == pytest.approx((1 / 3, 2 / 3))


def test_perfect_depths_have_no_error_and_a_ratio_of_just_1_25_is_not_below_it():
    true = depths([[1, 2], [0, 64]])
    assert list(values(true, true).values()) == [0, 0, 0, 0, 0, 1, 1, 1]
    found = values(true * 1.25, true)  # 64 m becomes 80
    assert (found["delta1"], found["delta2"]) == (0, 1)
    assert found["SILog"] == pytest.approx(0, abs=1e-12) and found["AbsRel"] == 0.25


@pytest.mark.parametrize("options", [{}, {"median_scaling": True}, {"min_depth": 2.0, "max_depth": 30.0}])
def test_one_image_has_the_numbers_of_the_published_formulas(options):
    guess, true = random_depths(images=1)
    renamed = {"low": options.get("min_depth", 1e-3), "high": options.get("max_depth", 80.0)}
    expected = published(guess[0], true[0], **renamed, median_scaling=options.get("median_scaling", False))
    assert values(guess, true, **options) == pytest.approx(expected, rel=1e-12)


def test_over_images_each_pixel_counts_alike_and_the_variance_of_silog_is_within_an_image():
    guess, true = random_depths()
    counts = ((true >= 1e-3) & (true <= 80)).sum((1, 2))
    assert len(set(counts)) > 1
    each = [published(*pair) for pair in zip(guess, true, strict=True)]
    for name, value in values(guess, true).items():
        power = 2 if name in ("RMSE", "RMSE_log", "SILog") else 1
        mean = np.average([one[name] ** power for one in each], weights=counts)
        assert value == pytest.approx(mean ** (1 / power), rel=1e-12)


def test_sums_of_images_add_up_to_those_of_the_set():
    guess, true = map(torch.as_tensor, random_depths())
    parts = [depth_sums(guess[i : i + 1], true[i : i + 1], median_scaling=True) for i in range(len(true))]
    assert torch.allclose(torch.stack(parts).sum(0), depth_sums(guess, true, median_scaling=True), rtol=1e-14)


def test_true_depths_beyond_the_caps_do_not_count_and_predictions_are_clipped_to_them():
    true = depths([[5, 40], [81, 0.05]])
    found = depth_sums(depths([[500, 0.01], [1, 1]]), true, min_depth=0.1, max_depth=80)
    assert torch.allclose(found, depth_sums(depths([[80, 0.1]]), depths([[5, 40]]), min_depth=0.01))
    assert found[0] == 2
    at_the_ends = depths([[0.5, 80]])
    assert depth_sums(at_the_ends, at_the_ends, min_depth=0.5, max_depth=80)[0] == 2


def test_median_scaling_forgives_each_images_scale_before_depths_are_clipped():
    _, true = random_depths()
    scales = np.array([0.01, 1, 100])[:, None, None]  # of the last image nearly all would be clipped
    found = values(true * scales, true, median_scaling=True)
    assert list(found.values()) == pytest.approx([0, 0, 0, 0, 0, 1, 1, 1], abs=1e-6)
    assert values(true * scales, true)["AbsRel"] > 0.5


def test_the_median_of_an_even_count_is_the_mean_of_the_middle_two():
    guess, true = depths([[1, 2], [4, 8]]), depths([[3, 6], [12, 30]])  # medians 3 and 9
    assert torch.equal(depth_sums(guess, true, median_scaling=True), depth_sums(guess * 3, true))


def test_an_image_without_valid_pixels_adds_nothing_and_alone_has_no_values():
    guess, true = map(torch.as_tensor, random_depths())
    empty = torch.zeros_like(true[:1])
    nothing = depth_sums(guess[:1], empty, median_scaling=True)
    assert torch.equal(nothing, torch.zeros(9, dtype=torch.float64))
    assert torch.equal(depth_sums(torch.cat([guess, guess[:1]]), torch.cat([true, empty])), depth_sums(guess, true))
    assert depth_values(nothing).isnan().all()


def test_many_sums_at_once_are_each_alone():
    sums = torch.stack([depth_sums(*map(torch.as_tensor, random_depths(seed=seed))) for seed in range(6)])
    found = depth_values(sums.unflatten(0, (3, 2)))
    assert found.shape == (3, 2, 8) and found.dtype == torch.float64
    assert torch.equal(found.flatten(0, 1), torch.stack([depth_values(one) for one in sums]))


def test_half_precision_is_summed_in_float64():
    guess, true = (torch.full((1, 100, 100), value, dtype=torch.bfloat16) for value in (3.0, 2.0))
    assert values(guess, true)["RMSE"] == 1.0 and depth_sums(guess, true)[0] == 10_000


@pytest.mark.parametrize(
    "guess, options, message",
    [
        (depths([[1, math.nan], [1, 1]]), {}, "predicted depths must be finite, got 1 that are not"),
        (depths([[0, 0], [0, 1]]), {"median_scaling": True}, "must have a median above 0 to be scaled by it, got 0"),
    ],
)
def test_what_has_no_error_is_refused(guess, options, message):
    with pytest.raises(ValueError, match=message):
        depth_sums(guess, depths([[1, 2], [3, 4]]), **options)
