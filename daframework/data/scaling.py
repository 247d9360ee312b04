"""From images of 16 bits a channel, as thermal and industrial cameras write them, to the 8 bits of all others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

_LEVELS = 65536


@frozen
class Scaling:
    """The values that become black and white; those between are spread evenly, those beyond cut off.

    With ``percentiles``, ``low`` and ``high`` are percent of an image's values, all channels together, below which its
    own two values lie: each image gets a scaling of its own.
    """

    low: float
    high: float
    percentiles: bool = False

    def apply(self, levels: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """``levels`` in 0 to 255, rounded; an image that is even becomes black under percentiles."""
        low, high = np.percentile(levels, (self.low, self.high)) if self.percentiles else (self.low, self.high)
        shares = (np.arange(_LEVELS) - low) / max(high - low, 1)
        table = (shares.clip(0, 1) * 255).round().astype(np.uint8)
        return table[levels]


def make_scaling(value_range: Sequence[float] | None, value_percentiles: Sequence[float] | None) -> Scaling | None:
    """The scaling that a dataset's two options ask for, one or the other; None without either.

    Raises:
        ValueError: both are given, or one is not two rising numbers in its limits.
    """
    if value_range is not None and value_percentiles is not None:
        raise ValueError("value_range and value_percentiles exclude each other; give one")
    if value_percentiles is not None:
        return Scaling(*_pair("value_percentiles", value_percentiles, 100), percentiles=True)
    return None if value_range is None else Scaling(*_pair("value_range", value_range, _LEVELS - 1))


def scaling_of(options: Mapping[str, Any]) -> Scaling | None:
    """The scaling among the ``options`` of a recipe's dataset, where that has such options."""
    return make_scaling(options.get("value_range"), options.get("value_percentiles"))


def _pair(name: str, values: Sequence[float], most: int) -> tuple[float, float]:
    if len(values) != 2 or not 0 <= values[0] < values[1] <= most:
        raise ValueError(f"{name} must be [low, high] with 0 <= low < high <= {most}, got {list(values)}")
    return values[0], values[1]
