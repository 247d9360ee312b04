"""Names and numbers around a figure: measured in inches, so that long ones neither overlap nor squeeze the rest.

Names come from users and are shown as they are: no mathtext, no markup, escapes written out. Matplotlib is imported
when a figure is made, and never its pyplot: no window, no global state.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daframework.errors import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

WIDTH = 8.0
"""Inches, of a figure with much to show; no figure is wider, but for its title."""
MARGIN, GAP = 0.12, 0.1
"""Inches: around everything, and between a name and what it names."""
TITLE, TEXT, SMALL, NOTE = 11.0, 9.0, 8.0, 7.5
"""Points."""
INK, SOFT, RULE = "#222222", "#666666", "#dddddd"
"""Colours of text, of notes and of thin lines, on white."""
LINE_HEIGHT = 1.35 / 72
"""Inches a point of type."""

_TITLE_LENGTH = 76  # characters that fit into WIDTH, most of the time


@contextmanager
def plain_style() -> Iterator[None]:
    """Matplotlib as it comes, whatever the user's own settings; text in an SVG stays text, and its ids never vary."""
    from matplotlib import rc_context, rcParamsDefault

    kept = {key: value for key, value in rcParamsDefault.items() if not key.startswith(("backend", "interactive"))}
    with rc_context({**kept, "svg.fonttype": "none", "svg.hashsalt": "daframework"}):
        yield


def titled_axes(
    title: str, width: float, height: float, *, left: float, right: float, top: float, bottom: float
) -> tuple["Figure", "Axes"]:
    """A figure with a title and bare axes of this size with margins around them, all in inches; its title fits."""
    from matplotlib.figure import Figure

    lines = wrapped(title, _TITLE_LENGTH)
    across, down = max(left + width + right, text_width(lines, TITLE, "bold") + 2 * MARGIN), top + height + bottom
    figure = Figure(figsize=(across, down), facecolor="white")
    axes = figure.add_axes((left / across, bottom / down, width / across, height / down))
    axes.spines[:].set_visible(False)
    look: dict[str, Any] = {"fontsize": TITLE, "fontweight": "bold", "color": INK, "parse_math": False}
    figure.text(MARGIN / across, 1 - MARGIN / down, lines, va="top", **look)
    return figure, axes


def title_height(title: str) -> float:
    """Inches from the figure's upper edge to what may follow the title."""
    return MARGIN + (wrapped(title, _TITLE_LENGTH).count("\n") + 1) * TITLE * LINE_HEIGHT + 0.08


def write(
    axes: "Axes", x: float, y: float, text: str, right: float, up: float, at: "Transform", **options: Any
) -> None:
    """Write at (x, y) in the coordinates ``at``, moved by so many inches; ``options`` as for a matplotlib Text."""
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure()
    assert figure is not None, "axes made by a figure have one"
    moved = at + ScaledTranslation(right, up, figure.dpi_scale_trans)
    axes.text(x, y, text, transform=moved, parse_math=False, **{"color": INK, **options})


def write_beside(axes: "Axes", edge: float, y: float, text: str, right: float, **options: Any) -> None:
    """Write at the height ``y`` of the data, ending so many inches to the right of the left (0) or right (1) edge."""
    options = {"ha": "right", "va": "center", "fontsize": TEXT, **options}
    write(axes, edge, y, text, right, 0, axes.get_yaxis_transform(), **options)


def text_width(text: str, points: float, weight: str = "normal") -> float:
    """Width of the longest line in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=points, weight=weight)  # matplotlib's own
    return max(text_to_path.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")) / 72


def wrapped(text: str, width: int) -> str:
    """Visible text in lines of up to ``width`` characters, broken after spaces, hyphens or underscores if possible."""
    lines = [""]
    for piece in re.findall(rf"[^ _-]{{1,{width - 1}}}[ _-]?|[ _-]", visible(text)):
        if len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)
