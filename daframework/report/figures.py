"""Figures of numbers for a README or a paper: scores by method and by class, and how often classes occur.

Names come from users and are shown as they are: no mathtext, no markup, escapes written out. Matplotlib is imported
when a figure is made, and never its pyplot: no window, no global state.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daframework.errors import visible
from daframework.report.table import mean, over_seeds, spread
from daframework.scores import PERCENT, Metric
from daframework.storage.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches, of every figure."""
INK, SOFT, RULE = "#222222", "#666666", "#dddddd"
"""Colours of text, of notes and of thin lines, on white."""
SMALL = 8.0
"""Points, of all but the title and the methods' names."""

_ROW = 0.3  # inches a method, a class, or a line of text
_NAME_LENGTH = 26  # characters, before a name goes on in another line
# A tint and a shade of Okabe and Ito's blue: they differ in lightness, which every kind of colour blindness leaves.
_BAR, _DOT = "#8cc1e0", "#00436b"
_DASHES = ((4, 2.5), (1.2, 1.6), (7, 2, 1.2, 2), (2.5, 1))
_DARK_BELOW = 0.53  # of viridis: there white text is easier to read than black, and has a contrast of 3.5 : 1 or more
# Okabe and Ito's blue and vermilion; the shapes differ too, for print in grey. The first is larger, to be seen around a
# second mark in its place.
_MARKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072b2", "marker": "o", "markersize": 8},
    {"color": "#d55e00", "marker": "D", "markersize": 5},
)


def score_figure(
    bars: Mapping[str, Sequence[float]], lines: Mapping[str, float], title: str, metric: Metric
) -> "Figure":
    """A horizontal bar for each method, in the order given, from the top: its mean of ``metric``.

    ``bars`` holds values of it, one a seed, each shown as a dot; two or more have a whisker of one standard
    deviation to both sides. A method without values has no bar. ``lines`` are values too, such as those of
    source_only and oracle, drawn across all bars and named below.
    """
    scale = 100 if metric.unit == PERCENT else 1
    with plain_style():
        figure, axes = _rows(title, list(bars), extra=1.3)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        for place, values in enumerate(bars.values()):
            found = over_seeds(values)
            _bar(axes, place, [scale * value for value in values], scale * (found["standard_deviation"] or 0.0))
            _beside(axes, place, spread(found, metric), INK if values else SOFT)
        for place, value in enumerate(lines.values()):
            axes.axvline(scale * value, color=INK, linewidth=1.2, dashes=_DASHES[place % len(_DASHES)], zorder=2.5)
        axes.set_xlim(left=0)
        names = [wrapped(f"{name} {metric.text(value)}", 60) for name, value in lines.items()]
        _legend(figure, axes.lines[-len(lines) :] if lines else [], names)
        better = "" if metric.higher_is_better else ", lower is better"
        marks = "bar: mean over seeds   whisker: ± one standard deviation   dot: one seed"
        axes.set_xlabel(f"{metric.title}{metric.shown_in}{better}\n{marks}")
    return figure


def class_figure(values: Mapping[str, Mapping[str, float | None]], title: str) -> "Figure":
    """A heat map of IoU in percent: a row a method, a column a class, both in the order given; ``-`` where None.

    ``values`` holds, for each method, a fraction in [0, 1] or None for each of the same classes. The colours end at the
    highest.
    """
    classes = list(next(iter(values.values())))
    rows = [[found[name] for name in classes] for found in values.values()]
    end = max((value for row in rows for value in row if value), default=1)
    with plain_style():
        figure, axes = _rows(title, list(values), extra=1.9)
        axes.set(xlim=(0, len(classes)), facecolor="#f2f2f2")
        axes.xaxis.tick_top()
        turned: dict[str, Any] = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if len(classes) > 4 else {}
        places = [place + 0.5 for place in range(len(classes))]
        axes.set_xticks(places, [wrapped(name, 20) for name in classes], **turned)
        edges = [place - 0.5 for place in range(len(rows) + 1)]
        cells = np.array(rows, dtype=float)  # NaN for None, which is not coloured
        axes.pcolormesh(range(len(classes) + 1), edges, cells, vmin=0, vmax=end, edgecolors="white", linewidth=1)
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": min(9.0, 100 / len(classes))}
        for down, row in enumerate(rows):
            for across, value in enumerate(row):
                ink = "white" if value is not None and value < _DARK_BELOW * end else "black"
                axes.text(across + 0.5, down, "-" if value is None else f"{100 * value:.1f}", color=ink, **look)
        axes.set_xlabel("IoU, percent; - where a class is neither labelled nor predicted", color=SOFT)
    return figure


