"""How a run draws crops of labelled images: what it must know of them is counted once and kept in its folder."""

import torch

from daframework.compute.ranks import from_first
from daframework.compute.session import StoppedError
from daframework.data.frequencies import image_counts
from daframework.data.sampling import RareClasses, rare_classes
from daframework.errors import RunError
from daframework.interfaces import ImageDataset
from daframework.runs.context import RunContext, timed
from daframework.storage import checkpoint


def rare_sampler(run: RunContext, dataset: ImageDataset, domain: str) -> RareClasses | None:
    """The sampler of labelled crops as ``data.rare_class_temperature`` says, or None.

    ``dataset`` has the labels of ``domain``, "source" or "target": those of a translated set are its source's.

    Raises:
        DataError: a label cannot be used.
        RunError: what was counted is of another set.
        StoppedError: the user asked to stop; counting begins again.
    """
    data = run.recipe.data
    if not data.rare_class_temperature:
        return None
    path = run.folder.class_counts(domain)
    counts = from_first(lambda: _counts(run, dataset, domain))
    if tuple(counts.shape) != (len(dataset), len(dataset.classes)):
        raise RunError(f"{path}: counts another set of images; delete it, and it is counted again")
    return rare_classes(counts, data.crop_size, data.rare_class_temperature)


def _counts(run: RunContext, dataset: ImageDataset, domain: str) -> torch.Tensor:
    """Labelled pixels of each class in every image: counted once, and kept."""
    path = run.folder.class_counts(domain)
    state = checkpoint.load(path, torch.device("cpu"))
    if state is None:
        with timed(run, "counting classes"):
            state = {"counts": _count(run, dataset, domain)}
        checkpoint.save(path, state)
    counts: torch.Tensor = state["counts"]
    return counts


def _count(run: RunContext, dataset: ImageDataset, domain: str) -> torch.Tensor:
    stage = f"counting classes of the {domain}"
    run.session.log.begin(stage, len(dataset), 0)
    rows: list[list[int]] = []
    for row in image_counts(dataset, range(len(dataset)), workers=run.recipe.hardware.workers):
        rows.append(row)
        run.session.log.advance(len(rows))
        if run.session.stopping():
            raise StoppedError(f"stopped while {stage}")
    return torch.tensor(rows)
