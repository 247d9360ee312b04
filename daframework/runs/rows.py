"""The rows of a run's table: a task model trained on one set, scored on the target's test set."""

import json
import math
from collections.abc import Callable, Sequence

import torch
from attrs import evolve, frozen
from torch import nn

from daframework.compute.ranks import count_ranks, from_first
from daframework.compute.session import Session
from daframework.data.spread import evenly_spread
from daframework.data.stream import Blend, training_batches
from daframework.downstream.fit import fit
from daframework.downstream.score import Outcome, measure, score
from daframework.downstream.self_training import Target
from daframework.downstream.target_norms import adapt_norms
from daframework.errors import RunError
from daframework.interfaces import ImageDataset, MetricValues, Task
from daframework.recipes.tables import AugmentTable, DownstreamTable
from daframework.runs.class_shares import class_prior, rare_sampler
from daframework.runs.context import RunContext, stream, timed
from daframework.scores import nothing_measured
from daframework.storage import checkpoint
from daframework.storage.files import write_text
from daframework.storage.results import CONTENT_PRESERVATION, Row, fraction, scores_from_json, scores_to_json
from daframework.storage.row_names import ORACLE, SCORING, rows_after, target_normed, training_of
from daframework.storage.run_folder import RunFolder

_LOOKED_AT = 100  # images of the target


@frozen(eq=False)
class PlannedRow:
    """A row of the table to be: a task model is trained on each of its sets, and what they predict together is scored.

    Args:
        name: the row's.
        sets: opens what is trained on; called once the rows it needs are finished.
        augment: the changes drawn for its images.
        domain: whose labels the sets carry.
        needs: the rows that must be finished first.
        translated: the sets are images that this run translated: the oracle measures their content preservation.
        start: the row whose models are trained on, with self-training; or with ``target_norms`` adapted.
        blend: what is blended into the sets' images while it is trained on them.
        shared: so many of the sets, the last, are trained on with each of the others instead, as ``blend.others``.
    """

    name: str
    sets: Callable[[], Sequence[ImageDataset]]
    augment: AugmentTable
    domain: str = "source"
    needs: tuple[str, ...] = ()
    translated: bool = False
    start: str | None = None
    target_norms: float = 0.0
    blend: Blend | None = None
    shared: int = 0

    def and_what_follows(self, table: DownstreamTable) -> Sequence["PlannedRow"]:
        """This row, and those that begin with its models, on the same sets, as ``table`` asks for them."""
        after = evolve(self, needs=(self.name,), start=self.name, translated=False)
        norms = {target_normed(self.name): table.target_norms}
        names = rows_after(self.name, table)
        return [self, *(evolve(after, name=name, target_norms=norms.get(name, 0.0)) for name in names)]


def fit_and_score(run: RunContext, planned: PlannedRow, datasets: Sequence[ImageDataset]) -> Row:
    """Train a task model on each of ``datasets``, the row's; score what they predict together on the target's test set.

    The last models are scored, never the best; and none where the recipe asks for no scores: then they are trained and
    kept.
    """
    row = planned.name
    if planned.blend is not None and planned.shared:
        planned = evolve(planned, blend=evolve(planned.blend, others=datasets[-planned.shared :]))
        datasets = datasets[: -planned.shared]

    def train() -> Outcome:
        make = _target_normed if planned.target_norms else _fitted
        models = make(run, planned, datasets)
        model = models[0] if len(models) == 1 else run.task.ensemble(models)
        with timed(run, SCORING):
            if run.recipe.downstream.score:
                batch_size = run.recipe.downstream.batch_size
                outcome = score(run.session, run.task, model, run.target_test, batch_size, f"scoring {row}")
            else:
                outcome = Outcome(nothing_measured(run.task.metrics, len(run.source.classes)), torch.zeros(0))
            # Never picked: the oracle; nor target norms, which make any model surer, also where it is wrong more often.
            if row == ORACLE or planned.target_norms:
                return outcome
            return evolve(outcome, mutual_information=_label_free(run, model, row))

    found = _once(run, row, train)
    return Row(row, found.scores, mutual_information=found.mutual_information)


def _fitted(run: RunContext, planned: PlannedRow, datasets: Sequence[ImageDataset]) -> list[nn.Module]:
    """A task model trained on each of ``datasets``, begun from those of the row it starts with, if any."""
    row, start, task = planned.name, planned.start, run.task
    rare, prior = rare_sampler(run, datasets[0], planned.domain), class_prior(run, datasets[0], planned.domain)
    table, target = run.recipe.downstream.self_training, None
    if start is not None and table is not None:
        target = Target(stream(run.recipe, run.target, "self-training"), table)
    models = []
    with timed(run, training_of(row)):
        for member, dataset in enumerate(datasets):
            crops = stream(run.recipe, dataset, "task", rare, planned.blend, task.label_type)
            path = run.folder.checkpoint(member_name(row, member))
            weights = None if start is None else trained(run, member_name(start, member)).state_dict()
            given = run.task_session, task, crops, run.recipe, row, path, planned.augment
            models.append(fit(*given, prior=prior, start=weights, target=target))
    return models


