"""Colour transfer: mean and deviation of each channel in CIE Lab."""

import torch
from torch import Tensor

from daf_baselines.measured import Measured, Reference, draw, precise, spread_images
from daframework.interfaces import ImageDataset

FLAT = 0.05
"""Deviations below it, in Lab's units, count as this: a step of one 8-bit level is several times as much."""


class ColorTransfer(Measured):
    """Reinhard, Ashikhmin, Gooch and Shirley 2001, in CIE Lab: (N, 3, H, W) in [-1, 1], any size -> same.

    Each channel of an image is shifted and scaled so that the source's mean and deviation become the target's; colours
    that no screen can show are clipped. Nothing is trained. (The paper works in l-alpha-beta; Lab is what its users
    took.)
    """

    source_moments: Tensor  # (2, 3): mean and deviation of L, a and b; only with reference "set"
    target_moments: Tensor  # (K, 2, 3): of each image drawn from; K = 1 with reference "set"

    def __init__(self, *, reference: Reference = "set", limit: int = 500) -> None:
        """Keep the options; `prepare` measures the domains.

        Args:
            reference: "set" replaces the statistics of all the source's pixels by those of all the target's, one fixed
                map for every image; "image" replaces each image's own by those of a target image drawn at random.
            limit: how many images of each domain are measured, spread evenly over it.

        Raises:
            ValueError: ``limit`` is less than 1.
        """
        super().__init__(limit)
        self.reference = reference
        if reference == "set":
            self.register_buffer("source_moments", torch.empty(0))
        self.register_buffer("target_moments", torch.empty(0))

    @torch.no_grad()
    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        measured, pixels = _measure(target, self.limit)
        if self.reference == "set":
            self.keep("source_moments", pool(*_measure(source, self.limit)))
            measured = pool(measured, pixels)[None]
        self.keep("target_moments", measured)

    def translate(self, image: Tensor) -> Tensor:
        # Lab magnifies small errors, and a GPU would round the colour matrices to TF32.
        lab = to_lab(image.to(precise(image)) / 2 + 0.5)
        if self.reference == "set":
            old, new = self.source_moments[None], self.target_moments[:1]
        else:
            old, new = moments(lab), draw(self.target_moments, len(image))
        matched = match_moments(lab, *old.to(lab).unbind(1), *new.to(lab).unbind(1))
        return (from_lab(matched) * 2 - 1).to(image.dtype)


def match_moments(image: Tensor, mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor) -> Tensor:
    """Shift and scale each channel of ``image`` (N, 3, H, W) from ``mean`` and ``std``, (N or 1, 3), to the new ones.

    A deviation below `FLAT` counts as that, so that a flat channel takes the new mean and stays flat.
    """
    gain = new_std / std.clamp_min(FLAT)
    return (image - mean[..., None, None]) * gain[..., None, None] + new_mean[..., None, None]


def moments(image: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 2, 3): mean and population standard deviation of each channel of each image."""
    std, mean = torch.std_mean(image, dim=(2, 3), correction=0)
    return torch.stack([mean, std], dim=1)


def pool(each: Tensor, pixels: Tensor) -> Tensor:
    """Moments of all pixels, (2, 3), from those of K images (K, 2, 3) and their numbers of pixels (K,)."""
    share = (pixels / pixels.sum())[:, None]
    means, stds = each.unbind(1)
    mean = (share * means).sum(0)
    variance = (share * (stds.square() + (means - mean).square())).sum(0)
    return torch.stack([mean, variance.sqrt()])


def to_lab(image: Tensor) -> Tensor:
    """sRGB (N, 3, H, W) in [0, 1] -> CIE Lab (D65, 2 degrees): L in [0, 100], a and b about 0."""
    from kornia.color import rgb_to_lab

    lab: Tensor = rgb_to_lab(image)
    return lab


def from_lab(lab: Tensor) -> Tensor:
    """CIE Lab (N, 3, H, W), of any range -> sRGB, clipped to [0, 1]."""
    from kornia.color import lab_to_rgb

    image: Tensor = lab_to_rgb(lab, clip=True)
    return image


def _measure(dataset: ImageDataset, limit: int) -> tuple[Tensor, Tensor]:
    """Moments in Lab of the images measured, (K, 2, 3) float64, and how many pixels each has, (K,) float64."""
    each, pixels = [], []
    for image in spread_images(dataset, limit):
        each.append(moments(to_lab(image[None].double() / 255))[0])
        pixels.append(image[0].numel())
    return torch.stack(each), torch.tensor(pixels, dtype=torch.float64)
