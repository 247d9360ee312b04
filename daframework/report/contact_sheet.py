"""A sheet of a dataset's images with their labels over them, and what each colour means."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor

from daframework.errors import visible
from daframework.report.lettering import (
    INK,
    LINE_HEIGHT,
    MARGIN,
    SMALL,
    SOFT,
    TEXT,
    WIDTH,
    plain_style,
    text_width,
    title_height,
    titled_axes,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
_GAP = 0.08  # inches between images
_LINE = SMALL * LINE_HEIGHT + 0.05  # inches a name takes
_SWATCH = 0.13
_TALLEST = 1.5  # of an image's height to its width, before it is made narrower

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


def contact_sheet(sections: Mapping[str, Sequence[Tile]], legend: Mapping[str, Colour], title: str) -> "Figure":
    """A heading a section, below it its images in rows of `COLUMNS`, each with its name; then the colours' meanings.

    Names too long for their image lose their middle. An image of another shape than its section's first is shown whole
    within its place.

    Raises:
        ValueError: a section has no image, or there is no section.
    """
    if not sections or not all(sections.values()):
        raise ValueError("a contact sheet needs sections with one image or more each")
    inner = WIDTH - 2 * MARGIN
    width = (inner - _GAP * (COLUMNS - 1)) / COLUMNS
    tall = {heading: width * min(_TALLEST, _aspect(tiles[0])) for heading, tiles in sections.items()}
    rows = {heading: -(-len(tiles) // COLUMNS) for heading, tiles in sections.items()}
    heading_height = TEXT * LINE_HEIGHT + 0.12
    entries, legend_height = _flow(legend, inner)
    height = sum(heading_height + rows[one] * (tall[one] + _LINE + _GAP) for one in sections) + legend_height
    with plain_style():
        margins = {"left": MARGIN, "right": MARGIN, "top": title_height(title), "bottom": MARGIN}
        figure, axes = titled_axes(title, inner, height, **margins)
        axes.axis("off")
        axes.set(xlim=(0, inner), ylim=(height, 0))
        down = 0.0
        for heading, tiles in sections.items():
            _text(
                axes,
                0,
                down + heading_height - 0.06,
                _shortened(heading, inner, TEXT, "bold"),
                fontsize=TEXT,
                fontweight="bold",
            )
            down += heading_height
            for place, tile in enumerate(tiles):
                line, column = divmod(place, COLUMNS)
                top = down + line * (tall[heading] + _LINE + _GAP)
                _tile(axes, tile, column * (width + _GAP), top, width, tall[heading])
            down += rows[heading] * (tall[heading] + _LINE + _GAP)
        for name, across, line in entries:
            _entry(axes, name, legend.get(name), across, down + 0.1 + line * _LINE)
        axes.set(xlim=(0, inner), ylim=(height, 0))  # imshow moves them
    return figure


def _aspect(tile: Tile) -> float:
    return tile.picture.shape[1] / tile.picture.shape[2]


def _tile(axes: "Axes", tile: Tile, left: float, top: float, width: float, height: float) -> None:
    scale = min(width / tile.picture.shape[2], height / tile.picture.shape[1])
    across, down = scale * tile.picture.shape[2], scale * tile.picture.shape[1]
    x, y = left + (width - across) / 2, top + (height - down) / 2
    pixels = tile.picture.permute(1, 2, 0).contiguous().numpy()
    axes.imshow(pixels, extent=(x, x + across, y + down, y), aspect="auto")
    _text(axes, left + width / 2, top + height + _LINE - 0.03, _shortened(tile.name, width), ha="center", color=SOFT)


def _shortened(name: str, width: float, points: float = SMALL, weight: str = "normal") -> str:
    """The name, without its middle where it is wider than ``width`` inches: its end tells it from its neighbours."""
    whole = text = visible(name)
    kept = len(whole)
    while kept > 2 and text_width(text, points, weight) > width:
        kept -= 1
        text = f"{whole[: kept // 3]}…{whole[-(kept - kept // 3) :]}"
    return text


def _flow(legend: Mapping[str, Colour], width: float) -> tuple[list[tuple[str, float, int]], float]:
    """Each entry with its place across in inches and its line; and the height of all."""
    entries: list[tuple[str, float, int]] = []
    across, line = 0.0, 0
    for name in legend:
        needed = _SWATCH + 0.06 + text_width(visible(name), SMALL) + 0.18
        if across and across + needed > width:
            across, line = 0.0, line + 1
        entries.append((name, across, line))
        across += needed
    return entries, (0.1 + (line + 1) * _LINE) if entries else 0.0


def _entry(axes: "Axes", name: str, colour: Colour | None, left: float, top: float) -> None:
    from matplotlib.patches import Rectangle

    assert colour is not None, "an entry comes from the legend"
    shade = tuple(value / 255 for value in colour)
    middle = top + _LINE / 2
    box = Rectangle((left, middle - _SWATCH / 2), _SWATCH, _SWATCH, facecolor=shade, edgecolor="#888888", linewidth=0.5)
    axes.add_patch(box)
    _text(axes, left + _SWATCH + 0.06, middle, visible(name), va="center")


def _text(axes: "Axes", x: float, y: float, text: str, **options: Any) -> None:
    """Text at so many inches from the upper left corner."""
    write(axes, x, y, text, 0, 0, axes.transData, **{"fontsize": SMALL, "color": INK, "va": "baseline", **options})
