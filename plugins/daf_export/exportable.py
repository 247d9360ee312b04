"""What of a run is exported: a network, the sizes it takes, and what its file says of it."""

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor, nn

from daframework import __version__
from daframework.data.whole import padded_side
from daframework.errors import DataError, PluginError

if TYPE_CHECKING:
    from daframework import Run

GENERATOR, SEGMENTER = "generator", "segmenter"
PADDING = (
    "not part of the network: repeat the last row and column until height and width are multiples of 'multiple' and "
    "'smallest' or more, and cut the same off the output"
)


@frozen(eq=False)
class Exportable:
    """A trained network, in eval mode and float32 on the CPU, and what its reader must know.

    It is a ``kind``, generator or segmenter, and maps images (N, 3, H, W) in [-1, 1] to images or logits. H and W must
    be multiples of ``multiple`` and at least ``smallest``, or be ``size`` where there is one. ``facts`` are of the run,
    ``row`` whose model a segmenter is.
    """

    kind: str
    row: str | None
    network: nn.Module
    multiple: int
    smallest: int
    size: tuple[int, int] | None
    facts: dict[str, str]

    @property
    def name(self) -> str:
        """What its file is called."""
        return self.row or self.kind

    def metadata(self) -> dict[str, str]:
        """What every file says of its network, whatever the format."""
        sizes = {"multiple": str(self.multiple), "smallest": str(self.smallest), "padding": PADDING}
        return self.facts | (sizes if self.size is None else {"size": " ".join(map(str, self.size))})


def exportable(run: "Run", model: str, size: tuple[int, int] | None) -> Exportable:
    """The generator of a run, or the task model of its own row ("segmenter") or of another.

    Raises:
        RunError: the run is not finished, or has no such network.
        PluginError: the generator draws at random, or has several versions.
        DataError: the network does not take images of ``size``.
    """
    results = run.results
    facts = {
        "daframework": __version__,
        "recipe": run.recipe.name,
        "seed": str(run.recipe.seed),
        "input": "image: (batch, 3, height, width) float32, RGB",
        "input_range": "[-1, 1]: value / 127.5 - 1 of 8 bits",
        "classes": json.dumps(results.classes),
    }
    found: nn.Module
    table: Any
    if model == GENERATOR:
        found = run.generator()
        row, table, multiple, smallest = None, run.recipe.generator, found.multiple, found.smallest
        facts |= {"output": "(batch, 3, height, width) float32, RGB", "output_range": "[-1, 1]"}
        if (versions := len(found.translators())) > 1:
            raise PluginError(
                f"{run.folder}: its generator '{table.name}' has {versions} versions, and a file holds one network; "
                "train it with one, or use daf translate"
            )
    else:
        row = results.own_row if model == SEGMENTER else model
        found, table, multiple, smallest = run.model(row), run.recipe.task, run.task.multiple, run.task.smallest
        shape = f"(batch, {len(results.classes)}, height, width) float32"
        facts |= {"row": row, "output": shape, "output_range": "logits: the greatest is the class"}
        if run.recipe.data.resize is not None:
            facts["resize"] = " ".join(map(str, run.recipe.data.resize))
    kind = SEGMENTER if row else GENERATOR
    # What builds such a network again.
    component = {"kind": GENERATOR if kind == GENERATOR else "task", "name": table.name, "options": table.options}
    facts |= {"kind": kind, "component": json.dumps(component | {"num_classes": len(results.classes)})}
    if size is not None and any(side < smallest or side % multiple for side in size):
        raise DataError(
            f"{run.folder}: size {size[0]}x{size[1]} is none that its {kind} takes; height and width must be multiples "
            f"of {multiple} and {padded_side(smallest, multiple)} or more"
        )
    network = deepcopy(found).to("cpu", torch.float32).eval().requires_grad_(False)
    one = Exportable(kind, row, network, multiple, padded_side(smallest, multiple), size, facts)
    if _draws(one.network, torch.zeros(1, 3, *(size or 2 * (max(one.smallest, padded_side(32, multiple)),)))):
        raise PluginError(
            f"{run.folder}: its {kind} '{table.name}' draws at random, which a file cannot repeat; use daf translate"
        )
    return one


@torch.no_grad()
def _draws(network: nn.Module, image: Tensor) -> bool:
    """Whether it moves torch's global random generator."""
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        network(image)
        return not torch.equal(before, torch.get_rng_state())
