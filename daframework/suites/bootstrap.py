"""How far a difference between two methods could come from the choice of test images: a paired bootstrap.

Test images are drawn again with replacement, the same ones for both methods and every seed, and the difference is
computed anew each time. Seeds are not drawn again: three of them say little about the seeds there might be, so an
interval speaks of these trained models on other images of the same kind; the spread over seeds is shown beside it.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from daframework.compute.randomness import generator

MIN_IMAGES = 20
"""With fewer test images there is no interval: resamples of so few say little about others."""

_MAX_MISSING = 0.01  # of the resamples: leaving out more would make it an interval of another kind of test set
_CHUNK_NUMBERS = 16_000_000  # of 8 bytes held at once: 128 MB
_NORMAL = NormalDist()


@frozen
class Interval:
    """From ``low`` to ``high``, in the unit of the score."""

    low: float
    high: float


@frozen
class Difference:
    """``estimate``, on the whole test set, of the first method's score less the second's, and its interval."""

    estimate: float
    interval: Interval


def resample_weights(images: int, repetitions: int, random: torch.Generator) -> Tensor:
    """How often each image occurs in each resample of as many: (repetitions, images) int64, each row adds up to images.

    The same for every method and training seed that is scored on these images, which is what pairs them.
    """
    chosen = torch.randint(images, (repetitions, images), generator=random)
    return torch.zeros_like(chosen).scatter_add_(1, chosen, torch.tensor(1).expand_as(chosen))


def interval(estimate: float, draws: Tensor, images: int) -> Interval:
    """Expanded percentile interval (Hesterberg, arXiv 1411.5279) of a score's ``draws`` (R,) on resampled images.

    The percentiles lie further out than 95 % ask, by as much as a t interval is wider than a normal one that
    divides by n instead of n - 1: a plain percentile interval covers too little on small test sets. The interval is
    stretched to the estimate where that lies outside, as it may where a class occurs in one or two images only.

    A draw is NaN where the resample has no score, as when none of its images has labelled pixels. Up to 1 in 100 are
    left out.

    Raises:
        ValueError: there are fewer than `MIN_IMAGES` images, the estimate or more than 1 in 100 draws are NaN, or the
            draws are too few for their outermost to lie as far out.
    """
    if images < MIN_IMAGES:
        raise ValueError(f"an interval needs at least {MIN_IMAGES} test images (MIN_IMAGES), got {images}")
    found = draws[~draws.isnan()].double().numpy()
    missing = len(draws) - len(found)
    if math.isnan(estimate):
        raise ValueError("the whole test set has no score, as when nothing in it is labelled, so there is no interval")
    if missing > _MAX_MISSING * len(draws):
        raise ValueError(f"{missing} of {len(draws)} resamples have no score; label more test images for an interval")
    tail = _expanded_tail(images)
    if tail * (len(found) + 1) < 1:
        needed = math.ceil(1 / tail) - 1
        raise ValueError(f"{len(found)} resamples are too few for an interval; draw {needed} or more")
    # By Weibull's method the k-th of R draws stands for the percentile k / (R + 1), without bias.
    low, high = np.quantile(found, (tail, 1 - tail), method="weibull").tolist()
    return Interval(min(low, estimate), max(high, estimate))


def _expanded_tail(images: int) -> float:
    """The share left out at each end: Phi(-sqrt(n / (n - 1)) t), t the 97.5 % quantile of n - 1 degrees of freedom.

    Student's t by Cornish and Fisher's expansion (Abramowitz and Stegun 26.7.5); within 1e-3 from 19 on.
    """
    z, freedom = _NORMAL.inv_cdf(0.975), images - 1
    quantile = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return _NORMAL.cdf(-math.sqrt(images / freedom) * quantile)


def paired_difference(
    first: Sequence[Tensor], second: Sequence[Tensor], score: Callable[[Tensor], Tensor], *, repetitions: int, seed: int
) -> Difference:
    """The first method's score less the second's, mean over seeds, with the 95 % `interval` over test images.

    Each list holds, for the same seeds in one order, statistics (images, ...) of the same images in one order, which
    add up over images. ``score`` maps sums of them, (R, ...) float64, to scores (R,), NaN where there is none. A class
    that vanishes from a resample is treated by ``score`` as on the whole set: `mean_iou_of` leaves it out of the mean.

    Raises:
        ValueError: images or shapes differ, or there is no `interval`.
    """
    shapes = {tuple(statistics.shape) for statistics in (*first, *second)}
    if len(shapes) > 1:
        raise ValueError(f"statistics of the same images must have one shape (images, ...), got {sorted(shapes)}")
    images = len(first[0])
    pairs = list(zip(first, second, strict=True))
    estimate = _differences(torch.ones(1, images), pairs, score)
    random, draws = generator(seed, "bootstrap"), []
    most = max(1, _CHUNK_NUMBERS // (3 * images + 4 * first[0][0].numel()))
    for start in range(0, repetitions, most):
        weights = resample_weights(images, min(most, repetitions - start), random)
        draws.append(_differences(weights, pairs, score))
    return Difference(estimate.item(), interval(estimate.item(), torch.cat(draws), images))


def _differences(weights: Tensor, pairs: Sequence[tuple[Tensor, Tensor]], score: Callable[[Tensor], Tensor]) -> Tensor:
    """Weights (R, images) -> the scores' differences (R,), mean over seeds."""
    weights = weights.double()
    total = torch.zeros(len(weights), dtype=torch.float64)
    for first, second in pairs:
        total += _scores(weights, first, score) - _scores(weights, second, score)
    return total / len(pairs)


def _scores(weights: Tensor, statistics: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    sums = weights @ statistics.double().reshape(len(statistics), -1)
    scores = score(sums.reshape(len(weights), *statistics.shape[1:]))
    if scores.shape != (len(weights),):
        raise ValueError(f"score must give one number a resample, ({len(weights)},), got {tuple(scores.shape)}")
    return scores
