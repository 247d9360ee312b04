"""Histogram matching of each colour channel."""

import numpy as np
import torch
from torch import Tensor

from daf_baselines.measured import Measured, Reference, draw, spread_images
from daframework.data.stream import to_bytes
from daframework.interfaces import ImageDataset

LEVELS = 256


class HistogramMatching(Measured):
    """Cumulative histogram matching of R, G and B at 8 bits: (N, 3, H, W) in [-1, 1], any size -> same.

    A level becomes the one below which the target has the same share of pixels. The input is rounded to 8 bits; the
    output is not: rounding is left to who stores it. Nothing is trained.
    """

    source_histogram: Tensor  # (3, 256): how many pixels have each level; only with reference "set"
    target_histograms: Tensor  # (K, 3, 256): of each image drawn from; K = 1 with reference "set"

    def __init__(self, *, reference: Reference = "set", limit: int = 500) -> None:
        """Keep the options; `prepare` measures the domains.

        Args:
            reference: "set" matches the histogram of all the source's pixels to that of all the target's, one fixed map
                for every image; "image" matches each image's own to that of a target image drawn at random.
            limit: how many images of each domain are measured, spread evenly over it.

        Raises:
            ValueError: ``limit`` is less than 1.
        """
        super().__init__(limit)
        self.reference = reference
        if reference == "set":
            self.register_buffer("source_histogram", torch.empty(0, dtype=torch.int64))
        self.register_buffer("target_histograms", torch.empty(0, dtype=torch.int64))

    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        measured = _measure(target, self.limit)
        if self.reference == "set":
            self.keep("source_histogram", _measure(source, self.limit).sum(0))
            measured = measured.sum(0, keepdim=True)
        self.keep("target_histograms", measured)

    def translate(self, image: Tensor) -> Tensor:
        levels = to_bytes(image)
        if self.reference == "set":
            old, new = self.source_histogram[None], self.target_histograms[:1]
        else:
            old, new = histograms(levels), draw(self.target_histograms, len(image))
        # Tables are small, and the CPU has float64 on every machine.
        table = matching_table(old.cpu(), new.cpu()) / 127.5 - 1
        table = table.to(image).expand(len(image), -1, -1)
        return table.gather(2, levels.flatten(2).long()).view_as(image)


def matching_table(source: Tensor, target: Tensor) -> Tensor:
    """What each level becomes, (..., 256) float64 in [0, 255], from pixels by level, both (..., 256) on the CPU.

    A level at which the source's cumulative share is q becomes the level at which the target's is q, interpolated
    between the levels that occur in the target; one darker than all of the source becomes the target's darkest.
    """
    tables = []
    for own, other in zip(source.reshape(-1, LEVELS).numpy(), target.reshape(-1, LEVELS).numpy(), strict=True):
        occurs = np.flatnonzero(other)
        tables.append(np.interp(own.cumsum() / own.sum(), (other.cumsum() / other.sum())[occurs], occurs))
    return torch.from_numpy(np.stack(tables)).view(source.shape)


def histograms(levels: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> (N, 3, 256) int64: how many pixels of each channel have each level."""
    counted = [torch.bincount(channel, minlength=LEVELS) for channel in levels.flatten(0, 1).flatten(1)]
    return torch.stack(counted).view(*levels.shape[:2], LEVELS)


def _measure(dataset: ImageDataset, limit: int) -> Tensor:
    """Histograms of the images measured, (K, 3, 256) int64."""
    return torch.cat([histograms(image[None]) for image in spread_images(dataset, limit)])
