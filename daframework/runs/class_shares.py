"""How often classes occur in a run's labelled sets, counted once and kept in its folder, and what goes by it."""

import torch
from torch import Tensor

from daframework.data.frequencies import image_counts
from daframework.data.sampling import RareClasses, rare_classes
from daframework.errors import RunError
from daframework.interfaces import SEMANTIC, ImageDataset
from daframework.runs.context import RunContext, kept


def rare_sampler(run: RunContext, dataset: ImageDataset, domain: str) -> RareClasses | None:
    """The sampler of labelled crops as ``data.rare_class_temperature`` says, or None.

    ``dataset`` has the labels of ``domain``, "source" or "target": those of a translated set are its source's.

    Raises:
        DataError: a label cannot be used.
        RunError: what was counted is of another set.
        StoppedError: the user asked to stop; counting begins again.
    """
    data = run.recipe.data
    if not data.rare_class_temperature or SEMANTIC.name not in dataset.labels:  # as a target of another task's labels
        return None
    return rare_classes(_counts(run, dataset, domain), data.crop_size, data.rare_class_temperature)


def class_prior(run: RunContext, dataset: ImageDataset, domain: str) -> Tensor | None:
    """What ``downstream.class_balance`` adds to the logits of each class while training, (num_classes,), or None.

    A class that does not occur counts as one with a single pixel. Raises what `rare_sampler` does.
    """
    balance = run.recipe.downstream.class_balance
    if not balance:
        return None
    pixels = _counts(run, dataset, domain).sum(0).clamp(min=1).double()
    return (balance * (pixels / pixels.sum()).log()).float()


def _counts(run: RunContext, dataset: ImageDataset, domain: str) -> Tensor:
    """Labelled pixels of each class in every image: counted once, and kept."""

    def count() -> dict[str, Tensor]:
        rows = image_counts(dataset, range(len(dataset)), workers=run.recipe.hardware.workers)
        rows = run.session.steps(f"counting classes of the {domain}", rows, len(dataset))
        return {"counts": torch.tensor(list(rows))}

    path = run.folder.class_counts(domain)
    counts: Tensor = kept(run, path, "counting classes", count)["counts"]
    if tuple(counts.shape) != (len(dataset), len(dataset.classes)):
        raise RunError(f"{path}: counts another set of images; delete it, and it is counted again")
    return counts
