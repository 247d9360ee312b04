"""How far depths are from the true ones, by the field's protocol, from sums that add up over images and ranks.

The measures and thresholds are those of Eigen et al. (arXiv 1406.2283), the caps those with which Monodepth2 (arXiv
1806.01260) evaluates KITTI's Eigen split; no crop is cut from the images. A mean is one over all pixels with a true
depth: an image counts by how many it has. Papers that average over images have other numbers, unless there is one.
"""

import numpy as np
import torch
from torch import Tensor

from daframework.interfaces import Metric

METRICS = (
    Metric("AbsRel", higher_is_better=False),
    Metric("SqRel", "m", higher_is_better=False),
    Metric("RMSE", "m", higher_is_better=False),
    Metric("RMSE_log", higher_is_better=False),
    Metric("SILog", higher_is_better=False),
    *(Metric(f"delta{power}", "%", higher_is_better=True) for power in (1, 2, 3)),
)
"""What `depth_values` gives."""


def depth_sums(
    prediction: Tensor, truth: Tensor, *, min_depth: float = 1e-3, max_depth: float = 80.0, median_scaling: bool = False
) -> Tensor:
    """Depths (N, H, W) in metres, twice -> the sum over images of what `depth_values` needs, (9,) float64 on the CPU.

    Only pixels whose true depth lies from ``min_depth`` to ``max_depth`` count; what is predicted there is clipped to
    that range. With ``median_scaling`` the predictions of each image are first multiplied by the median of its true
    depths over their own, both of the pixels that count (arXiv 1704.07813): for a scale that cannot be known.

    The first entry counts pixels, and the others sum over them, with d predicted and t true: abs(d - t) / t;
    (d - t)^2 / t; (d - t)^2; g^2 with g = log d - log t; (g less its mean in the image)^2; 1 where both d / t and t / d
    are below 1.25; 1.25^2; 1.25^3. An image where nothing counts adds zeros.

    Raises:
        ValueError: a prediction that counts is not finite, or has no positive median to be scaled by.
    """
    total = torch.zeros(len(METRICS) + 1, dtype=torch.float64)
    for guess, true in zip(prediction.detach().cpu().double(), truth.cpu().double(), strict=True):
        counted = (true >= min_depth) & (true <= max_depth)
        if counted.any():
            guesses = _scaled(guess[counted], true[counted], median_scaling=median_scaling)
            total += _sums(guesses.clamp(min_depth, max_depth), true[counted])
    return total


def _scaled(guess: Tensor, true: Tensor, *, median_scaling: bool) -> Tensor:
    if not bool(guess.isfinite().all()):
        raise ValueError(f"predicted depths must be finite, got {int((~guess.isfinite()).sum())} that are not")
    if not median_scaling:
        return guess
    median = float(np.median(guess.numpy()))  # torch's is the lower of two in the middle
    if median <= 0:
        raise ValueError(f"predicted depths must have a median above 0 to be scaled by it, got {median:g}")
    return guess * (float(np.median(true.numpy())) / median)


def _sums(guess: Tensor, true: Tensor) -> Tensor:
    """Of one image's pixels that count, (n,) float64."""
    error, log_error = guess - true, guess.log() - true.log()
    ratio = torch.maximum(guess / true, true / guess)
    terms = (
        torch.ones_like(true),
        error.abs() / true,
        error.square() / true,
        error.square(),
        log_error.square(),
        (log_error - log_error.mean()).square(),
        *(ratio < 1.25**power for power in (1, 2, 3)),
    )
    return torch.stack([term.sum() for term in terms])


def depth_values(sums: Tensor) -> Tensor:
    """Sums of `depth_sums`, (..., 9), of one set or of many -> `METRICS` (..., 8) float64; NaN where no pixel counts.

    RMSE and RMSE log are roots of means over all pixels. SILog, times 100 as KITTI has it, is the root of the mean over
    pixels of the variance of log d - log t within each image: no factor on an image's depths changes it. The deltas are
    fractions.
    """
    sums = sums.cpu().double()  # not every accelerator has float64
    abs_rel, sq_rel, square, log_square, log_variance, *deltas = (sums[..., 1:] / sums[..., :1]).unbind(-1)
    return torch.stack([abs_rel, sq_rel, square.sqrt(), log_square.sqrt(), 100 * log_variance.sqrt(), *deltas], -1)
