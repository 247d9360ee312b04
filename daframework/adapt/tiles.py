"""Apply a network to an image in tiles that overlap, and blend them where they do."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import pad

from daframework.data.whole import padded_side

OVERLAP = 64
"""Pixels that neighbouring tiles share, unless told.

What lies beyond a tile's edge is missing there. It changes what a ResNet of 9 blocks paints by 42 grey levels at the
edge and by less than one 48 pixels inwards (untrained weights, fixed statistics). Faded over 64 pixels, less than 3
levels are left, for a third more computing in tiles of 512 x 512.
"""


def apply_in_tiles(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    *,
    size: Sequence[int],
    multiple: int,
    smallest: int = 1,
    overlap: int = OVERLAP,
    finished: Callable[[Tensor], Tensor] = torch.Tensor.float,
) -> Tensor:
    """``network`` on (N, 3, H, W) of any size, never on more than ``size`` (height, width) at once.

    Tiles have one size: ``size`` brought down to the next ``multiple``, but to no less than the first one from
    ``smallest`` on, or the image's side where that is shorter; edges are repeated where it is too short or no multiple.
    They begin at multiples of ``multiple``, so that a network with strides sees the grid it would see in the whole
    image. Neighbours share ``overlap`` pixels or more, at most half a tile, and are faded into each other there, in
    float32. Rows that no further tile reaches are handed to ``finished``: beside ``image`` and what that gives, memory
    holds one row of tiles.
    """
    height, width = image.shape[-2:]
    least = padded_side(1, multiple, smallest)
    rows, columns = (
        spans(padded_side(length, multiple, smallest), max(tile, least), overlap, multiple)
        for length, tile in zip((height, width), size, strict=True)
    )
    across = columns[-1][0] + len(columns[-1][1])
    blended, first, done = torch.zeros(*image.shape[:2], 0, across, device=image.device), 0, []
    for top, down in rows:
        if top > first:
            done.append(finished(blended[..., : top - first, :width]))
        missing = top + len(down) - first - blended.shape[-2]
        blended, first = pad(blended[..., top - first :, :], (0, 0, 0, missing)), top
        for left, along in columns:
            part = _part(image, top, len(down), left, len(along))
            weight = torch.outer(down, along).to(blended)
            blended[..., left : left + len(along)] += network(part).float() * weight
    done.append(finished(blended[..., : height - first, :width]))
    return torch.cat(done, dim=-2)


def _part(image: Tensor, top: int, height: int, left: int, width: int) -> Tensor:
    """The rows and columns of ``image`` (N, 3, H, W) from ``top`` and ``left`` on; edges are repeated beyond it."""
    rows = torch.arange(top, top + height, device=image.device).clamp(max=image.shape[-2] - 1)
    columns = torch.arange(left, left + width, device=image.device).clamp(max=image.shape[-1] - 1)
    return image[..., rows[:, None], columns]


def spans(length: int, tile: int, overlap: int, multiple: int) -> list[tuple[int, Tensor]]:
    """The tiles along a side of ``length``, a multiple of ``multiple``: where each begins, and its pixels' weights.

    The weights (float64) are smooth, never negative, and at each pixel those of all tiles add up to 1: each seam is a
    step from 0 to 1, and a tile's weight is the step at its beginning less the one at its end.
    """
    units, tile_units = length // multiple, max(1, tile // multiple)
    if tile_units >= units:
        return [(0, torch.ones(length, dtype=torch.float64))]
    shared = min(-(-overlap // multiple), tile_units // 2)
    count = -(-(units - tile_units) // (tile_units - shared)) + 1
    starts = [i * (units - tile_units) // (count - 1) * multiple for i in range(count)]
    side = tile_units * multiple
    # A seam lies in the middle of what two neighbours share, which may be more than they must.
    seams = [(first + side + second) / 2 for first, second in pairwise(starts)]
    pixels = torch.arange(length, dtype=torch.float64) + 0.5
    first, last = torch.ones_like(pixels), torch.zeros_like(pixels)
    steps = [first, *(_step(pixels - seam, shared * multiple) for seam in seams), last]
    return [(start, (steps[i] - steps[i + 1])[start : start + side]) for i, start in enumerate(starts)]


def _step(position: Tensor, width: int) -> Tensor:
    """From 0 to 1 over ``width`` pixels about 0, without a kink at its ends."""
    if not width:
        return (position > 0).to(position.dtype)
    ramp = (position / width + 0.5).clamp(0, 1)
    return ramp.square() * (3 - 2 * ramp)
