import pytest
import torch

from daframework.compute.randomness import generator
from daframework.metrics import mean_iou, mean_iou_of
from daframework.suites import bootstrap
from daframework.suites.bootstrap import MIN_IMAGES, Interval, interval, paired_difference, resample_weights

EXPONENTIAL = torch.distributions.Exponential(torch.ones((), dtype=torch.float64))


def mean_of(images):
    """Score of statistics (images, 1): their mean."""
    return lambda sums: sums[:, 0] / images


def skewed_scores(images, mean, slope, *, seeds=3):
    """Scores a seed, (images, 1), around 0.01 more each seed; ``slope`` says how much a hard image costs."""

    def scores_of(hard):
        noise = torch.randn(seeds, images, dtype=torch.float64)
        means = mean + 0.01 * torch.arange(seeds, dtype=torch.float64)
        return list((means[:, None] - slope * (hard - 1) + 0.02 * noise)[..., None])

    return scores_of


def confusions(pixels, hard, accuracy, slope):
    """Integer matrices (images, 4, 4) of images whose accuracy falls with how hard they are and differs by class."""
    right = accuracy - slope * hard[:, None] + 0.08 * torch.randn(pixels.shape, dtype=torch.float64)
    hits = (pixels * right.clamp(0.02, 0.98)).round()
    elsewhere = (1 - torch.eye(4, dtype=torch.float64)) / 3
    return ((pixels - hits)[:, :, None] * elsewhere).round() + torch.diag_embed(hits)


def confusions_of_two_methods(images, *, seeds=2):
    shares = torch.distributions.Dirichlet(torch.tensor([4, 2, 1, 0.5], dtype=torch.float64)).sample((images,))
    pixels, hard = (600 * shares).round(), EXPONENTIAL.sample((images,))
    first = [confusions(pixels, hard, 0.85 + 0.01 * seed, 0.10) for seed in range(seeds)]
    second = [confusions(pixels, hard, 0.80 + 0.01 * seed, 0.13) for seed in range(seeds)]
    return first, second


def covered(found, truth):
    return sum(one.interval.low <= truth <= one.interval.high for one in found) / len(found)


@pytest.mark.parametrize("images", [60, 150])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(images):
    torch.manual_seed(images)
    one, other = skewed_scores(images, 0.60, 0.05), skewed_scores(images, 0.55, 0.08)
    found = []
    for data_set in range(1000):
        hard = EXPONENTIAL.sample((images,))
        found.append(paired_difference(one(hard), other(hard), mean_of(images), repetitions=300, seed=data_set))
    assert 0.935 <= covered(found, 0.05) <= 0.965


def test_the_interval_of_a_difference_in_miou_holds_the_populations():
    torch.manual_seed(0)
    population, images = 20_000, 60
    one, other = confusions_of_two_methods(population)
    truth = torch.stack([mean_iou_of(a.sum(0)) - mean_iou_of(b.sum(0)) for a, b in zip(one, other, strict=True)]).mean()
    found = []
    for data_set in range(1000):
        drawn = torch.randint(population, (images,))
        first, second = [a[drawn] for a in one], [b[drawn] for b in other]
        found.append(paired_difference(first, second, mean_iou_of, repetitions=300, seed=data_set))
    assert 0.935 <= covered(found, float(truth)) <= 0.965


def test_a_small_test_set_is_covered_where_plain_percentiles_are_not():
    torch.manual_seed(1)
    images, expanded, plain = MIN_IMAGES, 0, 0
    for _ in range(2000):
        data = torch.randn(images, dtype=torch.float64)
        draws = data[torch.randint(images, (300, images))].mean(1)
        found = interval(data.mean().item(), draws, images)
        expanded += found.low <= 0 <= found.high
        plain += bool(draws.quantile(0.025) <= 0 <= draws.quantile(0.975))
    assert plain / 2000 < 0.93 and 0.935 <= expanded / 2000 <= 0.965


@pytest.mark.parametrize("images", [20, 21, 30, 101, 500, 100_000])
def test_tails_are_those_of_scipy(images):
    stats = pytest.importorskip("scipy.stats")
    tail = stats.norm.cdf(-((images / (images - 1)) ** 0.5) * stats.t.ppf(0.975, images - 1))
    assert bootstrap._expanded_tail(images) == pytest.approx(tail, abs=1e-4)


