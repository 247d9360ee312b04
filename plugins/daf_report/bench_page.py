"""What the page of a bench shows, gathered from its folder."""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import frozen

from daf_report import words
from daf_report.attempts import Attempts
from daf_report.dots import tick_scale, tick_step
from daf_report.embedded import Picture, class_map, photo
from daf_report.run_images import RunImages, class_legend
from daframework.adapt.translated_set import open_translated
from daframework.api import open as open_run
from daframework.data.spread import evenly_spread
from daframework.interfaces import ImageDataset
from daframework.registry import load_plugins
from daframework.report.table import mean, over_seeds, without_oracle
from daframework.scores import PERCENT, SEGMENTATION, metrics_from_json
from daframework.storage.row_names import SOURCE_ONLY, begun_from
from daframework.storage.run_folder import RunFolder, read_recipe
from daframework.suites.bench_folder import RUNS, TABLE, bench_tables
from daframework.suites.comparison import TaskTable
from daframework.suites.outcome import class_grids, method_grid, to_baseline
from daframework.suites.plan import REFERENCES

_EARLIER = {"mutual_information": over_seeds([])}  # what rows of earlier versions lack
_IMAGES = 8
_MOST = 6_000_000  # bytes of all translated pictures


@frozen
class BenchRun:
    """A run of a bench, and the ``link`` to its own report, None where it has none."""

    task: str
    method: str
    seed: str
    folder: RunFolder
    link: str | None


def bench_page(folder: Path) -> dict[str, Any]:
    """The content of templates/bench.html for the bench in ``folder``."""
    attempts = Attempts()
    tables = attempts.at(TABLE, partial(_read_tables, folder)) if (folder / TABLE).exists() else None
    if tables is None:
        attempts.notices.insert(0, "There is no table that can be read: daf bench --collect makes it of finished runs.")
    runs = _runs(folder)
    return {
        "title": folder.resolve().name,
        "subtitle": "bench",
        "tables": [one for table in tables or () if (one := attempts.at(TABLE, partial(_described, table)))],
        "runs": runs,
        "images": attempts.at("images", partial(_side_by_side, attempts, runs, tables or [])),
        "overlays": attempts.at("predictions on target images", partial(_overlays, attempts, runs, tables or [])),
        "notices": attempts.notices,
    }


def _read_tables(folder: Path) -> list[TaskTable]:
    tables = []
    for one in bench_tables(folder):
        rows, metrics = (_EARLIER | row for row in one["rows"]), metrics_from_json(one.get("metrics"))
        classes, notes = tuple(one["classes"]), tuple(one["notes"])
        tables.append(TaskTable(one["task"], classes, one["baseline"], tuple(rows), notes, metrics))
    return tables


def _runs(folder: Path) -> list[BenchRun]:
    found = []
    for path in sorted(one.parent for one in folder.glob(RUNS)):
        task, method, seed = path.relative_to(folder).parts
        report = RunFolder(path).report
        link = quote(report.relative_to(folder).as_posix()) if report.exists() else None
        found.append(BenchRun(task, method, seed.removeprefix("seed"), RunFolder(path), link))
    return found


def _described(table: TaskTable) -> dict[str, Any]:
    having = [metric for metric in table.metrics if metric.by_class is not None]
    return {
        "task": table.task,
        "grid": method_grid(table),
        "by_class": [(grid, metric.unit == PERCENT) for grid, metric in zip(class_grids(table), having, strict=True)],
        "summary": _summary(table),
        "forest": _forest(table),
        "baseline": table.baseline,
        "difference": words.difference_heading(table.baseline, table.primary),
    }


def _summary(table: TaskTable) -> list[str]:
    """Which method is best, what it is worth, and which one would be taken without labels."""
    metric, means = table.primary, {row["method"]: row[table.primary.name]["mean"] for row in table.rows}
    methods = [row for row in without_oracle(table.rows) if row["method"] != SOURCE_ONLY and row["seeds"]]
    if not methods:
        return []
    best = methods[0]  # as rows are ranked
    sentences = [words.method_sentence(best, metric, means)]
    base = next((row for row in table.rows if row["method"] == SOURCE_ONLY), None)
    parts = next((one for one in table.metrics if one.by_class is not None), None)
    if base is not None and base["seeds"] and parts is not None:
        means_by_class = (
            {name: mean(seed[parts.by_class][name] for seed in row["seeds"]) for name in table.classes}
            for row in (best, base)
        )
        sentences.append(words.gains_sentence(words.change(*means_by_class), parts) or "")
    if table.baseline is not None:
        sentences.append(words.against_baseline(table.rows, table.baseline))
    sentences.append(words.pick_sentence(table.rows, metric))
    sentences.append(words.seeds_sentence(table.rows))
    return [sentence for sentence in sentences if sentence]