def _target_normed(run: RunContext, planned: PlannedRow, datasets: Sequence[ImageDataset]) -> list[nn.Module]:
    """The models of the row it starts with, with batch norms that go by crops of the target, the same on every rank."""
    assert planned.start is not None, "there are models to adapt"
    size, device = run.recipe.downstream.batch_size * count_ranks(), run.session.fabric.device
    crops, steps = stream(run.recipe, run.target, "target norms"), range(math.ceil(_LOOKED_AT / size))
    models = []
    with timed(run, training_of(planned.name)):
        for member in range(len(datasets)):
            model = trained(run, member_name(planned.start, member))
            batches = training_batches(crops, batch_size=size, steps=steps, rank=0, ranks=1, workers=0, device=device)
            adapt_norms(model, (batch.image for batch in batches), planned.target_norms)
            if run.session.fabric.is_global_zero:
                path = run.folder.checkpoint(member_name(planned.name, member))
                checkpoint.save(path, {"done": 0, "model": model.state_dict()})
            models.append(model)
    return models


def _label_free(run: RunContext, model: nn.Module, row: str) -> float | None:
    """The task's score of what a row's model predicts for the target's training images, or some of them, without any
    label; None where the task has none.
    """
    looked = run.task.label_free(model)
    if looked is None:
        return None
    places, size = evenly_spread(len(run.target), _LOOKED_AT), run.recipe.downstream.batch_size
    stage = f"looking at what {row} predicts"
    found = measure(
        run.session, run.task, looked.model, run.target, places, size, stage, lambda made, _: looked.statistics(made)
    )
    return looked.score(found)


def content_preservation(run: RunContext, translated: Sequence[ImageDataset]) -> MetricValues:
    """The oracle's scores on a method's own images: do they still show what their labels say?"""

    def judge() -> Outcome:
        oracle = trained(run, ORACLE)
        batch_size = run.recipe.downstream.batch_size
        with timed(run, stage := "content preservation"):
            judged = [score(run.session, run.task, oracle, one, batch_size, stage) for one in translated]
        statistics = torch.cat([one.statistics for one in judged])
        return Outcome(run.task.scores(statistics.sum(0)), statistics)

    return _once(run, CONTENT_PRESERVATION, judge).scores


def trained(run: RunContext, row: str) -> nn.Module:
    """The task model of a finished row, frozen, on the session's device.

    Raises:
        RunError: the model is gone.
    """
    return load_model(run.session, run.task, run.folder, row)


def load_model(session: Session, task: Task, folder: RunFolder, name: str) -> nn.Module:
    """The task model kept under ``name``, as `member_name` gives it, frozen, on the session's device.

    Raises:
        RunError: the model is gone.
    """
    model = task.model()
    state = checkpoint.load(folder.checkpoint(name), torch.device("cpu"))
    if state is None:
        raise RunError(f"{name} has scores and no longer its model; delete {folder.scores(name)} to train it again")
    model.load_state_dict(state["model"])
    frozen: nn.Module = session.fabric.to_device(model.eval().requires_grad_(False))
    return frozen


def member_name(row: str, member: int) -> str:
    """What the model of a row is kept as that was trained on the set of an ensemble's ``member``, from 0."""
    return f"{row}.{member}" if member else row


def _once(run: RunContext, row: str, measured: Callable[[], Outcome]) -> Outcome:
    """What came out from its files, or measured now and written there."""
    known = from_first(lambda: _known(run, row))
    if known is not None:
        return known
    outcome = measured()
    if run.session.fabric.is_global_zero:
        checkpoint.save(run.folder.statistics(row), {"statistics": outcome.statistics})
        found = {"mutual_information": outcome.mutual_information}
        content = scores_to_json(outcome.scores, run.source.classes) | found
        write_text(run.folder.scores(row), json.dumps(content, indent=2) + "\n")
    return outcome


def _known(run: RunContext, row: str) -> Outcome | None:
    path = run.folder.scores(row)
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = scores_from_json(content, run.source.classes, run.task.metrics)
        state = checkpoint.load(run.folder.statistics(row), torch.device("cpu"))
        statistics = torch.zeros(0) if state is None else state["statistics"]
        if statistics.numel():
            require_scores(run.task, statistics, scores)
        return Outcome(scores, statistics, fraction(content.get("mutual_information")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: damaged ({error}); delete it and run again, the trained model is kept") from error


def require_scores(task: Task, statistics: torch.Tensor, scores: MetricValues) -> None:
    """The scores must be those that the kept statistics, an entry for each image, add up to.

    Raises:
        ValueError: they are not.
    """
    if not task.scores(statistics.sum(0)).is_close(scores):
        raise ValueError("not what its statistics add up to")
