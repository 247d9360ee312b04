"""results.json: one file a run, described in docs/results.md. Null where there is nothing to measure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from daframework.errors import RunError
from daframework.fingerprint import digest
from daframework.scores import PERCENT, SEGMENTATION, Metric, MetricValues, metrics_from_json
from daframework.storage.files import write_text

CONTENT_PRESERVATION = "semantic_preservation"
"""What files call content preservation, from the first version on."""
_DIGEST = "digest"
_FOUND = ("recipe", "seed", "classes", "metrics", "note", "images", "rows")
_MADE = ("seconds", "environment")


@frozen
class Row:
    """One method's scores on the target's test set; ``content_preservation`` where images were translated.

    ``mutual_information`` is what its model's predictions for the target's training images say without a label, see
    `daframework.downstream.label_free`; None in runs of earlier versions.
    """

    method: str
    scores: MetricValues
    content_preservation: MetricValues | None = None
    mutual_information: float | None = None

    @property
    def preserved(self) -> float | None:
        """Content preservation as a table shows it: its primary metric."""
        return None if self.content_preservation is None else self.content_preservation.primary


@frozen
class Results:
    """What a run found: a row for each method, the seconds each stage took, and where it ran.

    ``images`` counts those of ``source``, ``target`` and ``target_test``; files of earlier versions hold none. ``note``
    is the task's, to stand under a table.
    """

    recipe: str
    seed: int
    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    seconds: dict[str, float]
    environment: dict[str, Any]
    images: dict[str, int] = field(factory=dict)
    metrics: tuple[Metric, ...] = SEGMENTATION
    note: str = ""

    @property
    def own_row(self) -> str:
        """The recipe's own row, and source_only where it has none."""
        methods = [row.method for row in self.rows]
        return self.recipe if self.recipe in methods else methods[0]

    def table(self) -> list[dict[str, Any]]:
        """A plain row for each method: ``method``, its task's metrics by name (``mIoU``, ``pixel_accuracy``) and class
        (``IoU/<class>``) and, where images were translated, ``content_preservation``, the oracle's primary metric on
        them; ``mutual_information``. Fractions in [0, 1], or in the metric's unit.
        """
        rows = []
        for row in self.rows:
            plain: dict[str, Any] = {"method": row.method, **row.scores.values}
            for title, parts in row.scores.by_class.items():
                plain |= {f"{title}/{name}": value for name, value in zip(self.classes, parts, strict=True)}
            plain |= {"content_preservation": row.preserved, "mutual_information": row.mutual_information}
            rows.append(plain)
        return rows


def scores_to_json(scores: MetricValues, classes: Sequence[str]) -> dict[str, Any]:
    """Each metric, and its parts by class name."""
    parts = {title: dict(zip(classes, parts, strict=True)) for title, parts in scores.by_class.items()}
    return {**scores.values, **parts}


def scores_from_json(table: Mapping[str, Any], classes: Sequence[str], metrics: Sequence[Metric]) -> MetricValues:
    """The values of ``metrics`` that `scores_to_json` wrote.

    Raises:
        ValueError, KeyError or TypeError: it did not write that.
    """

    def value(metric: Metric, found: float | None) -> float | None:
        if found is None or metric.allows(found):
            return found
        what = "fraction in [0, 1]" if metric.unit == PERCENT else "finite number"
        raise ValueError(f"{metric.name}: {found!r} is no {what}")

    parts = {
        one.by_class: tuple(value(one, table[one.by_class][name]) for name in classes)
        for one in metrics
        if one.by_class is not None
    }
    return MetricValues({one.name: value(one, table[one.name]) for one in metrics}, parts)


def fraction(value: Any) -> float | None:
    """``value``, a number from 0 to 1 or None.

    Raises:
        ValueError: it is neither.
    """
    if value is None or (isinstance(value, int | float) and 0 <= value <= 1):
        return value
    raise ValueError(f"{value!r} is no fraction in [0, 1]")


def row_to_json(row: Row, classes: Sequence[str]) -> dict[str, Any]:
    """A row's scores, those of the oracle on what was translated, and mutual_information."""
    kept = row.content_preservation and scores_to_json(row.content_preservation, classes)
    also = {CONTENT_PRESERVATION: kept, "mutual_information": row.mutual_information}
    return scores_to_json(row.scores, classes) | also


def results_to_json(results: Results) -> dict[str, Any]:
    """The content of results.json, but for its digest."""
    return {
        "recipe": results.recipe,
        "seed": results.seed,
        "classes": list(results.classes),
        "metrics": [asdict(one) for one in results.metrics],
        "note": results.note,
        "images": results.images,
        "rows": [{"method": row.method} | row_to_json(row, results.classes) for row in results.rows],
        "seconds": results.seconds,
        "environment": results.environment,
    }


def write_results(path: Path, results: Results) -> None:
    """Write ``results`` as a whole or not at all."""
    content = results_to_json(results)
    write_text(path, json.dumps(content | {_DIGEST: _digest(content)}, indent=2, allow_nan=False) + "\n")


def results_from_json(content: Mapping[str, Any]) -> Results:
    """What `results_to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError or AttributeError: it did not write that.
    """
    classes, metrics = tuple(content["classes"]), metrics_from_json(content.get("metrics"))
    rows = []
    for row in content["rows"]:
        scores, kept = scores_from_json(row, classes, metrics), row[CONTENT_PRESERVATION]
        kept = kept and scores_from_json(kept, classes, metrics)
        rows.append(Row(row["method"], scores, kept, fraction(row.get("mutual_information"))))
    if not all(isinstance(content.get(key, {}), dict) for key in ("images", *_MADE)):
        raise TypeError(f"images, {' and '.join(_MADE)} must be objects")
    found, note = (content["recipe"], content["seed"], classes, tuple(rows)), content.get("note", "")
    return Results(*found, content["seconds"], content["environment"], content.get("images", {}), metrics, note)


def read_results(path: Path) -> Results:
    """The results in the file ``path``.

    Raises:
        RunError: there is no such file, or it is not a results file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = results_from_json(content)
        # What was found may not have changed since; files of earlier versions hold no digest to tell by.
        of_earlier = _DIGEST not in content and content.keys() <= {*_FOUND, *_MADE}
        if not of_earlier and content.get(_DIGEST) != _digest(content):
            raise ValueError("its content is not what was written")
        return found
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}; has the run finished?") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}: not a results file ({type(error).__name__}: {error}); run its recipe again") from error


def _digest(content: Mapping[str, Any]) -> str:
    """The same for the same results, whenever and wherever they were made."""
    return digest({key: content[key] for key in _FOUND if key in content})
