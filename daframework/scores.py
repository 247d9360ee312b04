"""What a model reached; apart from `daframework.interfaces`, as tables of finished runs are shown without torch."""

from collections.abc import Mapping, Sequence
from math import isclose, isfinite
from typing import Any

from attrs import field, frozen

PERCENT = "%"
"""The unit of a fraction in [0, 1], which tables show in percent."""
_TAKEN = {"method", "seed", "seeds", "seconds", "environment", "notes", "minutes", "images_per_second"}
_TAKEN |= {"to_source_only", "to_baseline", "to_baseline_interval", "verdict", "gap_closed"}
_TAKEN |= {"content_preservation", "semantic_preservation", "mutual_information"}


@frozen
class Metric:
    """A figure by which a task's models are scored.

    Args:
        name: What files and tables call it.
        unit: `PERCENT`, or that of the numbers as they stand (``"m"``), empty where they have none.
        higher_is_better: Which way is better: there is no default, as a table read the wrong way round looks sound.
        by_class: What its parts, one a class, are called; None where it has none.

    Raises:
        ValueError: a name is one that rows of tables have for something else.
    """

    name: str
    unit: str = ""
    higher_is_better: bool = field(kw_only=True)
    by_class: str | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name in (self.name, self.by_class):
            if name is not None and (name in _TAKEN or not name.isprintable() or not name.strip()):
                raise ValueError(f"a metric cannot be called '{name}', which rows have for something else")

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.name.replace("_", " ")

    @property
    def shown_in(self) -> str:
        """After the name in a title: ``, percent``, ``, m``, or nothing."""
        unit = "percent" if self.unit == PERCENT else self.unit
        return f", {unit}" if unit else ""

    def better(self, first: float, second: float) -> bool:
        """Whether ``first`` is better than ``second``."""
        return first > second if self.higher_is_better else first < second

    def rank(self, value: float | None) -> float:
        """A key by which the best comes first when sorted, and None last."""
        return float("inf") if value is None else -value if self.higher_is_better else value

    def text(self, value: float, *, signed: bool = False) -> str:
        """``value`` as tables show it: one decimal of percent, else three; ``signed`` for a difference, never -0."""
        scale, digits = (100, 1) if self.unit == PERCENT else (1, 3)
        return f"{round(scale * value, digits) + 0.0:{'+' * signed}.{digits}f}"

    def allows(self, value: object) -> bool:
        """Whether it is a number that this metric may have."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            return False
        return self.unit != PERCENT or 0 <= value <= 1


SEGMENTATION = (
    Metric("mIoU", PERCENT, higher_is_better=True, by_class="IoU"),
    Metric("pixel_accuracy", PERCENT, higher_is_better=True),
)
"""What a task is scored by unless it says otherwise, and was before tasks could."""


def metrics_from_json(content: Sequence[Mapping[str, Any]] | None) -> tuple[Metric, ...]:
    """The metrics that a file names; files of earlier versions name none.

    Raises:
        TypeError: they are written otherwise.
    """
    if content is None:
        return SEGMENTATION
    found = tuple(Metric(**one) for one in content)
    if not found or not all(isinstance(one.name, str) and isinstance(one.unit, str) for one in found):
        raise TypeError("metrics must be a list of one or more, each with a name and a unit")
    return found


@frozen(eq=False)
class MetricValues:
    """A value for each of a task's metrics, the primary one first, in its unit; None where there is nothing to measure.

    ``by_class`` holds, under the name of a metric's parts, one a class; None for a class that occurs nowhere.
    """

    values: Mapping[str, float | None]
    by_class: Mapping[str, tuple[float | None, ...]] = field(factory=dict)

    @property
    def primary(self) -> float | None:
        """The value of the metric that rows are ranked by."""
        return next(iter(self.values.values()))

    @property
    def parts(self) -> tuple[float | None, ...]:
        """One a class, of the first metric that has such; nothing where none has."""
        return next(iter(self.by_class.values()), ())

    def __eq__(self, other: object) -> bool:
        """The same numbers under the same names."""
        if not isinstance(other, MetricValues):
            return NotImplemented
        return (dict(self.values), dict(self.by_class)) == (dict(other.values), dict(other.by_class))

    __hash__ = None  # type: ignore[assignment]

    def is_close(self, other: "MetricValues") -> bool:
        """The same but for rounding."""
        mine, theirs = self._flat(), other._flat()
        return mine.keys() == theirs.keys() and all(_close(value, theirs[name]) for name, value in mine.items())

    def _flat(self) -> dict[tuple[str, int], float | None]:
        whole = {(name, -1): value for name, value in self.values.items()}
        return whole | {(name, at): one for name, parts in self.by_class.items() for at, one in enumerate(parts)}


def _close(first: float | None, second: float | None) -> bool:
    return first == second or (first is not None and second is not None and isclose(first, second))


def nothing_measured(metrics: Sequence[Metric], classes: int) -> MetricValues:
    """No value of any metric, as where nothing was scored."""
    parts = {one.by_class: (None,) * classes for one in metrics if one.by_class is not None}
    return MetricValues({one.name: None for one in metrics}, parts)


class Scores(MetricValues):
    """A segmentation's scores, fractions in [0, 1]; None for a class that occurs neither in labels nor in predictions.

    ``miou`` is the mean over the classes that occur; None if none does.
    """

    def __init__(self, miou: float | None, pixel_accuracy: float | None, iou: Sequence[float | None]) -> None:
        """As values of `SEGMENTATION`."""
        whole, accuracy = SEGMENTATION
        super().__init__({whole.name: miou, accuracy.name: pixel_accuracy}, {str(whole.by_class): tuple(iou)})

    @property
    def miou(self) -> float | None:
        """Mean intersection over union."""
        return self.primary

    @property
    def pixel_accuracy(self) -> float | None:
        """Fraction of the labelled pixels that are right."""
        return list(self.values.values())[1]

    @property
    def iou(self) -> tuple[float | None, ...]:
        """Intersection over union of each class."""
        return self.parts
