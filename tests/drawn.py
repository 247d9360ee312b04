"""What a figure shows, as tests look at it."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def texts(figure):
    """All that is written in a figure."""
    return [text.get_text() for text in figure.findobj(Text)]


def overlapping(figure):
    """Texts of a figure as saved that lie over one another or over its edge."""
    figure.set_dpi(200)
    FigureCanvasAgg(figure).draw()
    ticks = [(tick, *axes.get_xlim()) for axes in figure.axes for tick in axes.get_xticklabels()]
    hidden = [tick for tick, start, end in ticks if not start <= tick.get_position()[0] <= end]
    written = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    shown = [text for text in written if text not in hidden]
    boxes = [text.get_window_extent() for text in shown]
    edge = [box for box in boxes if not (box.x0 >= -1 and box.x1 <= figure.bbox.width + 1 and box.y0 >= -1)]
    pairs = [
        (one.get_text(), other.get_text())
        for place, one in enumerate(shown)
        for before, other in enumerate(shown[:place])
        if one.get_rotation() == other.get_rotation() == 0 and boxes[place].overlaps(boxes[before])
    ]
    return edge, pairs
