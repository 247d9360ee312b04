"""What the page of a run shows, gathered from its folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from torch import Tensor

from daf_report import words
from daf_report.attempts import Attempts
from daf_report.curves import read_curves
from daf_report.dots import dots
from daf_report.run_images import RunImages, step_pictures
from daf_report.run_statistics import compared, confusions, label_pixels
from daframework.data.frequencies import count_classes
from daframework.recipes.read import flat
from daframework.recipes.tables import Recipe
from daframework.registry import load_plugins
from daframework.report.pick import pick_notes, picks
from daframework.report.summary import class_grids, results_grid, summarise
from daframework.report.table import FRACTION, Column, Grid, Record, grid, metric_column, over_seeds, spread
from daframework.runs.context import read_seconds
from daframework.scores import PERCENT, SEGMENTATION, Metric, MetricValues
from daframework.storage.files import last_entry
from daframework.storage.results import CONTENT_PRESERVATION, Results, Row, fraction, read_results, scores_from_json
from daframework.storage.row_names import ORACLE, SOURCE_ONLY
from daframework.storage.run_folder import RunFolder, read_recipe
from daframework.suites.comparison import gap_closed
from daframework.suites.estimate import duration
from daframework.suites.facts import component_text, maker
from daframework.suites.outcome import percent, to_baseline
from daframework.suites.plan import REFERENCES
from daframework.text_file import read_text

_NO_DIFFERENCE = dict.fromkeys(("to_baseline", "to_baseline_interval", "verdict", "few"))
_COUNTED = 100  # images of the source whose labels are counted where nothing else tells how often classes occur


def run_page(path: Path) -> dict[str, Any]:
    """The content of templates/run.html for the run in ``path``."""
    folder, attempts = RunFolder(path), Attempts()
    recipe = attempts.at("the recipe", partial(read_recipe, folder))
    images = None if recipe is None else RunImages(folder, load_plugins(), recipe)
    results = attempts.at("the results", partial(_results, folder, images, attempts))
    finished = results is not None and folder.results.exists()
    if not finished:
        attempts.notices.insert(0, _unfinished(folder))
    page: dict[str, Any] = {
        "title": path.resolve().parent.name if recipe is None else recipe.name,
        "subtitle": "" if recipe is None else f"seed {recipe.seed}",
        "facts": _facts(recipe, results),
        "recipe": attempts.at("the recipe's text", partial(read_text, folder.recipe)),
        "curves": _if_there(folder.log, attempts, "the log", read_curves),
        "steps": attempts.at("the samples", partial(step_pictures, recipe, attempts, folder)),
        "timings": attempts.at("the seconds", partial(_timings, folder)),
        "environment": _if_there(folder.environment, attempts, "the environment", _environment),
    }
    if results is not None and results.rows:
        page |= _scores(folder, results, images, attempts)
    if images is not None:
        page["pairs"] = attempts.at("before and after", partial(images.pairs, attempts))
        trained = images.recipe.translation
        if finished and trained is not None and not folder.translated.exists():
            attempts.notices.append(f"before and after: {folder.translated} is not there any more")
        if finished and trained is not None and trained.steps and not folder.sampled_steps():
            attempts.notices.append(f"samples: {folder.samples} holds none any more")
        if finished and results is not None:
            rows = [(row.method, images.run) for row in results.rows]
            overlays = partial(images.overlays, results.classes, rows, attempts)
            page["overlays"] = attempts.at("predictions on target images", overlays)
    return page | {"notices": attempts.notices}


def _if_there(path: Path, attempts: Attempts, what: str, read: Any) -> Any:
    return attempts.at(what, partial(read, path)) if path.exists() else None


def _results(folder: RunFolder, images: RunImages | None, attempts: Attempts) -> Results | None:
    """What came out; of an unfinished or damaged run, the rows that have scores."""
    if folder.results.exists():
        found = attempts.at("results.json", partial(read_results, folder.results))
        if found is not None:
            return found
    if images is None:
        return None
    tables, recipe = {}, images.recipe
    for path in sorted(folder.scores("*").parent.glob("*.json")):
        table = attempts.at(f"scores/{path.name}", partial(_read_json, path))
        if table is not None:
            tables[path.stem] = table
    classes = tuple(next((part for table in tables.values() for part in table.values() if isinstance(part, dict)), ()))
    preserved = tables.pop(CONTENT_PRESERVATION, None)
    if not tables:
        return None
    task = attempts.at("the task", partial(images.task, len(classes)))
    metrics = SEGMENTATION if task is None else tuple(task.metrics)
    read, rows = partial(scores_from_json, classes=classes, metrics=metrics), []
    for name, table in sorted(tables.items(), key=lambda one: (one[0] != SOURCE_ONLY, one[0] == ORACLE)):
        kept = read(preserved) if preserved is not None and name == recipe.name else None
        rows.append(Row(name, read(table), kept, fraction(table.get("mutual_information"))))
    return Results(recipe.name, recipe.seed, classes, tuple(rows), {}, {}, metrics=metrics)


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _unfinished(folder: RunFolder) -> str:
    found = last_entry(folder.log)
    what = "has no results that can be read" if folder.results.exists() else "is not finished"
    where = f" It logged last after step {found['step']} of {found['stage']}." if found else ""
    return f"This run {what}; the page shows what there is. Running its recipe again goes on from there.{where}"


def _facts(recipe: Recipe | None, results: Results | None) -> list[str]:
    facts = []
    if recipe is not None:
        facts.append(f"{component_text(recipe.source)} to {component_text(recipe.target)}")
    if results is not None and results.images:
        facts.append(f"images: {', '.join(f'{n} {name}'.replace('_', ' ') for name, n in results.images.items())}")
    if recipe is not None:
        steps = recipe.translation.steps if recipe.translation is not None else 0
        trained = f"translation: {steps} steps of {recipe.data.batch_size}; " if steps else ""
        task = f"{component_text(recipe.task)}: {recipe.downstream.steps} steps of {recipe.downstream.batch_size}"
        facts.append(trained + task)
    if results is not None and results.environment:
        facts.append(f"made by {maker(results)}")
    return facts


def _scores(folder: RunFolder, results: Results, images: RunImages | None, attempts: Attempts) -> dict[str, Any]:
    """Everything that is told of scores: sentences, tables, and what statistics hold."""
    task = None if images is None else attempts.at("the task", partial(images.task, len(results.classes)))
    of_classes = task is None or task.label_type.of_classes  # else statistics are no confusion matrices
    differences = attempts.at("intervals", partial(compared, folder, task, results, attempts)) or {}
    rows, metric = summarise([results]), results.metrics[0]
    means = {row["method"]: row[metric.name]["mean"] for row in rows}
    for row in rows:
        name, gap = row["method"], (means.get(SOURCE_ONLY), means.get(ORACLE))
        row |= _NO_DIFFERENCE | differences.get(name, {})
        row["gap_closed"] = None if name in REFERENCES else gap_closed(metric, means[name], *gap)
    return {
        "summary": [one for one in (*_sentences(results, rows, means), words.pick_sentence(rows, metric)) if one],
        "table": _with_differences(results_grid([results]), rows, metric),
        "by_class": _by_class(results),
        "class_names": results.classes,
        "confusions": of_classes and attempts.at("the statistics", partial(confusions, folder, results, attempts)),
        "shares": of_classes and attempts.at("class shares", partial(_shares, folder, results, images, attempts)),
        "label_free": _label_free(rows, metric),
    }


def _sentences(results: Results, rows: Sequence[Record], means: Mapping[str, float | None]) -> Iterator[str | None]:
    """What came out, in words."""
    metric, told = results.metrics[0], {row["method"]: row for row in rows}
    parts = next((one for one in results.metrics if one.by_class is not None), metric)

    def by_class(scores: MetricValues) -> dict[str, float | None]:
        return dict(zip(results.classes, scores.parts, strict=False))  # of a task without parts, none

    known = {row.method: by_class(row.scores) for row in results.rows}
    for row in [row for row in results.rows if row.method not in REFERENCES] or results.rows[:1]:
        yield words.method_sentence(told[row.method], metric, means)
        yield words.interval_sentence(told[row.method], SOURCE_ONLY, metric)
        if SOURCE_ONLY in known:
            yield words.gains_sentence(words.change(known[row.method], known[SOURCE_ONLY]), parts)
        kept = row.content_preservation
        if kept is not None:
            yield words.preserved_sentence(metric, kept.primary, parts, by_class(kept), known.get(ORACLE, {}))


def _with_differences(grid: Grid, rows: Sequence[Record], metric: Metric) -> Grid:
    """``grid`` with the difference to source_only and the share of the gap after the first metric."""
    cells = tuple(
        (*cell[:2], to_baseline(row, metric) or "-", percent(row["gap_closed"]) or "-", *cell[2:])
        for cell, row in zip(grid.rows, rows, strict=True)
    )
    headings = (*grid.headings[:2], f"vs {SOURCE_ONLY}", "gap closed", *grid.headings[2:])
    few = dict.fromkeys(row["few"] for row in rows if row["few"] is not None)
    return evolve(grid, headings=headings, rows=cells, notes=tuple(map(words.few_sentence, few)))


def _by_class(results: Results) -> list[dict[str, Any]]:
    """Of each metric that has parts: their name and unit, a table, and plots of them and of content preservation."""
    found, looks = [], {row.method: place for place, row in enumerate(results.rows)}
    having = [(one, str(one.by_class)) for one in results.metrics if one.by_class is not None]
    for table, (metric, parts) in zip(class_grids([results]), having, strict=True):
        own = {row.method: row.scores.by_class[parts] for row in results.rows}
        kept = {row.method: held.by_class[parts] for row in results.rows if (held := row.content_preservation)}
        on_target = {f"{ORACLE} on the target's test set": own[ORACLE]} if ORACLE in own else {}
        marks = [looks[name] for name in (*kept, *([ORACLE] if on_target else []))]  # a row's mark is one in all plots
        found.append(
            {
                "parts": parts,
                "unit": metric.shown_in,
                "heat": metric.unit == PERCENT,
                "grid": _with_preservation(table, metric, kept),
                "dots": dots(results.classes, own, metric),
                "preservation": dots(results.classes, kept | on_target, metric, marks) if kept else None,
            }
        )
    return found


def _with_preservation(grid: Grid, metric: Metric, kept: Mapping[str, Sequence[float | None]]) -> Grid:
    """``grid`` with a column for the content preservation of each class under each method."""
    columns = [[spread(over_seeds([value]), metric) for value in values] for values in kept.values()]
    rows = tuple((*cell, *(column[place] for column in columns)) for place, cell in enumerate(grid.rows))
    headings = (*grid.headings, *(f"content preservation of {method}" for method in kept))
    return evolve(grid, headings=headings, rows=rows)


def _label_free(rows: Sequence[Record], metric: Metric) -> Grid | None:
    """A row a method by falling mutual information, the oracle apart; None where nothing was measured."""
    places, ordered = picks(rows), {row["method"]: row for row in rows}
    columns: list[Column] = [
        ("method", "method"),
        ("mutual information", "mutual_information"),
        metric_column(metric, FRACTION),
        ("pick", lambda row: places[row["method"]]),
    ]
    title = f"Rows by mutual information, percent, and the {metric.title} that labels would have told"
    found = [ordered[name] for name in places]
    return grid(title, found, columns, notes=pick_notes(rows, metric)) if places else None


def _shares(folder: RunFolder, results: Results, images: RunImages | None, attempts: Attempts) -> dict[str, Any] | None:
    """The share of the labelled pixels that each class has in the source and in the target's test set."""
    pixels: dict[str, Tensor] = {}
    for title, row in (("source", CONTENT_PRESERVATION), ("target's test set", results.rows[0].method)):
        counted = attempts.at(f"scores of {row}", partial(label_pixels, folder, results, row))
        if counted is None and title == "source" and images is not None:
            opened = attempts.at("the datasets", lambda: images.source)
            counted = None if opened is None else count_classes(opened, limit=_COUNTED).pixels
        if counted is not None and counted.sum():
            pixels[title] = counted.double() / counted.sum()
    if not pixels:
        return None
    series = {title: shares.tolist() for title, shares in pixels.items()}
    by_class = zip(results.classes, *series.values(), strict=True)
    cells = [(name, *(f"{100 * share:.2f}" for share in found)) for name, *found in by_class]
    grid = Grid("Share of the labelled pixels, percent", ("class", *series), tuple(cells))
    return {"grid": grid, "dots": dots(results.classes, series, log=True)}


def _timings(folder: RunFolder) -> list[tuple[str, str, float]]:
    """Stage, time, and percent of the longest."""
    spent = read_seconds(folder)
    longest = max(spent.values(), default=0.0) or 1.0
    return [(stage, duration(seconds), round(100 * seconds / longest, 1)) for stage, seconds in spent.items()]


def _environment(path: Path) -> list[tuple[str, str]]:
    return [(key, str(value)) for key, value in flat(_read_json(path)).items()]
