"""Batch norm over the batches of all ranks, so that several processes train as one with all of their images does.

PyTorch's SyncBatchNorm does so on GPUs, and is used there; on a CPU it raises an error.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from daframework.compute.ranks import count_ranks, mean_over_ranks
from daframework.errors import PluginError


def over_all_ranks(network: nn.Module, device: torch.device) -> nn.Module:
    """``network``, its batch norms, if it has any and there are several ranks, over all of them from now on.

    They are changed where they are: weights and their names, hooks, and whatever refers to them stay what they are.
    Every rank must have as many images.

    Raises:
        PluginError: a norm keeps statistics in a way that is not known here.
    """
    if count_ranks() > 1:
        for norm in network.modules():
            if isinstance(norm, _BatchNorm):
                norm.__class__ = _shared(norm, device.type == "cuda")
            elif isinstance(norm, _InstanceNorm) and norm.running_mean is not None:
                raise PluginError(_refused(norm, "running statistics"))
    return network


def _shared(norm: _BatchNorm, synced: bool) -> Any:
    """The class of ``norm`` once it is over all ranks, by PyTorch's ``SyncBatchNorm`` if ``synced``."""
    kind = type(norm)
    if issubclass(kind, _OverAllRanks) or (synced and issubclass(kind, nn.SyncBatchNorm)):
        return kind
    bases: tuple[Any, ...] = (nn.SyncBatchNorm if synced else _OverAllRanks, kind)
    if kind.forward not in (_BatchNorm.forward, nn.SyncBatchNorm.forward):
        if {name for name, _ in norm.named_children()} != {"drop", "act"}:
            raise PluginError(_refused(norm, "a forward of its own"))
        # timm's BatchNormAct2d, whose activation PyTorch's own conversion loses without a word.
        bases = (_Activated, *bases)
    return type(kind.__name__, bases, {"process_group": None})  # of SyncBatchNorm: all ranks


def _refused(norm: nn.Module, what: str) -> str:
    found = f"the norm {type(norm).__name__} has {what}, which several processes cannot share"
    return f"{found}; use one process, or PyTorch's batch norm"


class _Activated(nn.Module):
    """What timm's norms do with what is normalised."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


class _OverAllRanks(_BatchNorm):
    """PyTorch's batch norm over all ranks, on any device."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape; in training by the mean and variance of all ranks' images."""
        if not self.training:
            return _BatchNorm.forward(self, input)
        precise = input.to(torch.promote_types(input.dtype, torch.float32))
        others = [dim for dim in range(input.ndim) if dim != 1]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        mean = _Mean.apply(precise.mean(others))
        centred = precise - mean.view(shape)
        variance = _Mean.apply(centred.square().mean(others))
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            values = count_ranks() * input.numel() // input.shape[1]
            self.running_mean.lerp_(mean.detach(), share)
            self.running_var.lerp_(variance.detach() * values / max(1, values - 1), share)
        normed: Tensor = scaled.to(input.dtype)
        return normed


class _Mean(torch.autograd.Function):
    """The mean over all ranks, behind each of which stand as many values."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return mean_over_ranks(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return mean_over_ranks(gradient)
