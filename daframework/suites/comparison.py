"""The table of a suite: one row a method, with everything that a careful reader would ask for."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor

from daframework.errors import RunError
from daframework.interfaces import Task
from daframework.report.pick import pick_notes
from daframework.report.table import Record, mean, over_seeds, ranked
from daframework.runs.rows import require_scores
from daframework.scores import SEGMENTATION, Metric
from daframework.storage import checkpoint
from daframework.storage.results import Results, Row, row_to_json
from daframework.storage.row_names import ORACLE, SOURCE_ONLY, TRANSLATING, TRANSLATION, begun_from, training_of
from daframework.suites.bootstrap import paired_difference
from daframework.suites.facts import facts
from daframework.suites.plan import REFERENCES, Cell, Plan
from daframework.suites.status import State, Status, Statuses

BOOTSTRAP_SEED = 0


@frozen
class TaskTable:
    """The rows of one task, the best first; those without a result come last. ``notes`` stand under them.

    A row is plain data, as docs/bench.md says of table.json. Scores are those of ``metrics``, of which the first ranks
    them, differences and intervals in its unit; None stands where there is nothing to measure.
    """

    task: str
    classes: tuple[str, ...]
    baseline: str | None
    rows: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = SEGMENTATION

    @property
    def primary(self) -> Metric:
        """What rows are ranked by."""
        return self.metrics[0]


@frozen
class Scored:
    """A method's row of one seed, and the run that holds it."""

    row: Row
    results: Results
    cell: Cell


ScoredRows = Mapping[str, Mapping[int, Scored]]
"""By method, and by seed."""


def task_table(plan: Plan, task: str, found: Statuses, failures: Mapping[str, str], built: Task | None) -> TaskTable:
    """The table of one task from the statuses of its cells, by name; ``built`` computes the intervals.

    Raises:
        RunError: statistics of a finished run are damaged, or the runs have different classes or metrics.
        ValueError: there is no interval, as with too few test images.
    """
    scored = {method: _scored(plan, task, method, found) for method in plan.methods}
    results = [one.results for by_seed in scored.values() for one in by_seed.values()]
    if len({(one.classes, one.metrics) for one in results}) > 1:
        raise RunError(f"runs of task '{task}' in {plan.out} differ in classes or metrics, and no table can hold both")
    metrics = results[0].metrics if results else SEGMENTATION if built is None else tuple(built.metrics)
    records = [
        _record(plan, method, scored, metrics[0], built) | {"notes": _notes(plan, task, method, found, failures)}
        for method in plan.methods
    ]
    rows = ranked(records, metrics[0])
    lines = [f"{row['method']}: {note}" for row in rows for note in row["notes"]]
    classes = results[0].classes if results else ()
    notes = (*facts(plan, task, results, metrics[0]), *pick_notes(rows, metrics[0]), *lines)
    return TaskTable(task, classes, plan.baseline, tuple(rows), notes, metrics)


def _scored(plan: Plan, task: str, method: str, found: Statuses) -> dict[int, Scored]:
    """What the method's finished runs found, by seed."""
    scored: dict[int, Scored] = {}
    for seed in plan.seeds:
        cell = plan.cell(task, method, seed)
        results = found[cell.name].results
        row = next((one for one in results.rows if one.method == method), None) if results else None
        if results and row:
            scored[seed] = Scored(row, results, cell)
    return scored


def _record(plan: Plan, method: str, scored: ScoredRows, metric: Metric, built: Task | None) -> Record:
    own, values = scored[method], {name: _values(by_seed) for name, by_seed in scored.items()}
    gap = (values[method], values[SOURCE_ONLY], values.get(ORACLE, {}))
    common = set.intersection(*map(set, gap))  # seeds
    closed = gap_closed(metric, *(mean(one[seed] for seed in common) for one in gap))
    return {
        "method": method,
        metric.name: over_seeds(values[method].values()),
        "to_source_only": None if method == SOURCE_ONLY else _mean_difference(values[method], values[SOURCE_ONLY]),
        **_to_baseline(plan, method, scored, metric, built),
        "gap_closed": None if method in REFERENCES else closed,
        "mutual_information": over_seeds(one.row.mutual_information for one in own.values()),
        "minutes": _minutes(own.values()),
        "images_per_second": _images_per_second(own.values()),
        "seeds": [
            {"seed": seed}
            | row_to_json(one.row, one.results.classes)
            | {"seconds": one.results.seconds, "environment": one.results.environment}
            for seed, one in own.items()
        ],
    }


