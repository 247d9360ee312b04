"""A figure of how often classes occur in one or two sets: what differs there is what a translation has to invent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daframework.errors import visible
from daframework.report.lettering import (
    GAP,
    INK,
    LINE_HEIGHT,
    MARGIN,
    NOTE,
    RULE,
    SMALL,
    SOFT,
    TEXT,
    WIDTH,
    plain_style,
    text_width,
    title_height,
    titled_axes,
    wrapped,
    write,
    write_beside,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's blue and vermilion; the shapes differ too, for print in grey.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072b2", "marker": "o", "markersize": 8},  # larger, to be seen around a second mark in its place
    {"color": "#d55e00", "marker": "D", "markersize": 5},
)
_ROW = 0.26  # inches a class
_NAME_LENGTH = 24


def class_shares_figure(shares: Mapping[str, Mapping[str, float]], title: str) -> "Figure":
    """A row a class, in the order of the first set: its share of the labelled pixels in each set, on a log scale.

    ``shares`` holds, for each of one or two sets, a fraction in [0, 1] for each class. A class without a pixel in a set
    has no mark there. Of two sets the ratio of the shares, first over second, stands on the right.

    Raises:
        ValueError: there are other than one or two sets, no class, or a share that is no fraction.
    """
    names = list(dict.fromkeys(name for table in shares.values() for name in table))
    values = [value for table in shares.values() for value in table.values()]
    if len(shares) not in (1, 2) or not names:
        raise ValueError(f"shares must be of one or two sets and at least one class, got {len(shares)} sets")
    if wrong := [value for value in values if not 0 <= value <= 1]:
        raise ValueError(f"a share must be a fraction in [0, 1], got {wrong[0]}")
    percents = [[100 * table.get(name, 0.0) for name in names] for table in shares.values()]
    ratios = [_ratio([row[place] for row in percents]) for place in range(len(names))]
    heads = [wrapped(name, _NAME_LENGTH) for name in names]
    left = MARGIN + max(text_width(head, TEXT) for head in heads) + GAP
    right = MARGIN + max(text_width(text, TEXT) for text in (*ratios, "0.01")) + 1.5 * GAP
    row = max(_ROW, max(head.count("\n") + 1 for head in heads) * TEXT * LINE_HEIGHT + 0.06)
    low = min([1.0, *(value for shown in percents for value in shown if value)])
    with plain_style():
        top = title_height(title) + 2 * SMALL * LINE_HEIGHT
        width, height = WIDTH - left - right, row * len(names)
        figure, axes = titled_axes(title, width, height, left=left, right=right, top=top, bottom=0.62)
        axes.set(xscale="log", xlim=(low / 1.6, 130), ylim=(len(names) - 0.5, -0.5), yticks=[])
        axes.set_axisbelow(True)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(axis="x", labelsize=SMALL, labelcolor=SOFT, color=RULE, length=3)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        for place, (head, text) in enumerate(zip(heads, ratios, strict=True)):
            _row(axes, place, [shown[place] for shown in percents])
            write_beside(axes, 0, place, head, -GAP)
            write_beside(axes, 1, place, text, right - MARGIN, color=SOFT if text == "-" else INK)
        _key(axes, list(shares), width, height)
        if len(shares) == 2:
            at = axes.transAxes
            write(axes, 1, 1, "ratio", right - MARGIN, 0.07, at, ha="right", va="bottom", fontsize=SMALL, color=SOFT)
        below: dict[str, Any] = {"ha": "center", "va": "top"}
        write(axes, 0.5, 0, "percent of the labelled pixels", 0, -0.26, axes.transAxes, fontsize=TEXT, **below)
        note = "no mark: the class does not occur"
        write(axes, 0.5, 0, note, 0, -0.44, axes.transAxes, fontsize=NOTE, color=SOFT, **below)
    return figure


def _ratio(percents: list[float]) -> str:
    if len(percents) < 2:
        return ""
    return f"{percents[0] / percents[1]:.2f}" if all(percents) else "-"


def _row(axes: "Axes", place: int, percents: list[float]) -> None:
    shown = [value for value in percents if value]
    axes.plot(shown, [place] * len(shown), color="#aaaaaa", linewidth=1.5, zorder=2)
    for value, look in zip(percents, _LOOKS, strict=False):
        if value:
            axes.plot(value, place, markeredgecolor="white", markeredgewidth=0.6, zorder=3, **look)


def _key(axes: "Axes", titles: list[str], width: float, height: float) -> None:
    """The sets' marks with their names, above the rows; the axes are ``width`` by ``height`` inches."""
    across, up = 0.0, 0.07 + SMALL * LINE_HEIGHT / 2
    for title, look in zip(titles, _LOOKS, strict=False):
        name = visible(title)
        mark: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, **look}
        axes.plot((across + 0.05) / width, 1 + up / height, **mark)
        write(axes, 0, 1, name, across + 0.15, 0.07, axes.transAxes, va="bottom", fontsize=SMALL)
        across += 0.15 + text_width(name, SMALL) + 3 * GAP
