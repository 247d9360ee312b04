"""Figures of a comparison for a README or a paper: numbers and pictures in, matplotlib figures out."""

import io
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

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
from daframework.run.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_IMAGES = 8
"""Columns of a sheet."""

_FLAG_GAP = 0.05  # inches, between a dashed line and its label
_NAME_LENGTH = 26  # characters, before a method's name goes on in another line
# A tint and a shade of Okabe and Ito's blue: they differ in lightness, which every kind of colour blindness leaves.
_BAR, _DOT = "#8cc1e0", "#00436b"
_LIGHT = 0.25  # relative luminance from which black text is easier to read than white; white has 3.5 : 1 there
_ABSENT = "IoU, percent; - where a class is neither labelled nor predicted"


def miou_figure(bars: Mapping[str, Sequence[float]], lines: Mapping[str, float], title: str) -> "Figure":
    """A horizontal bar for each method, in the order given, from the top: its mean mIoU in percent.

    ``bars`` holds fractions in [0, 1], one a seed, each shown as a dot; two or more have a whisker of one standard
    deviation to both sides. A method without values has no bar. ``lines`` are fractions too, such as those of
    source_only and oracle, drawn across all bars.

    Raises:
        ValueError: there is no method, or a value is no fraction.
    """
    _check_fractions(bars, [value for values in (*bars.values(), lines.values()) for value in values])
    names = [wrapped(name, _NAME_LENGTH) for name in bars]
    percents = [[100 * value for value in values] for values in bars.values()]
    texts = [_mean_and_deviation(percent) for percent in percents]
    left = MARGIN + max(text_width(name, TEXT) for name in names) + GAP
    right = MARGIN + max(text_width(text, TEXT) for text in texts) + 1.5 * GAP
    farthest = [max(statistics.mean(percent) + _deviation(percent), *percent) for percent in percents if percent]
    end = 1.04 * max([1.0, *farthest, *(100 * value for value in lines.values())])
    labels = {f"{_shortened(visible(name))} {100 * value:.1f}": 100 * value for name, value in lines.items()}
    for label, value in labels.items():  # it stands left of its line, and may need more room than the names
        needed, part = MARGIN + text_width(label, SMALL) + _FLAG_GAP, value / end
        left = max(left, (needed - part * (WIDTH - right)) / (1 - part))
    width = WIDTH - left - right
    scale = width / end  # inches a percent
    flags = _flags({label: value * scale for label, value in labels.items()})
    above = 1 + max((level for _, _, level in flags), default=-1)
    row = _row_height(names)
    with plain_style():
        top = title_height(title) + above * SMALL * LINE_HEIGHT + 0.06
        figure, axes = titled_axes(title, width, row * len(bars), left=left, right=right, top=top, bottom=0.62)
        axes.set(xlim=(0, end), ylim=(len(bars) - 0.5, -0.5), yticks=[])
        axes.set_axisbelow(True)
        axes.tick_params(axis="x", labelsize=SMALL, labelcolor=SOFT, color=RULE, length=3)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        for place, (name, percent, text) in enumerate(zip(names, percents, texts, strict=True)):
            _bar(axes, place, percent)
            write_beside(axes, 0, place, name, -GAP)
            write_beside(axes, 1, place, text, right - MARGIN, color=INK if percent else SOFT)
        for label, x, level in flags:
            _flag(axes, label, x / scale, (level + 1) * SMALL * LINE_HEIGHT / (row * len(bars)))
        write(axes, 0.5, 0, "mIoU, percent", 0, -0.26, axes.transAxes, ha="center", va="top", fontsize=TEXT)
        key = "bar: mean over seeds   whisker: ± one standard deviation   dot: one seed"
        write(axes, 0.5, 0, key, 0, -0.44, axes.transAxes, ha="center", va="top", fontsize=NOTE, color=SOFT)
    return figure


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _mean_and_deviation(percent: Sequence[float]) -> str:
    if len(percent) < 2:
        return f"{percent[0]:.1f}" if percent else "-"
    return f"{statistics.mean(percent):.1f} ± {_deviation(percent):.1f}"