def test_percentiles_of_known_draws():
    draws = torch.arange(1, 1000, dtype=torch.float64)[torch.randperm(999)]  # the k-th of 999 stands for k / 1000
    found = interval(500.0, draws, 1_000_000)
    assert (found.low, found.high) == (pytest.approx(25, abs=0.01), pytest.approx(975, abs=0.01))
    assert interval(500.0, draws, 20).low < 17 and interval(500.0, draws, 20).high > 983
    assert interval(-3.0, draws, 100).low == -3.0, "an interval holds its estimate"


def test_weights_count_images_drawn_with_replacement():
    weights = resample_weights(50, 4000, generator(3, "bootstrap"))
    assert weights.shape == (4000, 50) and weights.dtype == torch.int64
    assert (weights.sum(1) == 50).all() and weights.min() == 0
    assert weights.double().mean(0).sub(1).abs().max() < 0.08
    # The share of images that a resample leaves out is (1 - 1/n)^n.
    assert (weights == 0).double().mean().item() == pytest.approx((1 - 1 / 50) ** 50, abs=0.002)
    assert torch.equal(weights, resample_weights(50, 4000, generator(3, "bootstrap")))
    assert not torch.equal(weights, resample_weights(50, 4000, generator(4, "bootstrap")))


@pytest.mark.parametrize("numbers", [1, 10_000, 16_000_000])
def test_sums_are_taken_with_the_weights_whatever_the_chunks(monkeypatch, numbers):
    monkeypatch.setattr(bootstrap, "_CHUNK_NUMBERS", numbers)
    torch.manual_seed(0)
    first, second = confusions_of_two_methods(40)
    found = paired_difference([a.long() for a in first], second, mean_iou_of, repetitions=200, seed=5)

    weights, draws = resample_weights(40, 200, generator(5, "bootstrap")), torch.zeros(200, dtype=torch.float64)
    for draw, counts in enumerate(weights):
        for a, b in zip(first, second, strict=True):
            resampled = [one.repeat_interleave(counts, dim=0).sum(0).long() for one in (a, b)]
            draws[draw] += (mean_iou(resampled[0]) - mean_iou(resampled[1])) / 2
    whole = [mean_iou(a.sum(0).long()) - mean_iou(b.sum(0).long()) for a, b in zip(first, second, strict=True)]
    expected = interval(sum(whole) / 2, draws, 40)
    assert found.estimate == pytest.approx(sum(whole) / 2, abs=1e-12)
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_method_does_not_differ_from_itself():
    torch.manual_seed(0)
    first, _ = confusions_of_two_methods(40)
    found = paired_difference(first, [one.clone() for one in first], mean_iou_of, repetitions=200, seed=0)
    assert (found.estimate, found.interval) == (0.0, Interval(0.0, 0.0))


def test_a_constant_shift_has_no_width():
    first = [torch.rand(60, 1, dtype=torch.float64) for _ in range(3)]
    found = paired_difference([one + 0.07 for one in first], first, mean_of(60), repetitions=200, seed=0)
    assert found.estimate == pytest.approx(0.07)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.07, 0.07), abs=1e-12)


def width(found):
    return found.interval.high - found.interval.low


def test_pairing_makes_the_interval_narrow():
    torch.manual_seed(0)
    first, second = confusions_of_two_methods(200)
    other_images = torch.randperm(200)
    paired = paired_difference(first, second, mean_iou_of, repetitions=400, seed=0)
    apart = paired_difference(first, [one[other_images] for one in second], mean_iou_of, repetitions=400, seed=0)
    assert paired.estimate == pytest.approx(apart.estimate, abs=1e-12)
    assert width(paired) < 0.6 * width(apart)


def test_the_same_seed_gives_the_same_interval_and_another_a_like_one():
    torch.manual_seed(0)
    first, second = confusions_of_two_methods(60)
    one, again, other = [
        paired_difference(first, second, mean_iou_of, repetitions=400, seed=seed) for seed in (1, 1, 2)
    ]
    assert one == again
    assert one.estimate == other.estimate and one.interval != other.interval
    assert width(one) == pytest.approx(width(other), rel=0.25)


def test_the_order_of_images_does_not_matter_for_the_estimate():
    torch.manual_seed(0)
    first, second = confusions_of_two_methods(60)
    order = torch.randperm(60)
    mixed = ([one[order] for one in first], [one[order] for one in second])
    one = paired_difference(first, second, mean_iou_of, repetitions=400, seed=1)
    other = paired_difference(*mixed, mean_iou_of, repetitions=400, seed=1)
    assert one.estimate == other.estimate
    assert width(one) == pytest.approx(width(other), rel=0.25)


