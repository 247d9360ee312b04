"""Which crops a network is trained on, where that is not left to chance alone: rare classes more often."""

from bisect import bisect_right
from collections.abc import Sequence
from random import Random

import torch
from attrs import frozen
from torch import Tensor

from daframework.data.stream import CropPlace, random_place
from daframework.errors import DataError
from daframework.interfaces import SEMANTIC, ImageDataset

_LEAST_SHARE = 0.01  # of a crop's pixels: less of a class teaches little of it
_TRIES = 10  # crops drawn of an image before the last one is taken as it is


def rare_class_probabilities(pixels: Tensor, temperature: float) -> Tensor:
    """How often each class is drawn, (num_classes,) float64 with sum 1, from its ``pixels`` in the set.

    exp((1 - f) / temperature), normalised over the classes that occur, f being the class's share of the pixels:
    the Rare Class Sampling of DAFormer, arXiv 2111.14887. A class that does not occur is never drawn.
    """
    share = pixels.double() / pixels.sum()
    return torch.where(pixels > 0, (1 - share) / temperature, -torch.inf).softmax(0)


@frozen(eq=False)
class RareClasses:
    """Draws a class, rare ones more often, and an image that shows enough of it.

    Args:
        cumulative: Probability that a class or one before it is drawn.
        images: Indices of the images to draw from, for each class.
        least: Pixels of the class that a crop should show, for each class.
    """

    cumulative: Sequence[float]
    images: Sequence[Sequence[int]]
    least: Sequence[int]

    def place(self, dataset: ImageDataset, size: Sequence[int], flip: bool, position: int, random: Random) -> CropPlace:
        """A random crop of an image drawn for a class, drawn again up to ten times until it shows enough of it.

        Raises:
            DataError: the image is smaller than the crop.
        """
        index, wanted = self.draw(random)
        sample = dataset[index]
        for _ in range(_TRIES):
            place = random_place(sample, size, flip, random)
            if sample.label is not None:
                shown = SEMANTIC.cropped(sample.label, place.top, place.left, size[0], size[1])
                if int((shown == wanted).sum()) >= self.least[wanted]:
                    break
        return place

    def draw(self, random: Random) -> tuple[int, int]:
        """The index of an image, and the class it was drawn for."""
        wanted = bisect_right(self.cumulative, random.random())
        images = self.images[wanted]
        return images[random.randrange(len(images))], wanted


def rare_classes(counts: Tensor, crop_size: Sequence[int], temperature: float) -> RareClasses:
    """The sampler for a set with ``counts``, (images, num_classes) int64 pixels of each class in each image.

    An image is drawn for a class of which it shows a hundredth of a crop's pixels or more; where none shows so many,
    those that show most of it are.

    Raises:
        DataError: no pixel of the set is labelled.
    """
    pixels = counts.sum(0)
    if not pixels.any():
        raise DataError("data.rare_class_temperature: no pixel of the set is labelled, so no class can be drawn")
    enough = max(1, round(_LEAST_SHARE * crop_size[0] * crop_size[1]))
    least = counts.amax(0).clamp(max=enough)
    images = [
        torch.nonzero(column >= bound).flatten().tolist() if bound else []
        for column, bound in zip(counts.T, least.tolist(), strict=True)
    ]
    cumulative = rare_class_probabilities(pixels, temperature).cumsum(0)
    last = int(torch.nonzero(pixels).max())
    cumulative[last:] = 1.0  # whatever rounding has left of the last class that occurs
    # Half as much will do for a crop, which seldom holds all that its image shows.
    return RareClasses(cumulative.tolist(), images, [(bound + 1) // 2 for bound in least.tolist()])
