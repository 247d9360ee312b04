"""Batch norm over the batches of all ranks, so that several processes train as one with all of their images does.

PyTorch's SyncBatchNorm does so on GPUs, and is used there; on a CPU it raises an error.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from daframework.compute.ranks import count_ranks, mean_over_ranks
from daframework.errors import PluginError


def over_all_ranks(network: nn.Module, device: torch.device) -> nn.Module:
    """``network`` with its batch norms, if it has any and there are several ranks, over all of them.

    Weights, and their names, stay what they are. Every rank must have as many images.

    Raises:
        PluginError: one does more than to normalise, and nobody knows what.
    """
    if count_ranks() == 1:
        return network
    if isinstance(network, _BatchNorm):
        return _norm_over_all_ranks(network, device)
    for name, child in network.named_children():
        setattr(network, name, over_all_ranks(child, device))
    return network


def _norm_over_all_ranks(norm: _BatchNorm, device: torch.device) -> nn.Module:
    convert: Callable[[_BatchNorm], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    over_all = convert(norm) if device.type == "cuda" else BatchNorm(norm)
    # timm's BatchNormAct2d has its activation in it, which PyTorch's conversion loses without a word.
    after = dict(norm.named_children())
    if set(after) == {"drop", "act"}:
        for name, child in after.items():
            over_all.add_module(name, child)
        over_all.register_forward_hook(_dropped_and_activated)
    elif type(norm).forward not in (_BatchNorm.forward, nn.SyncBatchNorm.forward):
        what = f"the batch norm {type(norm).__name__} has a forward of its own"
        raise PluginError(f"{what}, which several processes cannot share; use one process, or PyTorch's own batch norm")
    return over_all


def _dropped_and_activated(norm: Any, _: object, normed: Tensor) -> Tensor:
    activated: Tensor = norm.act(norm.drop(normed))
    return activated


class BatchNorm(_BatchNorm):
    """PyTorch's batch norm over all ranks, on any device."""

    def __init__(self, like: _BatchNorm) -> None:
        """Takes over the weights and running statistics of ``like``."""
        super().__init__(like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats)
        for name, value in [*like.named_parameters(recurse=False), *like.named_buffers(recurse=False)]:
            setattr(self, name, value)
        self.train(like.training)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape; in training by the mean and variance of all ranks' images."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        precise = input.to(torch.promote_types(input.dtype, torch.float32))
        others = [dim for dim in range(input.ndim) if dim != 1]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        mean = _Mean.apply(precise.mean(others))
        centred = precise - mean.view(shape)
        variance = _Mean.apply(centred.square().mean(others))
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        values = count_ranks() * input.numel() // input.shape[1]
        self.running_mean.lerp_(mean.detach(), share)
        self.running_var.lerp_(variance.detach() * values / max(1, values - 1), share)
        normed: Tensor = scaled.to(input.dtype)
        return normed

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""


class _Mean(torch.autograd.Function):
    """The mean over all ranks, behind each of which stand as many values."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return mean_over_ranks(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return mean_over_ranks(gradient)
