"""From what a network gives at each pixel to metres."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class DepthNetwork(nn.Module):
    """A network of one channel whose output is read as depth: ``min_depth`` metres or more, and finite.

    Where the network gives 0, as it nearly does before training, the depth is the geometric mean of ``min_depth`` and
    ``max_depth``. Else it would have to learn a large offset first, of which bf16 keeps few digits.
    """

    def __init__(self, network: nn.Module, *, head: str, min_depth: float, max_depth: float) -> None:
        """``head`` is ``sigmoid_disparity``, which ends at ``max_depth``, or ``softplus``, which has no end."""
        super().__init__()
        self.network, self._head = network, head
        self._range = min_depth, max_depth

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] -> depths (N, H, W) in metres, float32 or more: bf16 has 80.5 for 80.3."""
        raw: Tensor = self.network(image)[:, 0]
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        low, high = self._range
        if self._head == "softplus":
            start = math.sqrt(low * high) - low
            return low + softplus(raw + start + math.log(-math.expm1(-start)))
        disparity = torch.sigmoid(raw - math.log(high / low) / 2)
        return 1 / (1 / high + (1 / low - 1 / high) * disparity)
