"""Score a task model on a whole labelled set."""

import torch
from torch import Tensor, nn

from daframework.data.stream import to_float
from daframework.data.whole import apply_padded, batches_in_order, stack_images, stack_labels
from daframework.interfaces import ImageDataset, Scores, Task
from daframework.session import Session, StoppedError


@torch.no_grad()
def score(session: Session, task: Task, model: nn.Module, dataset: ImageDataset, batch_size: int, stage: str) -> Scores:
    """Scores of ``model`` over every image of ``dataset``, each exactly once, at the size the dataset gives.

    Images are shared out over the ranks without padding, and the statistics are added up over them.

    Raises:
        StoppedError: the user asked to stop; nothing of it is kept.
        DataError: an image cannot be used.
    """
    fabric = session.fabric
    session.log.begin(stage, len(dataset), 0)
    model.eval()
    total: Tensor | None = None
    done = 0
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    for samples in batches_in_order(dataset, mine, batch_size=batch_size):
        image = to_float(stack_images(samples).to(fabric.device))
        prediction = apply_padded(model, image, task.multiple)
        statistics = task.statistics(prediction, stack_labels(samples).to(fabric.device))
        total = statistics if total is None else total + statistics
        done += len(samples)
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped while {stage}")
    assert total is not None, "a dataset holds at least one image"
    summed = fabric.all_reduce(total, reduce_op="sum")
    assert isinstance(summed, Tensor)
    return task.scores(summed)
