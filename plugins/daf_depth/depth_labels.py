"""Depth as a label: what a valid one is, what becomes of it where its image is enlarged, and how it is shown."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from daframework.interfaces import LabelType

# From far to near, at even steps: dark to warm and bright, none of them black.
_COLORS = ((30, 12, 70), (87, 16, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164))
_DECADES = 2


class DepthLabels(LabelType):
    """Metres along the optical axis at each pixel, (H, W) float32; 0 where there is none, as in the sky."""

    name, invalid, dtype = "depth", 0.0, torch.float32

    def __init__(self, *, far: float = 80.0) -> None:
        """Pictures show ``far`` metres, and what is beyond, in their darkest colour."""
        self._far = far

    def problem(self, label: Tensor, height: int, width: int) -> str | None:
        if label.dtype != torch.float32 or tuple(label.shape) != (height, width):
            wanted = f"float32 ({height}, {width}) (height, width) as its image, in metres"
            return f"must be {wanted}, got {label.dtype} {tuple(label.shape)}"
        unknown = int((~label.isfinite()).sum())
        if unknown:
            return f"must be finite, 0 where there is no depth, got {unknown} values that are NaN or infinite"
        if bool((label < 0).any()):
            return f"must be 0 (no depth) or more, got {float(label.min()):g}"
        if not bool(label.any()):
            return "must have a depth at one pixel or more, got 0 (no depth) at all"
        return None

    def example(self, height: int, width: int, num_classes: int, random: torch.Generator) -> Tensor:
        """Depths from 1 to 50 m, evenly in their logarithm, and none at a tenth of the pixels."""
        draws = torch.rand(2, height, width, generator=random)
        return torch.where(draws[1] < 0.1, self.invalid, 50 ** draws[0])

    def moved(self, label: Tensor, warp: Callable[[Tensor], Tensor], scale: Tensor) -> Tensor:
        """Depths (N, H, W) of images that were enlarged by ``scale`` (N,) and turned: what looks larger is nearer."""
        return super().moved(label, warp, scale) / scale.to(label.dtype).view(-1, 1, 1)

    def render(self, label: Tensor, palette: Sequence[tuple[int, int, int]]) -> Tensor:
        """Depths (N, H, W) -> (N, 3, H, W) uint8: near is warm, far is dark, 0 is black; ``palette`` is not looked at.

        Colours follow the logarithm, over the two decades that end ``far`` away.
        """
        depth = label.float().cpu()
        place = ((self._far / depth).log10() / _DECADES).clamp(0, 1) * (len(_COLORS) - 1)
        below = place.long().clamp(max=len(_COLORS) - 2)
        colors = torch.tensor(_COLORS, dtype=torch.float32)
        picture = torch.lerp(colors[below], colors[below + 1], (place - below)[..., None])
        return (picture.round() * (depth > 0)[..., None]).to(torch.uint8).permute(0, 3, 1, 2)

    def key(self) -> list[tuple[str, tuple[int, int, int]]]:
        """The depth in metres of each colour, from near to far, and what black says."""
        decades = [_DECADES * place / (len(_COLORS) - 1) for place in range(len(_COLORS))]
        names = [f"{self._far / 10**decade:.2g} m" for decade in decades]
        names = [f"{names[0]} or more", *names[1:-1], f"{names[-1]} or less"]
        return [*reversed([*zip(names, _COLORS, strict=True)]), ("no depth", (0, 0, 0))]
