"""Pair the crops that a run's translation is trained on by their layouts, once; the pairs are kept in its folder."""

from random import Random

import torch
from torch import Tensor, nn

from daframework.compute.randomness import derive
from daframework.data.matching import MatchedCrops, Pairing, layouts, nearest_layouts
from daframework.data.stream import CropPlace, CropSampler, cut, random_corner, to_float
from daframework.data.whole import apply_padded
from daframework.errors import RunError
from daframework.interfaces import ImageDataset
from daframework.runs.context import RunContext, kept
from daframework.runs.rows import trained
from daframework.storage.row_names import SOURCE_ONLY

_NEAREST = 10


def matched_samplers(run: RunContext) -> dict[str, CropSampler]:
    """A sampler for each domain of the translation, "source" and "target", as ``data.matched_crops`` says; or none.

    Each crop of the target is paired with one of the ten source crops of the most similar layout.

    Raises:
        DataError: an image cannot be used.
        RunError: the pairs are of another set.
        StoppedError: the user asked to stop; the survey begins again.
    """
    if not run.recipe.data.matched_crops:
        return {}
    state = kept(run, run.folder.matched_crops, "matching crops", lambda: _pairs(run))
    places = {domain: state[domain] for domain in ("source", "target")}
    for domain, dataset in (("source", run.source), ("target", run.target)):
        if len(places[domain]) != len(dataset) * run.recipe.data.matched_crops:
            raise RunError(f"{run.folder.matched_crops}: pairs of another set of images; delete it to pair them again")
    pairing = Pairing(len(places["target"]), run.recipe.seed)
    own = torch.arange(pairing.pairs)[:, None]
    return {
        "source": MatchedCrops(pairing, places["source"], state["nearest"]),
        "target": MatchedCrops(pairing, places["target"], own),
    }


def _pairs(run: RunContext) -> dict[str, Tensor]:
    """Places of ``source`` and ``target`` crops, and of each of the latter the ``nearest`` of the former."""
    model = trained(run, SOURCE_ONLY)
    source_places, source_layouts = _survey(run, model, run.source, "source")
    target_places, target_layouts = _survey(run, model, run.target, "target")
    nearest = nearest_layouts(target_layouts, source_layouts, _NEAREST)
    return {"source": source_places, "target": target_places, "nearest": nearest}


@torch.no_grad()
def _survey(run: RunContext, model: nn.Module, dataset: ImageDataset, domain: str) -> tuple[Tensor, Tensor]:
    """Random crops of every image: their places, (crops, 3) int64, and their layouts as ``model`` sees them."""
    stage, data, device = f"looking at crops of the {domain}", run.recipe.data, run.session.fabric.device
    places: list[list[int]] = []
    found: list[Tensor] = []
    for index in run.session.steps(stage, range(len(dataset)), len(dataset)):
        sample = dataset.unlabelled(index)
        random = Random(derive(run.recipe.seed, domain, "survey", index))
        corners = [random_corner(sample, data.crop_size, random) for _ in range(data.matched_crops)]
        crops = torch.stack([cut(CropPlace(sample, *one, mirrored=False), data.crop_size)[0] for one in corners])
        logits = apply_padded(model, to_float(crops.to(device)), run.task.multiple, run.task.smallest)
        found.append(layouts(logits).cpu())
        places += [[index, top, left] for top, left in corners]
    return torch.tensor(places), torch.cat(found)
