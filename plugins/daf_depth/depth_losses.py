"""What a depth model is trained with: the mean over the valid pixels of all ranks, 0 where there are none.

Depths are (N, H, W) in metres, predicted ones above 0; ``valid`` (N, H, W) says where the true ones count. Of several
ranks, the mean of their gradients is the gradient for all their images together.
"""

import torch
from torch import Tensor

from daframework.compute.ranks import mean_over_ranks, mean_with_own_gradient


def mean_error(prediction: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """The mean of abs(prediction - truth), in metres."""
    errors = torch.where(valid, (prediction - truth).abs(), 0.0)
    return errors.sum() / mean_over_ranks(valid.sum()).clamp(min=1)


def scale_invariant_error(prediction: Tensor, truth: Tensor, valid: Tensor, *, variance: float) -> Tensor:
    """The scale-invariant log loss (arXiv 1406.2283) as AdaBins (arXiv 2011.14141) weighs it.

    With g = log prediction - log truth it is 10 * sqrt(mean(g^2) - variance * mean(g)^2), means over valid pixels.
    """
    errors = torch.where(valid, prediction.log() - truth.log(), 0.0)
    count, total = mean_over_ranks(torch.stack([valid.sum().to(errors.dtype), errors.detach().sum()]))
    count = count.clamp(min=1)
    mean = total / count
    # mean(g^2) is split into mean((g - mean)^2) + mean^2, whose difference from variance * mean^2 is never below 0.
    spread = mean_with_own_gradient(torch.where(valid, errors - mean, 0.0).square().sum() / count)
    square = spread + (1 - variance) * mean_with_own_gradient(errors.sum() / count).square()
    # The root's derivative at 0 is infinite, and infinity times 0 is NaN.
    return 10 * square.clamp(min=torch.finfo(square.dtype).tiny).sqrt() * (square > 0)
