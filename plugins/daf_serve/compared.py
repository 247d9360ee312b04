"""Two runs side by side: in which keys their recipes differ, and what came out."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from daf_serve.finder import own_row
from daframework.interfaces import Scores
from daframework.recipes.read import differing, dump, flat
from daframework.recipes.tables import Recipe
from daframework.storage.results import Results


@frozen
class Line:
    """What both say of one thing: fractions, or None."""

    name: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """The second less the first."""
        return None if self.first is None or self.second is None else self.second - self.first


@frozen
class Comparison:
    """Keys with both values as text; scores of the rows that both have; and of each run's own row, by class too."""

    keys: list[tuple[str, str, str]]
    rows: list[Line]
    own: list[Line]


def compare(recipes: Sequence[Recipe], results: Sequence[Results | None]) -> Comparison:
    """Two runs, of which one or both may have no results yet."""
    first, second = (flat(dump(recipe)) for recipe in recipes)
    keys = [(key, str(one), str(other)) for key, (one, other) in differing(first, second).items()]
    if None in results:
        return Comparison(keys, [], [])
    before, after = ({row.method: row.scores.miou for row in one.rows} for one in results if one is not None)
    rows = [Line(name, before[name], after[name]) for name in before if name in after]
    left, right = (_said(one) for one in results if one is not None)
    return Comparison(keys, rows, [Line(name, left.get(name), right.get(name)) for name in {**left, **right}])


def _said(results: Results) -> dict[str, Any]:
    row = own_row(results)
    if row is None:
        return {}
    scores: Scores = row.scores
    by_class = {f"IoU of {name}": iou for name, iou in zip(results.classes, scores.iou, strict=True)}
    whole = {"mIoU": scores.miou, "pixel accuracy": scores.pixel_accuracy, "content preservation": row.preserved}
    return whole | by_class
