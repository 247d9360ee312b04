"""The rows of a run's table: a task model trained on one set, scored on the target's test set."""

import json
from collections.abc import Callable, Sequence
from math import isclose

import torch
from torch import nn

from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.downstream.fit import fit
from daframework.downstream.score import Averaged, Outcome, score
from daframework.errors import RunError
from daframework.interfaces import ImageDataset, Scores, Task
from daframework.recipes.tables import AugmentTable
from daframework.runs.context import RunContext, stream, timed
from daframework.runs.rare_crops import rare_sampler
from daframework.storage import checkpoint
from daframework.storage.files import write_text
from daframework.storage.results import CONTENT_PRESERVATION, scores_from_json, scores_to_json
from daframework.storage.run_folder import RunFolder

SOURCE_ONLY = "source_only"
ORACLE = "oracle"


def fit_and_score(
    run: RunContext, row: str, datasets: Sequence[ImageDataset], augment: AugmentTable, domain: str = "source"
) -> Scores:
    """Train a task model on each of ``datasets``, and score what they predict together on the target's test set.

    Their labels are those of ``domain``. The last models are scored, never the best; and none where the recipe asks for
    no scores: then they are trained and kept.
    """

    def measure() -> Outcome:
        rare = rare_sampler(run, datasets[0], domain)
        with timed(run, f"training on {row}"):
            models = [
                fit(
                    run.task_session,
                    run.task,
                    stream(run.recipe, dataset, "task", rare),
                    run.recipe,
                    row,
                    run.folder.checkpoint(member_name(row, member)),
                    augment,
                )
                for member, dataset in enumerate(datasets)
            ]
        if not run.recipe.downstream.score:
            nothing = Scores(None, None, (None,) * len(run.source.classes))
            return Outcome(nothing, torch.zeros(0))
        with timed(run, "scoring"):
            model = models[0] if len(models) == 1 else Averaged(models)
            batch_size = run.recipe.downstream.batch_size
            return score(run.session, run.task, model, run.target_test, batch_size, f"scoring {row}")

    return _once(run, row, measure)


def content_preservation(run: RunContext, translated: Sequence[ImageDataset]) -> Scores:
    """The scores of the oracle, which knows the target, on translated images: do they show what their labels say?"""

    def measure() -> Outcome:
        oracle = trained(run, ORACLE)
        batch_size = run.recipe.downstream.batch_size
        with timed(run, stage := "content preservation"):
            found = [score(run.session, run.task, oracle, one, batch_size, stage) for one in translated]
        statistics = torch.cat([one.statistics for one in found])
        return Outcome(run.task.scores(statistics.sum(0)), statistics)

    return _once(run, CONTENT_PRESERVATION, measure)


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
        raise RunError(
            f"{folder.path} has scores of {name} and no longer its model; "
            f"delete {folder.scores(name)} to train it again"
        )
    model.load_state_dict(state["model"])
    frozen: nn.Module = session.fabric.to_device(model.eval().requires_grad_(False))
    return frozen


def member_name(row: str, member: int) -> str:
    """What the model of a row is kept as that was trained on the set of an ensemble's ``member``, from 0."""
    return f"{row}.{member}" if member else row


def _once(run: RunContext, row: str, measure: Callable[[], Outcome]) -> Scores:
    """Scores from their file, or measured now and written there, with the statistics they come from beside them."""
    known = from_first(lambda: _known(run, row))
    if known is not None:
        return known
    measured = measure()
    if run.session.fabric.is_global_zero:
        checkpoint.save(run.folder.statistics(row), {"statistics": measured.statistics})
        scores = scores_to_json(measured.scores, run.source.classes)
        write_text(run.folder.scores(row), json.dumps(scores, indent=2) + "\n")
    return measured.scores


def _known(run: RunContext, row: str) -> Scores | None:
    path = run.folder.scores(row)
    if not path.exists():
        return None
    try:
        scores = scores_from_json(json.loads(path.read_text(encoding="utf-8")), run.source.classes)
        state = checkpoint.load(run.folder.statistics(row), torch.device("cpu"))
        if state is not None and state["statistics"].numel():
            require_scores(run.task, state["statistics"], scores)
        return scores
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error}); delete it and run again, the trained model is kept") from error


def require_scores(task: Task, statistics: torch.Tensor, scores: Scores) -> None:
    """The scores must be those that the kept statistics, an entry for each image, add up to.

    Raises:
        ValueError: they are not.
    """
    found = task.scores(statistics.sum(0))
    theirs, ours = ((one.miou, one.pixel_accuracy, *one.iou) for one in (found, scores))
    pairs = zip(theirs, ours, strict=True)
    if not all(one == other or (one is not None and other is not None and isclose(one, other)) for one, other in pairs):
        raise ValueError("not what its statistics add up to")
