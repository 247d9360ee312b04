"""Sheets of pictures: the same images under every method, and a dataset's images with their labels over them."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from daframework.errors import visible
from daframework.report.figures import INK, SMALL, SOFT, WIDTH, plain_style, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TALLEST = 1.5  # of an image's height to its width, before it is made narrower
_LONGEST = 30  # characters of an image's name

Colour = tuple[int, int, int]


@frozen(eq=False)
class Tile:
    """An image (3, H, W) uint8 with its name."""

    name: str
    picture: Tensor


def overlaid(image: Tensor, colours: Tensor, label: Tensor, ignored: int, strength: float = 0.55) -> Tensor:
    """``image`` mixed with its label's ``colours``, (3, H, W) uint8 all; where ``label`` (H, W) is ``ignored``, darker.

    ``strength`` is the share of the colours.
    """
    mixed = (1 - strength) * image.float() + strength * colours.float()
    return torch.where(label == ignored, image.float() * 0.35, mixed).round().to(torch.uint8)


def contact_sheet(
    sections: Mapping[str, Sequence[Tile]], legend: Mapping[str, Colour], title: str, columns: int = 4
) -> "Figure":
    """A heading a section, below it its images in rows of ``columns``, each with its name; then the colours' meanings.

    Long names lose their middle: their end tells one from its neighbours. An image of another shape than its section's
    first is shown whole within its place.
    """
    from matplotlib.patches import Patch

    heights = []
    for tiles in sections.values():
        aspect = min(_TALLEST, tiles[0].picture.shape[1] / tiles[0].picture.shape[2])
        heights.append(0.3 + -(-len(tiles) // columns) * (WIDTH / columns * aspect + 0.2))
    with plain_style():
        figure = titled(title, sum(heights) + 0.2 * -(-len(legend) // 5))
        parts = figure.subfigures(len(sections), height_ratios=heights, squeeze=False)[:, 0]
        for part, (heading, tiles) in zip(parts, sections.items(), strict=True):
            look = {"fontsize": 9, "fontweight": "bold", "color": INK}
            part.suptitle(shortened(heading, 90), x=0.01, ha="left", **look)
            grid = part.subplots(-(-len(tiles) // columns), columns, squeeze=False)
            for axes, tile in zip_longest(grid.flat, tiles):
                if tile is None:
                    axes.remove()
                    continue
                axes.imshow(tile.picture.permute(1, 2, 0).contiguous().cpu().numpy())
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                axes.set_xlabel(shortened(tile.name, _LONGEST), fontsize=SMALL - 1, color=SOFT)
        if legend:
            shades = [(red / 255, green / 255, blue / 255) for red, green, blue in legend.values()]
            marks = [Patch(facecolor=shade, edgecolor="#888888") for shade in shades]
            figure.legend(marks, [visible(name) for name in legend], loc="outside lower left", ncols=5, frameon=False)
    return figure


def shortened(name: str, length: int) -> str:
    """Visible text of at most ``length`` characters, without its middle where it is longer."""
    text = visible(name)
    kept = length - 1
    return text if len(text) <= length else f"{text[: kept // 3]}…{text[-(kept - kept // 3) :]}"