def _bar(axes: "Axes", place: int, percent: Sequence[float]) -> None:
    if not percent:
        return
    mean = statistics.mean(percent)
    axes.barh(place, mean, height=0.66, color=_BAR, linewidth=0, zorder=2)
    several = len(percent) > 1
    if several:
        look: dict[str, Any] = {"capsize": 2.5, "elinewidth": 1.1, "capthick": 1.1, "ecolor": INK, "zorder": 3}
        axes.errorbar(mean, place - 0.14, xerr=_deviation(percent), fmt="none", **look)
    dots: dict[str, Any] = {"s": 13, "color": _DOT, "edgecolors": "white", "linewidths": 0.5, "zorder": 4}
    axes.scatter(percent, [place + 0.14 * several] * len(percent), clip_on=False, **dots)


def _shortened(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def _flags(lines: Mapping[str, float]) -> list[tuple[str, float, int]]:
    """Label, place in inches and line of text (from 0) of each; a label ends at its place, where its line ends too.

    The further right of two that would overlap stands above, so that no line runs through a label.
    """
    flags: list[tuple[str, float, int]] = []
    for label, x in sorted(lines.items(), key=lambda line: line[1]):
        begin = x - text_width(label, SMALL) - GAP
        flags.append((label, x, 1 + max((level for _, before, level in flags if before > begin), default=-1)))
    return flags


def _flag(axes: "Axes", label: str, percent: float, up: float) -> None:
    """A dashed line across all bars, ``up`` as a part of their height above them, with its label left of its end."""
    at = axes.get_xaxis_transform()
    axes.plot(
        [percent] * 2, [0, 1 + up], transform=at, clip_on=False, color=INK, linewidth=1, dashes=(4, 2.5), zorder=2.5
    )
    write(axes, percent, 1 + up, label, -_FLAG_GAP, 0, at, ha="right", va="top", fontsize=SMALL)


def class_figure(values: Mapping[str, Mapping[str, float | None]], title: str) -> "Figure":
    """A heat map of IoU in percent: a row a method, a column a class, both in the order given; ``-`` where None.

    ``values`` holds, for each method, a fraction in [0, 1] or None for each class.

    Raises:
        ValueError: there is no method or class, methods have different classes, or a value is no fraction.
    """
    classes = list(next(iter(values.values()), {}))
    if not classes or any(found.keys() != set(classes) for found in values.values()):
        raise ValueError("every method needs a value or None for the same classes, one or more")
    rows = [[found[name] for name in classes] for found in values.values()]
    _check_fractions(values, [value for row in rows for value in row if value is not None])
    names, heads = [wrapped(name, _NAME_LENGTH) for name in values], [wrapped(name, 20) for name in classes]
    left = MARGIN + max(text_width(name, TEXT) for name in names) + GAP
    widest = max(text_width(head, SMALL) for head in heads)
    tall = max(head.count("\n") + 1 for head in heads) * SMALL * LINE_HEIGHT
    most, space = 1.1, WIDTH - left - MARGIN  # a cell's width, and all cells', in inches
    cell = min(most, space / len(classes))
    turn: dict[str, Any] = {"ha": "center"}
    if widest > cell - 0.06:
        turn = {"ha": "left", "rotation": 45, "rotation_mode": "anchor"}
        tall = 0.71 * (widest + tall)  # and the last head reaches as far to the right, from the middle of its cell
        cell = min(most, (space - tall) / (len(classes) - 0.5))
    with plain_style():
        width, height, top = cell * len(classes), _row_height(names) * len(rows), title_height(title) + tall + 0.12
        right = MARGIN + max(0.0, tall - cell / 2, text_width(_ABSENT, NOTE) - width)
        figure, axes = titled_axes(title, width, height, left=left, right=right, top=top, bottom=0.34)
        axes.set(xlim=(0, len(classes)), ylim=(len(rows) - 0.5, -0.5), xticks=[], yticks=[])
        _cells(axes, rows, min(TEXT, 22 * cell))
        for place, name in enumerate(names):
            write_beside(axes, 0, place, name, -GAP)
        for place, head in enumerate(heads):
            at = axes.get_xaxis_transform()
            write(axes, place + 0.5, 1, head, 0, 0.07, at, va="bottom", fontsize=SMALL, **turn)
        write(axes, 0, 0, _ABSENT, 0, -0.1, axes.transAxes, va="top", fontsize=NOTE, color=SOFT)
    return figure


def _cells(axes: "Axes", rows: Sequence[Sequence[float | None]], points: float) -> None:
    """A coloured rectangle with a number for each value; the colours end at the next ten percent above all values."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    end = next(
        (tens / 10 for tens in range(1, 10) if all((value or 0) <= tens / 10 for row in rows for value in row)), 1
    )
    colours = colormaps["viridis"]
    for down, row in enumerate(rows):
        for across, value in enumerate(row):
            colour = (0.95, 0.95, 0.95) if value is None else colours(value / end)[:3]
            axes.add_patch(Rectangle((across, down - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
            luminance = sum(share * part**2.2 for share, part in zip((0.2126, 0.7152, 0.0722), colour, strict=True))
            text, ink = "-" if value is None else f"{100 * value:.1f}", "black" if luminance > _LIGHT else "white"
            axes.text(across + 0.5, down, text, ha="center", va="center", fontsize=points, color=ink)


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
    names, gap = [wrapped(name, 18) for name in rows], 0.04
    left = MARGIN + max(text_width(name, TEXT) for name in names) + GAP
    aspects = [image.shape[2] / image.shape[1] for image in next(iter(rows.values()))]
    gaps = gap * (len(aspects) - 1)
    tall = min((WIDTH - left - MARGIN - gaps) / sum(aspects), 1.6)
    width = tall * sum(aspects) + gaps
    row = max(tall, max(name.count("\n") + 1 for name in names) * TEXT * LINE_HEIGHT)
    height = len(names) * (row + gap) - gap
    with plain_style():
        margins = {"left": left, "right": MARGIN, "top": title_height(title), "bottom": MARGIN}
        figure, axes = titled_axes(title, width, height, **margins)
        axes.axis("off")
        for place, (name, images) in enumerate(zip(names, rows.values(), strict=True)):
            middle, begin = place * (row + gap) + row / 2, 0.0
            for image, aspect in zip(images, aspects, strict=True):
                _picture(axes, image, begin + aspect * tall / 2, middle, aspect * tall, tall)
                begin += aspect * tall + gap
            write_beside(axes, 0, middle, name, -GAP)
        axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _picture(axes: "Axes", image: Tensor, x: float, y: float, width: float, height: float) -> None:
    """An image around (x, y), as large as fits into width by height inches."""
    scale = min(width / image.shape[2], height / image.shape[1])
    across, down = scale * image.shape[2] / 2, scale * image.shape[1] / 2
    pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
    axes.imshow(pixels, extent=(x - across, x + across, y + down, y - down), aspect="auto")


def save_figure(figure: "Figure", folder: Path, stem: str, endings: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write ``stem.png``, at most 1600 pixels wide, and ``stem.svg`` into ``folder``, which is made; their paths.

    ``endings`` may name one of the two.

    Each appears whole or not at all, and the same figure gives the same files.

    Raises:
        RunError: a file cannot be written.
    """
    dots = min(200.0, 1600 / figure.get_figwidth())
    drawn: dict[Path, bytes] = {}
    with plain_style():
        for ending in endings:
            buffer, metadata = io.BytesIO(), {"Date": None} if ending == "svg" else {}
            figure.savefig(buffer, format=ending, dpi=dots, metadata=metadata)
            drawn[folder / f"{stem}.{ending}"] = buffer.getvalue()
    for path, content in drawn.items():
        write_bytes(path, content)
    return list(drawn)


def _row_height(names: Sequence[str]) -> float:
    return max(0.3, max(name.count("\n") + 1 for name in names) * TEXT * LINE_HEIGHT + 0.06)


def _check_fractions(names: Collection[str], values: Sequence[float]) -> None:
    if not names:
        raise ValueError("a figure needs one method or more")
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise ValueError(f"a score must be a fraction in [0, 1], got {wrong[0]}")
