"""Pairs of source and target crops whose layouts are alike.

Where the source shows sky and the target never does, a discriminator asks for the sky to be painted over: layouts that
differ are learned as style (EPE, arXiv 2105.04619, which pairs crops by the features of an ImageNet network). Here a
layout is what the task model trained on the source sees, coarsely: it needs no other network, and no target label.
"""

from collections.abc import Sequence
from random import Random

import torch
from attrs import frozen
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from daframework.compute.randomness import derive
from daframework.data.stream import CropPlace, shuffled
from daframework.interfaces import ImageDataset

_CELLS = 4  # a layout's rows and columns
_CHUNK = 1024  # target crops compared at a time: with 100,000 source crops, 400 MB


def layouts(logits: Tensor) -> Tensor:
    """(N, num_classes, H, W) -> (N, num_classes * 16) of length 1: probabilities, averaged over 4 x 4 cells."""
    return normalize(adaptive_avg_pool2d(logits.softmax(1), _CELLS).flatten(1), dim=1)


def nearest_layouts(target: Tensor, source: Tensor, count: int) -> Tensor:
    """For each of the ``target`` layouts (T, D) the ``count`` most similar of ``source`` (S, D), by cosine, (T, count).

    Fewer where S is smaller.
    """
    parts = (target[start : start + _CHUNK] for start in range(0, len(target), _CHUNK))
    return torch.cat([(part @ source.T).topk(min(count, len(source)), dim=1).indices for part in parts])


@frozen(eq=False)
class Pairing:
    """Which pair of crops is drawn at each position, and whether it is mirrored; both domains ask the same one.

    Args:
        pairs: how many there are; each is drawn once, in random order, before any comes again.
        seed: the recipe's.
    """

    pairs: int
    seed: int

    def at(self, position: int) -> tuple[int, bool]:
        """The pair drawn at ``position``, and whether it is mirrored."""
        epoch, place = divmod(position, self.pairs)
        mirrored = Random(derive(self.seed, "pairs", "mirrored", position)).random() < 0.5
        return int(shuffled(self.pairs, self.seed, "pairs", epoch)[place]), mirrored


@frozen(eq=False)
class MatchedCrops:
    """The crops of one domain, each with one of the other that has a similar layout.

    Args:
        pairing: shared with the other domain.
        places: (crops, 3) int64: the index of the crop's image, its top and its left.
        choices: (pairs, n) int64: the crops to choose from for each pair.
    """

    pairing: Pairing
    places: Tensor
    choices: Tensor

    def place(self, dataset: ImageDataset, size: Sequence[int], flip: bool, position: int, random: Random) -> CropPlace:
        """The crop of this domain in the pair drawn at ``position``."""
        pair, mirrored = self.pairing.at(position)
        choices = self.choices[pair]
        index, top, left = self.places[choices[random.randrange(len(choices))]].tolist()
        return CropPlace(dataset[index], top, left, mirrored=flip and mirrored)