def _forest(table: TaskTable) -> dict[str, Any] | None:
    """Each method's difference to the baseline with its interval, as places from 0 to 100; the oracle is far off."""
    rows = [row for row in without_oracle(table.rows) if row["to_baseline_interval"] is not None]
    if not rows:
        return None
    ends = [0.0, *(end for row in rows for end in row["to_baseline_interval"])]
    low, high = float(min(ends)), float(max(ends))
    margin = 0.04 * (high - low) or 0.01
    unit, scale = tick_step(high - low), tick_scale(table.primary)

    def place(value: float) -> float:
        return round(100 * (value - low + margin) / (high - low + 2 * margin), 2)

    drawn = []
    for row in rows:
        left, right = map(place, row["to_baseline_interval"])
        told = {"name": row["method"], "verdict": row["verdict"], "text": to_baseline(row, table.primary)}
        drawn.append({"low": left, "high": right, "at": place(row["to_baseline"])} | told)
    return {
        "ticks": [
            (place(unit * step), f"{scale * unit * step:+g}" if step else "0")
            for step in range(math.ceil(low / unit), math.floor(high / unit) + 1)
        ],
        "zero": place(0.0),
        "rows": drawn,
    }


def _of_first_seed(runs: Iterable[BenchRun]) -> tuple[str | None, dict[str, RunFolder]]:
    """The first seed among ``runs``, and the folders of its runs by method."""
    found = [run for run in runs if run.seed.isdecimal()]
    seed = min((run.seed for run in found), key=int, default=None)
    return seed, {run.method: run.folder for run in found if run.seed == seed}


def _side_by_side(attempts: Attempts, runs: Sequence[BenchRun], tables: Sequence[TaskTable]) -> dict[str, Any] | None:
    """The same source images under every method of the first task and seed that translated them, in the table's order;
    None where none did.
    """
    task = next((table.task for table in tables), runs[0].task if runs else None)
    seed, own = _of_first_seed(run for run in runs if run.task == task and run.folder.translated.exists())
    order = [row["method"] for table in tables[:1] for row in table.rows] or list(own)
    chosen = {method: own[method] for method in order if method in own}
    if not chosen:
        return None
    first = next(iter(chosen.values()))
    opened = RunImages(first, load_plugins(), read_recipe(first))
    source = attempts.at("the datasets", lambda: opened.source)
    sets: dict[str, ImageDataset] = {} if source is None else {"source": source}
    for method, folder in chosen.items():
        found = attempts.at(f"translated by {method}", partial(open_translated, folder.translated, source))
        if found and len(found[0]) == len(next(iter(sets.values()), found[0])):
            sets[method] = found[0]
    if not sets:
        return None
    places = evenly_spread(len(next(iter(sets.values()))), _IMAGES)
    most = min(50_000, _MOST // (len(places) * (len(sets) + 1)))
    images, labels = [], []
    palette = () if source is None else opened.datasets.target_test.palette
    for place in places:
        samples = {
            title: sample
            for title, one in sets.items()
            if (sample := attempts.at(f"image {place} of {title}", partial(one.__getitem__, place))) is not None
        }
        if not samples:
            continue
        name, label = next((sample.name, sample.label) for sample in samples.values())
        shown: dict[str, Picture] = {}
        for title, sample in samples.items():
            alt = f"source image {name}" if sets[title] is source else f"{name} translated by {title}"
            shown[title] = photo(sample.image, alt, width=480, most=most)
        if label is not None:
            shown["label"] = class_map(label, palette, f"classes of {name}", width=480)
            labels.append(label)
        images.append({"name": name, "methods": shown})
    metric = tables[0].primary if tables else SEGMENTATION[0]
    legend = None if source is None else class_legend(source.classes, palette, labels)
    return {"seed": seed, "images": images, "metric": metric.title, "legend": legend}


def _overlays(attempts: Attempts, runs: Sequence[BenchRun], tables: Sequence[TaskTable]) -> Any:
    """What the model of each row of the first table predicts for the same target images, of the first seed; None where
    no run of it is finished.
    """
    finished = (run for run in runs if tables and run.task == tables[0].task and run.folder.results.exists())
    seed, own = _of_first_seed(finished)
    if not own:
        return None
    first = next(iter(own.values()))  # any run holds the references
    holders = {row["method"]: own.get(begun_from(row["method"])) for row in tables[0].rows}
    holders |= {method: first for method in holders if begun_from(method) in REFERENCES}
    opened = ((method, open_run(holder.path)) for method, holder in holders.items() if holder is not None)
    found = RunImages(first, load_plugins(), read_recipe(first)).overlays(tables[0].classes, opened, attempts)
    return None if found is None else found | {"seed": seed}
