"""Sheets of pictures: the same images under every method, and a dataset's images with their labels over them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from daframework.errors import visible
from daframework.report.figures import INK, SMALL, SOFT, WIDTH, plain_style, titled, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_IMAGES = 8
"""Columns of the sheet of a comparison."""
COLUMNS = 4
"""Columns of a dataset's sheet."""
_TALLEST = 1.5  # of an image's height to its width, before it is made narrower
_LONGEST = 30  # characters of an image's name

Colour = tuple[int, int, int]


@frozen(eq=False)
class Tile:
    """An image (3, H, W) uint8 with its name."""

    name: str
    picture: Tensor


def sheet_figure(rows: Mapping[str, Sequence[Tensor]], title: str) -> "Figure":
    """The same images under every method: a row a method, in the order given, its name on the left; a column an image.

    Images are (3, H, W) uint8 of any size. A column is as wide as its first image asks; one of another shape is shown
    whole within its place.

    Raises:
        ValueError: there is no image, a row has another number of them, there are more than `MAX_IMAGES`, or a tensor
            is no such image.
    """
    counts = {len(images) for images in rows.values()}
    if len(counts) != 1 or not 1 <= max(counts) <= MAX_IMAGES:
        raise ValueError(f"every row needs the same number of images, 1 to {MAX_IMAGES}, got {sorted(counts)}")
    for image in (image for images in rows.values() for image in images):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3 or not image.numel():
            raise ValueError(f"an image must be (3, H, W) uint8, got {tuple(image.shape)} {image.dtype}")
    aspects = [image.shape[2] / image.shape[1] for image in next(iter(rows.values()))]
    names = [wrapped(name, 18) for name in rows]
    tall = max(min((WIDTH - 1.4) / sum(aspects), 1.6), 0.16 * max(name.count("\n") + 1 for name in names))
    with plain_style():
        figure = titled(title, len(names) * (tall + 0.05))
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
        grid = figure.subplots(len(names), len(aspects), squeeze=False, width_ratios=aspects)
        for name, line, images in zip(names, grid, rows.values(), strict=True):
            for axes, image in zip(line, images, strict=True):
                _show(axes, image)
            look = {"rotation": 0, "ha": "right", "va": "center", "color": INK, "fontsize": 9}
            line[0].set_ylabel(name, **look)
    return figure


def overlaid(image: Tensor, colours: Tensor, label: Tensor, ignored: int, strength: float = 0.55) -> Tensor:
    """``image`` mixed with its label's ``colours``, (3, H, W) uint8 all; where ``label`` (H, W) is ``ignored``, darker.

    ``strength`` is the share of the colours.
    """
    mixed = (1 - strength) * image.float() + strength * colours.float()
    return torch.where(label == ignored, image.float() * 0.35, mixed).round().to(torch.uint8)


def contact_sheet(sections: Mapping[str, Sequence[Tile]], legend: Mapping[str, Colour], title: str) -> "Figure":
    """A heading a section, below it its images in rows of `COLUMNS`, each with its name; then the colours' meanings.

    Long names lose their middle: their end tells one from its neighbours. An image of another shape than its section's
    first is shown whole within its place.

    Raises:
        ValueError: a section has no image, or there is no section.
    """
    if not sections or not all(sections.values()):
        raise ValueError("a contact sheet needs sections with one image or more each")
    from matplotlib.patches import Patch

    heights = []
    for tiles in sections.values():
        aspect = min(_TALLEST, tiles[0].picture.shape[1] / tiles[0].picture.shape[2])
        heights.append(0.3 + -(-len(tiles) // COLUMNS) * (WIDTH / COLUMNS * aspect + 0.2))
    with plain_style():
        figure = titled(title, sum(heights) + 0.2 * -(-len(legend) // 5))
        parts = figure.subfigures(len(sections), height_ratios=heights, squeeze=False)[:, 0]
        for part, (heading, tiles) in zip(parts, sections.items(), strict=True):
            look = {"fontsize": 9, "fontweight": "bold", "color": INK}
            part.suptitle(shortened(heading, 90), x=0.01, ha="left", **look)
            grid = list(part.subplots(-(-len(tiles) // COLUMNS), COLUMNS, squeeze=False).flat)
            for place, axes in enumerate(grid):
                if place < len(tiles):
                    _show(axes, tiles[place].picture)
                    name = shortened(tiles[place].name, _LONGEST)
                    axes.set_xlabel(name, fontsize=SMALL - 1, color=SOFT)
                else:
                    axes.remove()
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


def _show(axes: "Axes", picture: Tensor) -> None:
    """A picture (3, H, W) uint8 without a frame."""
    axes.imshow(picture.permute(1, 2, 0).contiguous().cpu().numpy())
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
