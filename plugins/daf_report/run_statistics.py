"""What a run's statistics say beside its scores: intervals, confusion, how often classes occur."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from daf_report.attempts import Attempts
from daframework.interfaces import Task
from daframework.report.table import Record
from daframework.storage import checkpoint
from daframework.storage.results import Results
from daframework.storage.row_names import SOURCE_ONLY
from daframework.storage.run_folder import RunFolder
from daframework.suites.bootstrap import MIN_IMAGES, paired_difference
from daframework.suites.comparison import BOOTSTRAP_SEED, verdict
from daframework.suites.plan import REFERENCES

REPETITIONS = 2000
"""Bootstrap draws of the test images, as in the suites that ship."""


def statistics(folder: RunFolder, row: str) -> Tensor | None:
    """What a row's scores were computed from, an entry for each image; None where nothing was kept."""
    state = checkpoint.load(folder.statistics(row), torch.device("cpu"))
    found: Tensor | None = None if state is None else state["statistics"]
    return found if found is not None and found.numel() else None


def compared(folder: RunFolder, task: Task | None, results: Results, attempts: Attempts) -> dict[str, Record]:
    """For each row but source_only its difference to that, as a bench's table has it: the interval is None where there
    are too ``few`` test images, and where there is no ``task`` to compute it or no statistics that can be read.
    """
    metric, reached = results.metrics[0], {row.method: row.scores.primary for row in results.rows}
    kept = {name: attempts.at(f"scores of {name}", partial(statistics, folder, name)) for name in reached}
    base, low = kept.get(SOURCE_ONLY), reached.get(SOURCE_ONLY)
    found: dict[str, Record] = {}
    for name, value in reached.items():
        if name == SOURCE_ONLY or value is None or low is None:
            continue
        own, interval = kept[name], None
        if task is not None and own is not None and base is not None and len(own) == len(base) >= MIN_IMAGES:
            pair = [own.double()], [base.double()]
            found_in = paired_difference(*pair, task.primary, repetitions=REPETITIONS, seed=BOOTSTRAP_SEED).interval
            interval = [found_in.low, found_in.high]
        few = len(own) if own is not None and len(own) < MIN_IMAGES else None
        told = {"to_baseline_interval": interval, "verdict": verdict(metric, interval), "few": few}
        found[name] = {"to_baseline": value - low} | told
    return found


def confusions(folder: RunFolder, results: Results, attempts: Attempts) -> list[dict[str, Any]]:
    """For each row whose statistics are confusion matrices, (images, classes, classes): ``cells`` of percent of the
    pixels of a label's class, rows by label, None where a class is never labelled.
    """
    found = []
    for row in sorted(results.rows, key=lambda one: one.method in REFERENCES):
        counts = attempts.at(f"scores of {row.method}", partial(_matrices, folder, results, row.method))
        if counts is not None:
            total = counts.sum(0).double()
            shares = (100 * total / total.sum(1, keepdim=True)).tolist()
            cells = [[None if value != value else value for value in line] for line in shares]
            found.append({"row": row.method, "cells": cells})
    return found


def label_pixels(folder: RunFolder, results: Results, row: str) -> Tensor | None:
    """Labelled pixels of each class, (classes,), in the images that ``row`` was scored on."""
    counts = _matrices(folder, results, row)
    return None if counts is None else counts.sum((0, 2))


def _matrices(folder: RunFolder, results: Results, row: str) -> Tensor | None:
    counts, classes = statistics(folder, row), len(results.classes)
    return counts if counts is not None and counts.shape[1:] == (classes, classes) else None
