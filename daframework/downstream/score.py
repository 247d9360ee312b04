"""Score a task model on a whole labelled set."""

from collections.abc import Callable, Sequence

import torch
from attrs import frozen
from torch import Tensor, nn

from daframework.compute.ranks import any_rank, from_first
from daframework.compute.session import Session
from daframework.compute.threads import keep_threads, use_threads
from daframework.data.stream import to_float
from daframework.data.whole import apply_padded, batches_in_order, stack_images, stack_labels
from daframework.errors import PluginError, StoppedError
from daframework.interfaces import ImageDataset, MetricValues, Sample, Task
from daframework.scores import PERCENT


@frozen(eq=False)
class Outcome:
    """Scores of a set, and the task's ``statistics`` of each of its images, (images, ...), which add up to them.

    ``mutual_information`` is the model's on a domain without labels, where it was measured.
    """

    scores: MetricValues
    statistics: Tensor
    mutual_information: float | None = None


def score(
    session: Session, task: Task, model: nn.Module, dataset: ImageDataset, batch_size: int, stage: str
) -> Outcome:
    """Scores of ``model`` over every image of ``dataset``, each exactly once, at the size the dataset gives.

    Raises what `measure` does, and `require_metrics`.
    """

    def statistics(prediction: Tensor, samples: Sequence[Sample]) -> list[Tensor]:
        label = stack_labels(samples, task.label_type.name).to(prediction.device)
        return [task.statistics(prediction[i : i + 1], label[i : i + 1]) for i in range(len(samples))]

    found = measure(session, task, model, dataset, range(len(dataset)), batch_size, stage, statistics)
    scores = task.scores(found.sum(0))
    require_metrics(f"task {type(task).__name__}", task, scores)
    return Outcome(scores, found.cpu())


def require_metrics(name: str, task: Task, scores: MetricValues) -> None:
    """``scores`` must be of the task's metrics, each a value that it may have, or None; ``name`` is the task's.

    Raises:
        PluginError: they are not.
    """
    if not isinstance(scores, MetricValues):
        raise PluginError(f"the scores of {name} must be MetricValues, got {type(scores).__name__}")
    if list(scores.values) != [one.name for one in task.metrics]:
        wanted, got = ", ".join(one.name for one in task.metrics), ", ".join(scores.values)
        raise PluginError(f"the scores of {name} must be those of its metrics, {wanted}, got {got}")
    for one in task.metrics:
        value = scores.values[one.name]
        if value is not None and not one.allows(value):
            which = "from 0 to 1" if one.unit == PERCENT else "a finite number"
            raise PluginError(f"the {one.name} of {name} must be {which}, got {value}")


@keep_threads()
@torch.no_grad()
def measure(
    session: Session,
    task: Task,
    model: nn.Module,
    dataset: ImageDataset,
    indices: Sequence[int],
    batch_size: int,
    stage: str,
    statistics: Callable[[Tensor, Sequence[Sample]], Sequence[Tensor]],
) -> Tensor:
    """``statistics`` of what ``model`` predicts for each image at ``indices``, in their order: (images, ...).

    Images are shared out over the ranks without padding, and what is found of them is brought together.

    Raises:
        StoppedError: the user asked to stop; nothing of it is kept.
        DataError: an image cannot be used.
    """
    fabric = session.fabric
    places = range(fabric.global_rank, len(indices), fabric.world_size)
    session.log.begin(stage, len(places), 0)
    model.eval()
    found: list[Tensor] = []
    stopped = False
    for samples in batches_in_order(dataset, [indices[place] for place in places], batch_size=batch_size):
        image = to_float(stack_images(samples).to(fabric.device))
        if not found:
            use_threads([model], image.shape, fabric.device)
        # Images of any size, each seen once: not worth compiling for, though the model was for its training.
        with torch.compiler.set_stance("force_eager"):
            prediction = apply_padded(model, image, task.multiple, task.smallest)
        found += statistics(prediction, samples)
        session.log.advance(len(found))
        if stopped := session.stopping():
            break
    if any(any_rank(stopped)):
        raise StoppedError(f"stopped while {stage}")
    # Of the first rank, since a dataset holds at least one image: others may have none.
    shape, dtype = from_first(lambda: (found[0].shape, found[0].dtype))
    gathered = torch.zeros(len(indices), *shape, dtype=dtype, device=fabric.device)
    if found:
        gathered[list(places)] = torch.stack(found).to(fabric.device)
    summed = fabric.all_reduce(gathered, reduce_op="sum")
    assert isinstance(summed, Tensor)
    return summed
