"""Whether a file computes what the network does that it was made from: at other sizes than the example's."""

from collections.abc import Callable, Iterator, Sequence
from math import inf

import torch
from attrs import frozen
from torch import Tensor

from daf_export.exportable import GENERATOR, SEGMENTER, TASK, Exportable
from daframework.data.whole import padded_side
from daframework.errors import RunError, one_line

SKY, BLACK = (0.5, 0.7, 0.9), (0.0, 0.0, 0.0)
"""Even images: there instance and group norms divide by next to nothing, and lose digits if they are computed badly."""


@frozen
class Bound:
    """What a file may differ by, in units of [0, 1] images, of logits, or of a prediction's largest value."""

    largest: float
    mean: float
    text: str

    def __str__(self) -> str:
        return self.text


BOUNDS = {
    GENERATOR: Bound(2 / 255, 0.2 / 255, "2/255 at most and 0.2/255 in the mean, of images in [0, 1]"),
    SEGMENTER: Bound(1e-3, 1e-3, "0.001 of the logits"),
    TASK: Bound(1e-3, 1e-3, "0.001 of the largest value of the output, or of 1 where that is larger"),
}


@frozen
class SizeDifference:
    """Between a file and its network at a size (height, width), over several images: the largest and the mean."""

    size: tuple[int, int]
    largest: float
    mean: float

    def within(self, bound: Bound) -> bool:
        """Whether it is allowed; what is no number is not."""
        return self.largest <= bound.largest and self.mean <= bound.mean


def check_parity(one: Exportable, opened: Callable[[Tensor], Tensor], example: tuple[int, int]) -> list[SizeDifference]:
    """The differences at `sizes_of`, each allowed.

    ``example`` is the size that the network was traced with: a file that is right there alone holds that size.

    Raises:
        RunError: one is too large.
    """
    bound, found = BOUNDS[one.kind], list[SizeDifference]()
    for size in sizes_of(one):
        found.append(difference(one, opened, size))
        if not found[-1].within(bound):
            off = f"is up to {found[-1].largest:.2g} off at {size[0]}x{size[1]} pixels (allowed: {bound})"
            if one.size is None and difference(one, opened, example).within(bound):
                raise RunError(
                    f"{one.name}: the file is right at {example[0]}x{example[1]} pixels and {off}: this network cannot "
                    f"be exported for any size; export it for one with --size HEIGHTxWIDTH; nothing was written"
                )
            raise RunError(f"{one.name}: the file {off}; nothing was written")
    return found


def sizes_of(one: Exportable) -> Sequence[tuple[int, int]]:
    """The smallest, an odd multiple, one that is not square and a large one; or the only one there is."""
    if one.size is not None:
        return [one.size]
    sides = {pixels: padded_side(max(pixels, one.smallest), one.multiple) for pixels in (1, 64, 96, 512, 640)}
    odd = sides[96] + (0 if sides[96] // one.multiple % 2 else one.multiple)
    return [(sides[1], sides[1]), (odd, odd), (sides[64], odd + one.multiple), (sides[512], sides[640] + one.multiple)]


@torch.no_grad()
def difference(one: Exportable, opened: Callable[[Tensor], Tensor], size: tuple[int, int]) -> SizeDifference:
    """How far ``opened`` is from its network at a size; infinitely where it cannot be run.

    Raises:
        RunError: the network itself cannot.
    """
    largest, means = 0.0, list[float]()
    for image in images(size):
        try:
            wanted = one.network(image)
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"{one.name}: the network itself fails at {size[0]}x{size[1]} pixels, a size that it is said to take "
                f"({one_line(error)[:200]}); nothing was written"
            ) from error
        try:
            got = opened(image)
        except Exception:  # whatever the runtime raises where a size was baked in
            got = None
        if got is None or got.shape != wanted.shape:
            return SizeDifference(size, inf, inf)
        # Images are of [-1, 1]; a prediction in metres has fewer digits behind the point than one below 1.
        scale = {GENERATOR: 0.5, SEGMENTER: 1.0}.get(one.kind) or 1 / max(1.0, float(wanted.abs().max()))
        apart = scale * (got - wanted).abs()
        largest = max(largest, float(apart.max().nan_to_num(inf)))
        means.append(float(apart.mean().nan_to_num(inf)))
    return SizeDifference(size, largest, sum(means) / len(means))


def images(size: tuple[int, int]) -> Iterator[Tensor]:
    """Two even images, one like a photograph, and a batch of two where they are small: (N, 3, H, W) in [-1, 1]."""
    even = [torch.tensor(colour).view(1, 3, 1, 1).repeat(1, 1, *size) * 2 - 1 for colour in (SKY, BLACK)]
    yield from (*even, photograph(size))
    if size[0] * size[1] < 2**16:
        yield torch.cat([photograph(size, 1), even[0]])


def photograph(size: tuple[int, int], seed: int = 0) -> Tensor:
    """Discs of all sizes that hide one another, each a shaded colour, (1, 3, H, W) in [-1, 1].

    Such "dead leaves" have the edges, the even parts and the spectrum of photographs (Lee, Mumford and Huang 2001).
    """
    draw = torch.Generator().manual_seed(seed)
    down, right = (torch.linspace(0, 1, side) for side in size)
    down = down[:, None]
    image = torch.stack([(shade + 0.3 * down).expand(size) for shade in (0.4, 0.5, 0.6)])
    for y, x, spread, *colour in torch.rand(48, 6, generator=draw).tolist():
        disc = (down - y) ** 2 + (right - x) ** 2 < (0.02 / (spread + 0.04)) ** 2
        shaded = torch.tensor(colour)[:, None, None] * (0.7 + 0.6 * (down - y))
        image = torch.where(disc, shaded, image)
    return image.clamp(0, 1)[None] * 2 - 1
