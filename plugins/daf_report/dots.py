"""A dot plot as places in percent: a row a class, a mark a series."""

import math
from collections.abc import Mapping, Sequence

from attrs import frozen

_DECADES = 4  # of a logarithmic scale, at most


@frozen
class Dots:
    """``rows`` of a name and, for each of ``series``, where its mark stands from 0 to 100, or None; ``ticks`` alike."""

    series: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    ticks: tuple[tuple[float, str], ...]


def dots(names: Sequence[str], series: Mapping[str, Sequence[float | None]], *, log: bool = False) -> Dots:
    """Of fractions in [0, 1], a sequence of one a name for each series; ``log`` shows shares that differ by decades."""
    shown = [value for values in series.values() for value in values if value]
    if log:
        low = -min(_DECADES, max(1, math.ceil(-math.log10(min(shown, default=0.01)))))
        ticks = tuple((100 * (1 - power / low), f"{100 * 10**power:g} %") for power in range(low, 1))
    else:
        top = next((tens / 10 for tens in range(2, 10, 2) if max(shown, default=0) <= tens / 10), 1.0)
        ticks = tuple((25.0 * part, f"{25 * part * top:g}") for part in range(5))

    def place(value: float | None) -> float | None:
        if value is None or (log and not value):
            return None
        return round(max(0.0, 100 * (1 - math.log10(value) / low) if log else 100 * value / top), 2)

    rows = ((name, tuple(map(place, values))) for name, *values in zip(names, *series.values(), strict=True))
    return Dots(tuple(series), tuple(rows), ticks)
