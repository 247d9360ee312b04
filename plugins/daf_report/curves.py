"""What a run logged, as curves: a chart a kind of training, a series a loss."""

from pathlib import Path
from typing import Any

from daframework.data.spread import evenly_spread
from daframework.storage.files import log_entry
from daframework.storage.row_names import trained_in

_MOST_POINTS = 1000  # a series; a screen shows no more
_TASK_MODELS = "task models"
_HEAD = "semantic head"  # whose scores are no losses


def read_curves(path: Path) -> list[dict[str, Any]]:
    """Charts ``{"title", "series": [{"name", "points": [[step, value], ...]}]}`` of a log.jsonl, ready for JSON.

    A step that was logged twice, as before and after an interruption, has its last value. Lines that are none of a log
    are left out; None stands for a value that is no finite number.

    Raises:
        OSError: it cannot be read.
    """
    charts: dict[str, dict[str, dict[int, float | None]]] = {}
    for entry in filter(None, map(log_entry, path.read_bytes().splitlines())):
        for key, value in entry["values"].items():
            chart, name = _place(entry["stage"], key)
            charts.setdefault(chart, {}).setdefault(name, {})[entry["step"]] = value
    return [
        {"title": title, "series": [{"name": name, "points": _points(steps)} for name, steps in series.items()]}
        for title, series in sorted(charts.items(), key=lambda one: (one[0] == _HEAD, one[0] == _TASK_MODELS))
    ]


def _place(stage: str, key: str) -> tuple[str, str]:
    """The chart and the name of a series: the task models, which are trained alike, share a chart."""
    row = trained_in(stage)
    if row is None:
        head, _, rest = key.partition("/")
        return (head, rest) if head == _HEAD else (stage, key)
    return _TASK_MODELS, row if key == "loss" else f"{row}: {key}"


def _points(steps: dict[int, float | None]) -> list[list[float | None]]:
    found = sorted(steps.items())
    return [
        [step, value if value is None else float(f"{value:.5g}")]
        for step, value in (found[place] for place in evenly_spread(len(found), _MOST_POINTS))
    ]
