"""Plots as places in percent of their width: of a row a class, a mark a series; and the ticks of an axis."""

import math
from collections.abc import Mapping, Sequence
from itertools import count

from attrs import frozen

from daframework.report.table import FRACTION
from daframework.scores import PERCENT, Metric

_DECADES = 4  # of a logarithmic scale, at most


@frozen
class Dots:
    """``rows`` of a name and, for each of ``series``, where its mark stands from 0 to 100, or None; ``ticks`` alike.

    ``marks`` numbers the look of each series' mark.
    """

    series: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[int, ...]


def tick_step(span: float) -> float:
    """The least of 0.001, 0.002, 0.005, 0.01, ... of which five or fewer lie in ``span``: tables show no finer ones."""
    steps = (float(f"{times}e{power}") for power in count(-3) for times in (1, 2, 5))
    return next(step for step in steps if span <= 5 * step)


def tick_scale(metric: Metric) -> int:
    """What its values are multiplied by to be shown."""
    return 100 if metric.unit == PERCENT else 1


def dots(
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    metric: Metric = FRACTION,
    marks: Sequence[int] | None = None,
    *,
    log: bool = False,
) -> Dots:
    """Of a metric's values from 0 on, a sequence of one a name for each series.

    ``marks`` are 0, 1, ... unless given. ``log`` shows shares, fractions in [0, 1], that differ by decades.
    """
    shown = [value for values in series.values() for value in values if value]
    if log:
        low = -min(_DECADES, max(1, math.ceil(-math.log10(min(shown, default=0.01)))))
        ticks = tuple((100 * (1 - power / low), f"{100 * 10**power:g} %") for power in range(low, 1))
    else:
        most = max(shown, default=0)
        of_percent = next((tens / 10 for tens in range(2, 10, 2) if most <= tens / 10), 1.0)
        top = of_percent if metric.unit == PERCENT else 4 * tick_step(1.25 * most)
        ticks = tuple((25.0 * part, f"{tick_scale(metric) * part * top / 4:g}") for part in range(5))

    def place(value: float | None) -> float | None:
        if value is None or (log and not value):
            return None
        return round(max(0.0, 100 * (1 - math.log10(value) / low) if log else 100 * value / top), 2)

    rows = ((name, tuple(map(place, values))) for name, *values in zip(names, *series.values(), strict=True))
    return Dots(tuple(series), tuple(rows), ticks, tuple(range(len(series)) if marks is None else marks))
