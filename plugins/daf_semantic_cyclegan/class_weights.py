"""Weights that make up for how unevenly classes share the pixels."""

from typing import Literal

import torch
from torch import Tensor, nn

from daframework.data.frequencies import ClassCounts, count_classes
from daframework.interfaces import IGNORE_INDEX, ImageDataset

Scheme = Literal["none", "inverse_frequency", "median_frequency", "inverse_log"]


class ClassWeights(nn.Module):
    """Holds a loss's class weights, so that a checkpoint has them: 1 until measured, no ``weights`` for "none"."""

    weights: Tensor | None

    def __init__(self, *, num_classes: int, scheme: Scheme, clip: float) -> None:
        """Check a recipe's options and make room for the weights.

        Raises:
            ValueError: ``clip`` is less than 1.
        """
        super().__init__()
        if not clip >= 1:
            raise ValueError(f"clip must be 1 or more, got {clip}")
        self._scheme, self._clip = scheme, clip
        self.register_buffer("weights", None if scheme == "none" else torch.ones(num_classes))

    def measure(self, source: ImageDataset) -> None:
        """Set the weights by an even selection of at most 2000 images of a labelled set.

        Raises:
            DataError: a label has an unknown class or is missing, or no pixel is labelled.
        """
        if self.weights is not None:
            self.weights.copy_(class_weights(count_classes(source), scheme=self._scheme, clip=self._clip))


def class_weights(counts: ClassCounts, *, scheme: Scheme, clip: float) -> Tensor:
    """Weight of each class, (num_classes,) float64, in [1 / clip, clip], with mean 1 over the counted pixels.

    Before that, up to a factor, with p a class's share of all labelled pixels and q its share in the images that show
    it: ``inverse_frequency`` 1 / p, ``median_frequency`` 1 / q (arXiv 1411.4734; the median is a factor),
    ``inverse_log`` 1 / ln(1.02 + p) (arXiv 1606.02147). The factor is the one with which the *clipped* weights have
    mean 1, so that both hold at once. A class that was not seen counts as rarer than any other.
    """
    share = counts.pixels.double() / counts.pixels.sum()
    raw = {
        "none": torch.ones_like(share),
        "inverse_frequency": 1 / share,
        "median_frequency": counts.where_present.clamp(min=1).double() / counts.pixels,
        "inverse_log": 1 / torch.log(1.02 + share),
    }[scheme]
    seen = counts.pixels > 0
    low, high = clip**-1, float(clip)

    def clipped(factor: float) -> Tensor:
        return (raw * factor).clamp(low, high)

    # The mean grows with the factor from 1 / clip to clip: halve the interval until floating point ends it.
    small, large = low / float(raw[seen].max()), high / float(raw[seen].min())
    for _ in range(100):
        middle = (small + large) / 2
        if float((share * clipped(middle))[seen].sum()) < 1:
            small = middle
        else:
            large = middle
    return clipped(large)


def pixel_weights(weights: Tensor, label: Tensor) -> Tensor:
    """Weight of every pixel, (N, H, W), by a label (N, H, W) and ``weights`` (num_classes,); 1 where ignored."""
    # One more entry for ignored pixels, so that nothing has to be masked afterwards.
    table = torch.cat([weights, weights.new_ones(1)])
    return table[torch.where(label == IGNORE_INDEX, len(weights), label)]