def _values(by_seed: Mapping[int, Scored]) -> dict[int, float]:
    return {seed: value for seed, one in by_seed.items() if (value := one.row.scores.primary) is not None}


def _mean_difference(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Mean over the seeds that both have."""
    return mean(first[seed] - second[seed] for seed in first if seed in second)


def gap_closed(metric: Metric, reached: float | None, low: float | None, high: float | None) -> float | None:
    """The share of the way from source_only's score ``low`` to the oracle's ``high``; None where there is none."""
    if reached is None or low is None or high is None or not metric.better(high, low):
        return None
    return (reached - low) / (high - low)


def _to_baseline(plan: Plan, method: str, scored: ScoredRows, metric: Metric, built: Task | None) -> Record:
    """The difference to the baseline over the seeds that both have, its 95 % interval, and what follows from that."""
    own, others = scored[method], scored.get(plan.baseline or "", {})
    seeds = [seed for seed in own if seed in others and method != plan.baseline]
    estimate, interval = _mean_difference(_values(own), _values({seed: others[seed] for seed in seeds})), None
    if seeds and plan.bootstrap and built is not None:
        first, second = ([_statistics(of[seed], built) for seed in seeds] for of in (own, others))
        found = paired_difference(first, second, built.primary, repetitions=plan.bootstrap, seed=BOOTSTRAP_SEED)
        estimate, interval = found.estimate, [found.interval.low, found.interval.high]
    return {"to_baseline": estimate, "to_baseline_interval": interval, "verdict": verdict(metric, interval)}


def verdict(metric: Metric, interval: Sequence[float] | None) -> str | None:
    """``better`` or ``worse`` than the baseline where the whole interval of the difference is."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return "better" if metric.better(interval[0], 0.0) else "worse"


def _statistics(one: Scored, built: Task) -> Tensor:
    path = one.cell.folder.statistics(one.row.method)
    state = checkpoint.load(path, torch.device("cpu"))
    if state is None:
        raise RunError(f"{path} is missing, which intervals need; delete {one.cell.folder.path} to run again")
    found: Tensor = state["statistics"]
    try:
        require_scores(built, found, one.row.scores)
    except ValueError as error:
        raise RunError(f"{path}: of another run than its results ({error}); delete that folder to run again") from error
    return found.double()


def _minutes(own: Iterable[Scored]) -> float | None:
    """Of training, the translation and all of the row's task models together: mean over seeds."""
    spent = []
    for one in own:
        rows = dict.fromkeys((begun_from(one.row.method), one.row.method))
        stages = [TRANSLATION, *map(training_of, rows)]
        spent.append(sum(one.results.seconds.get(stage, 0.0) for stage in stages))
    return sum(spent) / len(spent) / 60 if any(spent) else None


def _images_per_second(own: Iterable[Scored]) -> float | None:
    """Of translating the set: mean over seeds."""
    return mean(
        one.results.images["source"] / one.results.seconds[TRANSLATING]
        for one in own
        if one.results.seconds.get(TRANSLATING) and "source" in one.results.images
    )


def _notes(plan: Plan, task: str, method: str, found: Statuses, failures: Mapping[str, str]) -> list[str]:
    """What the reader must know about a row's runs, a line each."""
    seeds: dict[str, list[int]] = {}
    for seed in plan.seeds:
        cell = plan.cell(task, method, seed)
        note = _note(found[cell.name], failures.get(cell.name))
        if note is not None:
            seeds.setdefault(note, []).append(seed)
    return [f"seed{'s' * (len(of) > 1)} {', '.join(map(str, of))}: {note}" for note, of in seeds.items()]


def _note(one: Status, failure: str | None) -> str | None:
    if failure is not None:
        return f"failed: {failure}"
    if one.state is State.FOREIGN:
        left_out = f"stale and left out: its folder holds a run of another recipe ({one.problem})"
        return f"{left_out}; delete the folder, or give another one with --out"
    if one.state is not State.DONE:
        return f"{one.state.value} ({one.problem})" if one.problem else str(one.state.value)
    if one.stale:
        return f"stale: made by {one.stale} of daframework, not by what is installed now"
    return None