def class_shares_figure(shares: Mapping[str, Mapping[str, float]], title: str) -> "Figure":
    """A row a class, in the order of the first set: its share of the labelled pixels in each set, on a log scale.

    ``shares`` holds, for each of one or two sets, a fraction in [0, 1] for each class. A class without a pixel in a set
    has no mark there. Of two sets the ratio of the shares, first over second, stands on the right.
    """
    names = list(dict.fromkeys(name for table in shares.values() for name in table))
    percents = [[100 * table.get(name, 0.0) for name in names] for table in shares.values()]
    with plain_style():
        figure, axes = _rows(title, names, extra=1.3)
        low = min([1.0, *(value for row in percents for value in row if value)])
        axes.set(xscale="log", xlim=(low / 1.6, 130))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        for place, pair in enumerate(zip(*percents, strict=True)):
            shown = [value for value in pair if value]
            axes.plot(shown, [place] * len(shown), color="#aaaaaa", linewidth=1.5, zorder=2)
            if len(pair) == 2:
                _beside(axes, place, f"{pair[0] / pair[1]:.2f}" if all(pair) else "-", INK if all(pair) else SOFT)
        marks = []
        for row, look in zip(percents, _MARKS, strict=False):
            seen = [(value, place) for place, value in enumerate(row) if value]
            marks += axes.plot(*zip(*seen, strict=True), linestyle="", zorder=3, **look) if seen else axes.plot([], [])
        _legend(figure, marks, [wrapped(name, 60) for name in shares])
        ratio = ", and the ratio of both" if len(shares) == 2 else ""
        axes.set_xlabel(f"percent of the labelled pixels{ratio}; no mark: the class does not occur")
    return figure


@contextmanager
def plain_style() -> Iterator[None]:
    """Matplotlib as it comes, whatever the user's own settings, and text as it is written.

    Text in an SVG stays text, and its ids never vary.
    """
    from matplotlib import rc_context, rcParamsDefault

    kept = {key: value for key, value in rcParamsDefault.items() if not key.startswith(("backend", "interactive"))}
    own = {**kept, "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "daframework", "font.size": SMALL}
    with rc_context(own):
        yield


def titled(title: str, height: float) -> "Figure":
    """An empty figure of so many inches' height below its title, which lays out what is put into it."""
    from matplotlib.figure import Figure

    lines = wrapped(title, 80)
    figure = Figure(figsize=(WIDTH, height + 0.2 * (lines.count("\n") + 1)), layout="constrained", facecolor="white")
    look: dict[str, Any] = {"fontsize": 11, "fontweight": "bold", "color": INK}
    figure.suptitle(lines, x=0.01, ha="left", **look)
    return figure


def wrapped(text: str, width: int) -> str:
    """Visible text in lines of up to ``width`` characters, broken after spaces, hyphens or underscores if possible."""
    lines = [""]
    for piece in re.findall(rf"[^ _-]{{1,{width - 1}}}[ _-]?|[ _-]", visible(text)):
        if len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def save_figure(figure: "Figure", folder: Path, stem: str, endings: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write ``stem.png``, 1600 pixels wide, and ``stem.svg`` into ``folder``, which is made; their paths.

    ``endings`` may name one of the two.

    Each appears whole or not at all, and the same figure gives the same files.

    Raises:
        RunError: a file cannot be written.
    """
    drawn: dict[Path, bytes] = {}
    with plain_style():
        for ending in endings:
            buffer, metadata = io.BytesIO(), {"Date": None} if ending == "svg" else {}
            figure.savefig(buffer, format=ending, dpi=200, metadata=metadata)
            drawn[folder / f"{stem}.{ending}"] = buffer.getvalue()
    for path, content in drawn.items():
        write_bytes(path, content)
    return list(drawn)


def _rows(title: str, names: Sequence[str], *, extra: float) -> tuple["Figure", "Axes"]:
    """A figure with a named row for each of ``names`` from the top, and ``extra`` inches for what is around them."""
    heads = [wrapped(name, _NAME_LENGTH) for name in names]
    row = max(_ROW, 0.16 * max(head.count("\n") + 1 for head in heads))
    figure = titled(title, row * len(heads) + extra)
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    axes.tick_params(color=RULE, labelcolor=INK, length=0)
    axes.set(ylim=(len(heads) - 0.5, -0.5))
    axes.set_yticks(range(len(heads)), heads, fontsize=9)
    return figure, axes


def _legend(figure: "Figure", marks: Sequence[Any], names: Sequence[str]) -> None:
    """What the marks mean, below everything."""
    if marks:
        figure.legend(marks, names, loc="outside lower center", ncols=2, frameon=False)


def _beside(axes: "Axes", place: int, text: str, colour: str) -> None:
    """Write right of a row."""
    axes.text(1.01, place, text, va="center", color=colour, fontsize=9, transform=axes.get_yaxis_transform())


def _bar(axes: "Axes", place: int, percent: Sequence[float], deviation: float) -> None:
    middle = mean(percent)
    if middle is None:
        return
    axes.barh(place, middle, height=0.66, color=_BAR, linewidth=0, zorder=2)
    several = len(percent) > 1
    if several:
        look: dict[str, Any] = {"capsize": 2.5, "elinewidth": 1.1, "capthick": 1.1, "ecolor": INK, "zorder": 3}
        axes.errorbar(middle, place - 0.14, xerr=deviation, fmt="none", **look)
    dots: dict[str, Any] = {"s": 13, "color": _DOT, "edgecolors": "white", "linewidths": 0.5, "zorder": 4}
    axes.scatter(percent, [place + 0.14 * several] * len(percent), clip_on=False, **dots)
