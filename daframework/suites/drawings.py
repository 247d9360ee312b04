"""A suite's figures: scores by method, scores by class, and what every method makes of the same images."""

import re

from torch import Tensor

from daframework.adapt.translated_set import open_translated
from daframework.data.spread import evenly_spread
from daframework.interfaces import SEMANTIC, ImageDataset
from daframework.report.figures import class_figure, save_figure, score_figure
from daframework.report.sheets import Tile, contact_sheet
from daframework.report.table import mean
from daframework.suites.comparison import TaskTable
from daframework.suites.plan import REFERENCES, Plan
from daframework.suites.status import State, Statuses

SHEET_IMAGES = 8


def draw_scores(plan: Plan, table: TaskTable) -> None:
    """The first metric by method, and its parts by class, as PNG and SVG in the suite's folder."""
    metric = table.primary
    rows = {row["method"]: row for row in table.rows if row[metric.name]["mean"] is not None}
    if not rows:
        return
    lines = {name: rows[name][metric.name]["mean"] for name in REFERENCES if name in rows}
    bars = {
        name: [one[metric.name] for one in row["seeds"] if one[metric.name] is not None]
        for name, row in rows.items()
        if name not in REFERENCES
    }
    if bars:
        title = f"{plan.name}, {table.task}: {metric.title} on the target's test set"
        drawn = score_figure(bars, lines, title, metric)
        save_figure(drawn, plan.out, f"{table.task}_{re.sub(r'[^a-z0-9]+', '_', metric.name.lower())}")
    if metric.by_class is None:
        return
    by_class = {
        method: {name: mean(one[metric.by_class][name] for one in row["seeds"]) for name in table.classes}
        for method, row in rows.items()
    }
    title = f"{plan.name}, {table.task}: {metric.by_class} by class"
    save_figure(class_figure(by_class, title), plan.out, f"{table.task}_classes")


def draw_sheet(plan: Plan, found: Statuses, source: ImageDataset) -> None:
    """The same eight images of ``source``, checked, under every method that translated them, as PNG and SVG.

    ``found`` are the statuses of the runs by name: what another recipe made is left out.
    """
    places = evenly_spread(len(source), SHEET_IMAGES)
    samples = [source[place] for place in places]
    rows: dict[str, list[Tensor]] = {"source": [sample.image for sample in samples]}
    for method in plan.methods:
        cell = plan.cell(plan.tasks[0], method, plan.seeds[0])
        foreign = found[cell.name].state is State.FOREIGN
        if method in REFERENCES or foreign or not cell.folder.translated.exists():
            continue
        translated = open_translated(cell.folder.translated, source)[0]
        if len(translated) == len(source):
            rows[method] = [translated[place].image for place in places]
    labels = [sample.label for sample in samples if sample.label is not None]
    if labels:
        rows["label"] = [SEMANTIC.render(label[None], source.palette)[0] for label in labels]
    sections = {name: [Tile("", image) for image in images] for name, images in rows.items()}
    legend = dict(zip(source.classes, source.palette, strict=True)) if labels else {}
    title = f"{plan.name}: source images under every method, seed {plan.seeds[0]}"
    save_figure(contact_sheet(sections, legend, title, columns=SHEET_IMAGES), plan.out, "sheet")
