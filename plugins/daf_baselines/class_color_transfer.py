"""Colour transfer of each class by itself: its label says which pixels of a source image take new colours together."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from daf_baselines.color_transfer import FLAT, from_lab, to_lab
from daf_baselines.measured import Measured, draw, precise, spread_images
from daframework.interfaces import ImageDataset

MOST_GAIN = 3.0
"""What a class's contrast is multiplied or divided by at most: a flat wall must not become noise."""


class ClassColorTransfer(Measured):
    """Mean and deviation in CIE Lab of each class of an image, taken from a target image at the class's own place.

    For each image a target image is drawn; where the label says that the image has a class, that target image has
    colours, whatever it shows there: those the class takes (moments as in Reinhard et al. 2001). No label of the target
    is needed, and what is in the image stays what it is. Where domains share their layout, as street scenes do, a class
    mostly takes colours of its own in the target. Without a label all of an image is one class. Nothing is trained.
    """

    target_cells: Tensor  # (K, 6, grid, grid): mean and variance of L, a and b in each cell of each image drawn from

    def __init__(self, *, grid: int = 64, limit: int = 500) -> None:
        """Keep the options; `prepare` measures the target.

        Args:
            grid: cells a side that a target image is kept as; 64 take 24 MB for 500 images.
            limit: how many target images are measured, spread evenly over the set.

        Raises:
            ValueError: ``limit`` or ``grid`` is less than 1.
        """
        super().__init__(limit)
        if grid < 1:
            raise ValueError(f"grid must be 1 or more, got {grid}")
        self.grid = grid
        self.register_buffer("target_cells", torch.empty(0, dtype=torch.float16))

    @torch.no_grad()
    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        self.keep("target_cells", torch.cat([self._cells(image) for image in spread_images(target, self.limit)]))

    def _cells(self, image: Tensor) -> Tensor:
        lab = to_lab(image[None].double() / 255)
        mean = adaptive_avg_pool2d(lab, self.grid)
        variance = adaptive_avg_pool2d(lab.square(), self.grid) - mean.square()
        return torch.cat([mean, variance.clamp_min(0)], dim=1).half()

    def translate(self, image: Tensor) -> Tensor:
        return self._recoloured(image, torch.zeros(len(image), *image.shape[2:], device=image.device))

    def with_label(self, image: Tensor, label: Tensor) -> Tensor:
        if image.is_meta:
            return torch.empty_like(image)
        self.check_measured()
        return self._recoloured(image, label)

    def _recoloured(self, image: Tensor, label: Tensor) -> Tensor:
        lab = to_lab(image.to(precise(image)) / 2 + 0.5).flatten(2)
        shown, place = torch.unique(label, return_inverse=True)
        classes = range(len(shown))
        # On the CPU: Apple's GPUs pool by whole factors alone.
        masks = ((place == one).float().cpu() for one in classes)
        weight = torch.stack([adaptive_avg_pool2d(mask, self.grid) for mask in masks], dim=1).to(lab)
        mean, variance = draw(self.target_cells, len(image)).to(lab).chunk(2, dim=1)
        new_mean, new_std = moments_of_classes(mean, variance, weight)

        # By matrix products: sums at indices come out otherwise from run to run on a GPU.
        values, place = torch.cat([lab, lab.square(), torch.ones_like(lab[:, :1])], dim=1), place.flatten(1)
        totals = torch.cat([values @ (place == one).to(lab)[..., None] for one in classes], dim=2)
        old_mean, square = (totals[:, :6] / totals[:, 6:].clamp_min(1)).chunk(2, dim=1)
        old_std = (square - old_mean.square()).clamp_min(0).sqrt()
        gain = new_std.clamp(old_std / MOST_GAIN, old_std * MOST_GAIN) / old_std.clamp_min(FLAT)
        where = place[:, None].expand_as(lab)
        made = (lab - old_mean.gather(2, where)) * gain.gather(2, where) + new_mean.gather(2, where)
        return (from_lab(made.view_as(image)) * 2 - 1).to(image.dtype)


def moments_of_classes(mean: Tensor, variance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each class, both (N, 3, classes), from cells' own ``mean`` and ``variance`` (N, 3, h, w).

    ``weight`` (N, classes, h, w), 0 or more, says how much of a cell is of a class; one that has none gets 0 and 0.
    """
    share = weight / weight.sum((2, 3), keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
    whole, square = (torch.einsum("nkhw,nchw->nck", share, one) for one in (mean, variance + mean.square()))
    return whole, (square - whole.square()).clamp_min(0).sqrt()
