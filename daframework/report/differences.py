"""What differs between two runs: their recipes, where they ran, and what came out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daframework.errors import RunError
from daframework.recipes.read import differing, dump, flat
from daframework.report.table import Column, Grid, Record, grid
from daframework.scores import PERCENT, Metric
from daframework.storage.results import read_results
from daframework.storage.run_folder import RunFolder, read_recipe

Differences = dict[str, dict[str, list[Any]]]
"""By part, "recipe", "environment" or "results", and by key: the first run's value and the second's, None for none."""


def differences(first: Path, second: Path) -> Differences:
    """What differs between the runs in two folders; of one that is not finished there are no results.

    Raises:
        RunError: a folder holds no run, or a file in it is damaged.
    """
    parts = [_parts(RunFolder(folder)) for folder in (first, second)]
    return {
        part: {key: list(pair) for key, pair in differing(values, parts[1][part], missing=None).items()}
        for part, values in parts[0].items()
    }


def _parts(folder: RunFolder) -> dict[str, dict[str, object]]:
    """A run's values by part and key."""
    rows = read_results(folder.results).table() if folder.results.exists() else []
    environment = _environment(folder.environment)
    return {
        "recipe": flat(dump(read_recipe(folder))),
        "environment": {key: value for key, value in environment.items() if key != "date"},
        "results": {f"{key} of {row['method']}": row[key] for row in rows for key in row if key != "method"},
    }


def _environment(path: Path) -> dict[str, object]:
    """Empty where the run has not begun to compute."""
    if not path.exists():
        return {}
    try:
        return flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error


def difference_grids(found: Differences, folders: Sequence[Path]) -> list[Grid]:
    """A table for each part in which anything differs; results in the units of their metrics."""
    metrics = _metrics(folders)
    percent = all(one.unit == PERCENT for one in metrics.values())
    columns: list[Column] = [("key", "key"), *((str(folder), str(place)) for place, folder in enumerate(folders))]
    grids = []
    for part, keys in found.items():
        units = metrics if part == "results" else {}
        rows: list[Record] = [
            {"key": key} | {str(place): _shown(units, key, one) for place, one in enumerate(pair)}
            for key, pair in keys.items()
        ]
        if rows:
            grids.append(grid(f"{part}{', percent' * (part == 'results' and percent)}", rows, columns))
    return grids


def _metrics(folders: Sequence[Path]) -> dict[str, Metric]:
    """What the results in ``folders`` are measured by, under the names that `Results.table` has."""
    found: dict[str, Metric] = {}
    for path in (RunFolder(folder).results for folder in folders):
        metrics = read_results(path).metrics if path.exists() else ()
        found |= {name: one for one in metrics for name in (one.name, one.by_class) if name is not None}
        found |= dict(zip(["content_preservation"], metrics, strict=False))
    return found


def _shown(metrics: Mapping[str, Metric], key: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    metric = metrics.get(key.partition(" of ")[0].partition("/")[0])
    if metric is not None:
        return metric.text(value)
    return f"{value:.4g}" if metrics and isinstance(value, float) else json.dumps(value)
