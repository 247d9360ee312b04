"""Two runs side by side: in which keys their recipes differ, and what came out."""

from collections.abc import Sequence

from attrs import frozen

from daf_serve.finder import own_row
from daframework.recipes.read import differing, dump, flat
from daframework.recipes.tables import Recipe
from daframework.scores import Metric
from daframework.storage.results import Results


@frozen
class Line:
    """What both say of one thing, in its metric; None where one says nothing."""

    name: str
    metric: Metric
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """The second less the first."""
        return None if self.first is None or self.second is None else self.second - self.first


@frozen
class Comparison:
    """Keys with both values as text; scores of the rows that both have, where they have one metric; and of each run's
    own row, by class too.
    """

    keys: list[tuple[str, str, str]]
    rows: list[Line]
    own: list[Line]


def compare(recipes: Sequence[Recipe], results: Sequence[Results | None]) -> Comparison:
    """Two runs, of which one or both may have no results yet."""
    first, second = (flat(dump(recipe)) for recipe in recipes)
    keys = [(key, str(one), str(other)) for key, (one, other) in differing(first, second).items()]
    if None in results:
        return Comparison(keys, [], [])
    before, after = (_primaries(one) for one in results if one is not None)
    rows = [Line(*key, before[key], after[key]) for key in before if key in after]
    left, right = (_said(one) for one in results if one is not None)
    return Comparison(keys, rows, [Line(*key, left.get(key), right.get(key)) for key in {**left, **right}])


def _primaries(results: Results) -> dict[tuple[str, Metric], float | None]:
    return {(row.method, results.metrics[0]): row.scores.primary for row in results.rows}


def _said(results: Results) -> dict[tuple[str, Metric], float | None]:
    row, metrics = own_row(results), results.metrics
    if row is None:
        return {}
    whole = {(one.title, one): row.scores.values[one.name] for one in metrics}
    by_class = {
        (f"{one.by_class} of {name}", one): value
        for one in metrics
        if one.by_class is not None
        for name, value in zip(results.classes, row.scores.by_class[one.by_class], strict=True)
    }
    return whole | {("content preservation", metrics[0]): row.preserved} | by_class
