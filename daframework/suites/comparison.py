"""The table of a suite: one row a method, with everything that a careful reader would ask for."""

import statistics
from collections.abc import Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor

from daframework.errors import RunError
from daframework.interfaces import Task
from daframework.runs.rows import ORACLE, SOURCE_ONLY, require_scores
from daframework.storage import checkpoint
from daframework.storage.results import Results, Row
from daframework.suites.bootstrap import Difference, paired_difference
from daframework.suites.plan import Cell, Plan
from daframework.suites.status import State, Status

BOOTSTRAP_SEED = 0


@frozen
class SeedScores:
    """A method's row of one seed, and the run that holds it."""

    seed: int
    row: Row
    results: Results
    cell: Cell


@frozen
class MethodRow:
    """A method in the table. Scores are fractions in [0, 1]; differences and the interval are in the same unit.

    ``to_source_only`` is the mean over seeds that both have. ``to_baseline`` has a 95 % interval, or none where the
    suite asks for none; it is None for the baseline itself and where there is no common seed. ``recovered`` is the
    share of the way from source_only to the oracle, of the means over common seeds. ``minutes`` of training, of the
    translation and of the task model together, and ``images_per_second`` of translating the set are means over seeds.
    ``notes`` say what is missing, failed or stale.
    """

    method: str
    seeds: tuple[SeedScores, ...]
    miou: tuple[float, ...]
    to_source_only: float | None = None
    to_baseline: Difference | float | None = None
    recovered: float | None = None
    minutes: float | None = None
    images_per_second: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> float | None:
        """Mean mIoU over seeds."""
        return statistics.mean(self.miou) if self.miou else None

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` than the baseline where the whole interval is; otherwise an empty string."""
        if not isinstance(self.to_baseline, Difference):
            return ""
        interval = self.to_baseline.interval
        return "better" if interval.low > 0 else "worse" if interval.high < 0 else ""


@frozen
class TaskTable:
    """The rows of one task, by falling mean mIoU; rows without a result come last."""

    task: str
    classes: tuple[str, ...]
    baseline: str | None
    rows: tuple[MethodRow, ...]


def task_table(
    plan: Plan, task: str, found: Mapping[str, Status], failures: Mapping[str, str], built: Task | None
) -> TaskTable:
    """The table of one task from the statuses of its cells, by name; ``built`` computes the intervals.

    Raises:
        RunError: statistics of a finished run are damaged, or the runs have different classes.
        ValueError: there is no interval, as with too few test images.
    """
    scores = {method: _scores(plan, task, method, found) for method in plan.methods}
    classes = {one.results.classes for ones in scores.values() for one in ones}
    if len(classes) > 1:
        raise RunError(f"runs of task '{task}' in {plan.out} have different classes, and one table cannot hold them")
    rows = []
    for method in plan.methods:
        notes = _notes(plan, task, method, found, failures)
        rows.append(_row(plan, method, scores, notes, built))
    rows.sort(key=lambda row: -1.0 if row.mean is None else row.mean, reverse=True)
    return TaskTable(task, next(iter(classes), ()), plan.baseline, tuple(rows))


def _scores(plan: Plan, task: str, method: str, found: Mapping[str, Status]) -> list[SeedScores]:
    scores = []
    for seed in plan.seeds:
        cell = plan.cell(task, method, seed)
        results = found[cell.name].results if cell is not None else None
        if cell is None or results is None:
            continue
        scores += [SeedScores(seed, row, results, cell) for row in results.rows if row.method == method]
    return scores


def _row(
    plan: Plan, method: str, scores: Mapping[str, list[SeedScores]], notes: tuple[str, ...], built: Task | None
) -> MethodRow:
    own = scores[method]
    miou = tuple(one.row.scores.miou for one in own if one.row.scores.miou is not None)
    to_source = None
    recovered = None
    if method != SOURCE_ONLY:
        to_source = _mean_difference(own, scores[SOURCE_ONLY])
        recovered = _recovered(own, scores[SOURCE_ONLY], scores.get(ORACLE, [])) if method != ORACLE else None
    return MethodRow(
        method=method,
        seeds=tuple(own),
        miou=miou,
        to_source_only=to_source,
        to_baseline=_to_baseline(plan, method, scores, built),
        recovered=recovered,
        minutes=_minutes(own),
        images_per_second=_images_per_second(own),
        notes=notes,
    )


def _mean_difference(first: Sequence[SeedScores], second: Sequence[SeedScores]) -> float | None:
    """Mean over the seeds that both have."""
    others = {one.seed: one.row.scores.miou for one in second}
    differences = [
        one.row.scores.miou - other
        for one in first
        if one.row.scores.miou is not None and (other := others.get(one.seed)) is not None
    ]
    return statistics.mean(differences) if differences else None


def _recovered(own: Sequence[SeedScores], source: Sequence[SeedScores], oracle: Sequence[SeedScores]) -> float | None:
    by_seed = [
        {one.seed: one.row.scores.miou for one in rows if one.row.scores.miou is not None}
        for rows in (own, source, oracle)
    ]
    seeds = set.intersection(*map(set, by_seed))
    if not seeds:
        return None
    reached, low, high = (statistics.mean(scores[seed] for seed in seeds) for scores in by_seed)
    return (reached - low) / (high - low) if high > low else None


def _to_baseline(
    plan: Plan, method: str, scores: Mapping[str, list[SeedScores]], built: Task | None
) -> Difference | float | None:
    if plan.baseline is None or method == plan.baseline:
        return None
    others = {one.seed: one for one in scores[plan.baseline]} if plan.baseline in scores else {}
    pairs = [(one, others[one.seed]) for one in scores[method] if one.seed in others]
    if not pairs:
        return None
    if plan.bootstrap and built is not None:
        return paired_difference(
            [_statistics(one, built) for one, _ in pairs],
            [_statistics(other, built) for _, other in pairs],
            built.mious,
            repetitions=plan.bootstrap,
            seed=BOOTSTRAP_SEED,
        )
    return _mean_difference([one for one, _ in pairs], [other for _, other in pairs])


def _statistics(one: SeedScores, built: Task) -> Tensor:
    path = one.cell.folder.statistics(one.row.method)
    state = checkpoint.load(path, torch.device("cpu"))
    if state is None:
        raise RunError(
            f"{path} is missing, which intervals are computed from; delete {one.cell.folder.path} to run again"
        )
    found: Tensor = state["statistics"]
    try:
        require_scores(built, found, one.row.scores)
    except ValueError as error:
        raise RunError(f"{path}: of another run than its results ({error}); delete that folder to run again") from error
    return found.double()


def _minutes(own: Sequence[SeedScores]) -> float | None:
    spent = [
        sum(one.results.seconds.get(stage, 0.0) for stage in ("translation", f"training on {one.row.method}"))
        for one in own
    ]
    return statistics.mean(spent) / 60 if any(spent) else None


def _images_per_second(own: Sequence[SeedScores]) -> float | None:
    rates = [
        one.results.images["source"] / one.results.seconds["translating"]
        for one in own
        if one.results.seconds.get("translating") and "source" in one.results.images
    ]
    return statistics.mean(rates) if rates else None


def _notes(
    plan: Plan, task: str, method: str, found: Mapping[str, Status], failures: Mapping[str, str]
) -> tuple[str, ...]:
    """What the reader must know about a row's runs, a line each."""
    seeds: dict[str, list[int]] = {}
    for seed in plan.seeds:
        cell = plan.cell(task, method, seed)
        note = None if cell is None else _note(found[cell.name], failures.get(cell.name))
        if note is not None:
            seeds.setdefault(note, []).append(seed)
    return tuple(f"seed{'s' * (len(of) > 1)} {', '.join(map(str, of))}: {note}" for note, of in seeds.items())


def _note(one: Status, failure: str | None) -> str | None:
    if failure is not None:
        return f"failed: {failure}"
    if one.state is State.FOREIGN:
        return (
            f"stale and left out: its folder holds a run of another recipe ({one.problem}); delete the folder, or give "
            "another one with --out"
        )
    if one.state is not State.DONE:
        return f"{one.state.value} ({one.problem})" if one.problem else str(one.state.value)
    if one.stale:
        return f"stale: made by {one.stale} of daframework, not by what is installed now"
    return None
