"""Batch norms that go by the target: AdaBN (arXiv 1603.04779), no training and no label, a minute's rival of a GAN."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from daframework.errors import RecipeError


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms of ``model`` that keep statistics.

    Raises:
        RecipeError: there is none.
    """
    norms = [one for one in model.modules() if isinstance(one, _BatchNorm) and one.running_mean is not None]
    if not norms:
        raise RecipeError("downstream.target_norms: the task's model has no batch norm to adapt; leave it out")
    return norms


@torch.no_grad()
def adapt_norms(model: nn.Module, batches: Iterable[Tensor], share: float) -> None:
    """Give ``model``, in eval mode, the statistics of ``batches`` (N, 3, H, W) of the target, in place.

    They count by ``share``, 0 to 1, and what the norms knew by the rest: mean and variance are those of a domain in
    which so many pixels are the target's. While the target's are measured every norm normalises by its batch, as in
    training; all else, dropout among it, stays in eval mode.

    Raises:
        RecipeError: the model has no batch norm.
    """
    norms = batch_norms(model)
    before = [_statistics(one) for one in norms]
    momenta = [one.momentum for one in norms]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # the mean over all batches
        one.train()
    for images in batches:
        model(images)
    for one, momentum, (mean, variance) in zip(norms, momenta, before, strict=True):
        found, spread = _statistics(one)
        middle = torch.lerp(mean, found, share)
        within = torch.lerp(variance + (mean - middle) ** 2, spread + (found - middle) ** 2, share)
        assert one.running_mean is not None and one.running_var is not None
        one.running_mean.copy_(middle)
        one.running_var.copy_(within)
        one.momentum = momentum
        one.eval()


def _statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()