def test_swapping_the_methods_turns_the_interval_round():
    torch.manual_seed(0)
    first, second = confusions_of_two_methods(60)
    one = paired_difference(first, second, mean_iou_of, repetitions=200, seed=1)
    other = paired_difference(second, first, mean_iou_of, repetitions=200, seed=1)
    assert other.estimate == -one.estimate
    assert other.interval == Interval(-one.interval.high, -one.interval.low)


def test_a_class_that_vanishes_from_a_resample_leaves_its_mean():
    torch.manual_seed(0)
    first, second = confusions_of_two_methods(30)
    for one in (*first, *second):
        one[1:, 3], one[1:, :, 3] = 0, 0  # class 3 occurs in one image only, so in 64 % of the resamples
    found = paired_difference(first, second, mean_iou_of, repetitions=200, seed=1)
    assert found.interval.low <= found.estimate <= found.interval.high and 0 < width(found) < 0.5


def labelled_in(images, labelled):
    """Confusions (images, 2, 2) of two methods where only the first ``labelled`` images have labelled pixels."""
    first = torch.tensor([[8, 2], [3, 7]]).repeat(images, 1, 1)
    first[labelled:] = 0
    return [first], [first.flip(2)]


def test_a_few_resamples_without_a_score_are_left_out():
    first, second = labelled_in(30, 6)  # e^-6 of the resamples, about 1 in 400
    found = paired_difference(first, second, mean_iou_of, repetitions=2000, seed=0)
    assert width(found) == pytest.approx(0, abs=1e-12) and found.estimate == pytest.approx(found.interval.low)


def test_no_interval_where_many_resamples_or_the_whole_set_have_no_score():
    with pytest.raises(ValueError, match=r"\d+ of 500 resamples have no score"):
        paired_difference(*labelled_in(30, 2), mean_iou_of, repetitions=500, seed=0)
    with pytest.raises(ValueError, match="the whole test set has no score"):
        paired_difference(*labelled_in(30, 0), mean_iou_of, repetitions=500, seed=0)


def test_what_cannot_be_compared_is_refused():
    one = torch.ones(30, 2, 2)

    def compare(first, second, score=mean_iou_of):
        return paired_difference(first, second, score, repetitions=100, seed=0)

    for other in (torch.ones(31, 2, 2), torch.ones(30, 3, 3), torch.ones(30, 4)):
        with pytest.raises(ValueError, match="must have one shape"):
            compare([one], [other])
    with pytest.raises(ValueError, match=r"at least 20 test images \(MIN_IMAGES\), got 19"):
        compare([one[:19]], [one[:19]])
    with pytest.raises(ValueError, match=r"MIN_IMAGES"):
        interval(0.5, torch.rand(100), MIN_IMAGES - 1)
    with pytest.raises(ValueError, match=r"one number a resample, \(1,\), got \(1, 2, 2\)"):
        compare([one], [one], lambda sums: sums)
    with pytest.raises(ValueError, match=r"10 resamples are too few for an interval; draw 4\d or more"):
        interval(0.5, torch.rand(10), 100)


def test_plain_numbers_an_image_will_do():
    first, second = torch.rand(40), torch.rand(40)
    found = paired_difference([first], [second], lambda sums: sums / 40, repetitions=100, seed=0)
    assert found.estimate == pytest.approx((first - second).mean().item())


@pytest.mark.parametrize("num_classes", [2, 5, 19])
def test_mean_iou_of_many_matrices_is_that_of_each(num_classes):
    generator = torch.Generator().manual_seed(num_classes)
    matrices = torch.randint(0, 2**40, (50, num_classes, num_classes), generator=generator)
    matrices[::2, 0], matrices[::2, :, 0] = 0, 0  # absent
    matrices[::3, 1] = 0  # only predicted
    matrices[7] = 0
    found = mean_iou_of(matrices.double())
    assert found.shape == (50,) and found.dtype == torch.float64
    expected = [mean_iou(one) for one in matrices]
    assert expected[7] is None and found[7].isnan()
    for one, score in zip(expected, found.tolist(), strict=True):
        assert one is None or score == pytest.approx(one, abs=1e-12)
    assert torch.equal(mean_iou_of(matrices).nan_to_num(), found.nan_to_num()), "integers and floats alike"
    assert mean_iou_of(matrices[0]).shape == ()
