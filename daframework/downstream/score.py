"""Score a task model on a whole labelled set."""

from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor, nn

from daframework.compute.ranks import any_rank, from_first
from daframework.compute.session import Session, StoppedError
from daframework.data.stream import to_float
from daframework.data.whole import apply_padded, batches_in_order, stack_images, stack_labels
from daframework.interfaces import ImageDataset, Scores, Task


@frozen(eq=False)
class Outcome:
    """Scores of a set, and the task's ``statistics`` of each of its images, (images, ...), which add up to them."""

    scores: Scores
    statistics: Tensor


class Averaged(nn.Module):
    """Several task models as one: the mean of their class probabilities, (N, num_classes, H, W)."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Models that map images to logits."""
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] -> probabilities, whose greatest is the prediction."""
        total = sum(model(image).softmax(1) for model in self.models)
        assert isinstance(total, Tensor), "there is at least one model"
        return total / len(self.models)


@torch.no_grad()
def score(
    session: Session, task: Task, model: nn.Module, dataset: ImageDataset, batch_size: int, stage: str
) -> Outcome:
    """Scores of ``model`` over every image of ``dataset``, each exactly once, at the size the dataset gives.

    Images are shared out over the ranks without padding, and their statistics are brought together.

    Raises:
        StoppedError: the user asked to stop; nothing of it is kept.
        DataError: an image cannot be used.
    """
    fabric = session.fabric
    mine = range(fabric.global_rank, len(dataset), fabric.world_size)
    session.log.begin(stage, len(mine), 0)
    model.eval()
    found: list[Tensor] = []
    stopped = False
    for samples in batches_in_order(dataset, mine, batch_size=batch_size):
        image = to_float(stack_images(samples).to(fabric.device))
        # Images of any size, each seen once: not worth compiling for, though the model was for its training.
        with torch.compiler.set_stance("force_eager"):
            prediction = apply_padded(model, image, task.multiple, task.smallest)
        label = stack_labels(samples).to(fabric.device)
        found += [task.statistics(prediction[i : i + 1], label[i : i + 1]) for i in range(len(samples))]
        session.log.advance(len(found))
        if stopped := session.stopping():
            break
    if any(any_rank(stopped)):
        raise StoppedError(f"stopped while {stage}")
    # Of the first rank, since a dataset holds at least one image: others may have none.
    shape, dtype = from_first(lambda: (found[0].shape, found[0].dtype))
    statistics = torch.zeros(len(dataset), *shape, dtype=dtype, device=fabric.device)
    if found:
        statistics[list(mine)] = torch.stack(found)
    gathered = fabric.all_reduce(statistics, reduce_op="sum")
    assert isinstance(gathered, Tensor)
    return Outcome(task.scores(gathered.sum(0)), gathered.cpu())
