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
from daframework.interfaces import SEMANTIC

if TYPE_CHECKING:
    from daframework import Run

GENERATOR, SEGMENTER, TASK = "generator", "segmenter", "task"
PADDING = (
    "not part of the network: repeat the last row and column until height and width are multiples of 'multiple' and "
    "'smallest' or more, and cut the same off the output"
)


@frozen(eq=False)
class Exportable:
    """A trained network, in eval mode and float32 on the CPU, and what its reader must know.

    It is a ``kind``, generator, segmenter or the model of another task, and maps images (N, 3, H, W) in [-1, 1] to
    images, logits or that task's predictions. H and W must be multiples of ``multiple`` and at least ``smallest``, or
    be ``size`` where there is one. ``facts`` are of the run, ``row`` whose model it is where it is no generator.
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

    @property
    def by_pixel(self) -> bool:
        """Whether its output is of its input's height and width."""
        return "height, width" in self.facts.get("output", "height, width")

    def metadata(self) -> dict[str, str]:
        """What every file says of its network, whatever the format."""
        padding = PADDING if self.by_pixel else PADDING.partition(", and cut")[0]
        sizes = {"multiple": str(self.multiple), "smallest": str(self.smallest), "padding": padding}
        return self.facts | (sizes if self.size is None else {"size": " ".join(map(str, self.size))})


def exportable(run: "Run", model: str, size: tuple[int, int] | None) -> Exportable:
    """The generator of a run, or the task model of its own row ("segmenter" or "task") or of another.

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
        found, kind = run.generator(), GENERATOR
        row, table, multiple, smallest = None, run.recipe.generator, found.multiple, found.smallest
        facts |= {"output": "(batch, 3, height, width) float32, RGB", "output_range": "[-1, 1]"}
        if (versions := len(found.translators())) > 1:
            raise PluginError(
                f"{run.folder}: its generator '{table.name}' has {versions} versions, and a file holds one network; "
                "train it with one, or use daf translate"
            )
    else:
        row, label = results.own_row if model in (SEGMENTER, TASK) else model, run.task.label_type.name
        found, table, multiple, smallest = run.model(row), run.recipe.task, run.task.multiple, run.task.smallest
        kind, said = SEGMENTER, "logits: the greatest is the class"
        if label != SEMANTIC.name:
            kind, said = TASK, "; ".join(filter(None, (f"a prediction of the label '{label}'", run.task.note)))
        facts |= {"row": row, "output": "", "output_range": said}
        if run.recipe.data.resize is not None:
            facts["resize"] = " ".join(map(str, run.recipe.data.resize))
    # What builds such a network again.
    component = {"kind": GENERATOR if kind == GENERATOR else "task", "name": table.name, "options": table.options}
    facts |= {"kind": kind, "component": json.dumps(component | {"num_classes": len(results.classes)})}
    if size is not None and any(side < smallest or side % multiple for side in size):
        raise DataError(
            f"{run.folder}: size {size[0]}x{size[1]} is none that its {kind} takes; height and width must be multiples "
            f"of {multiple} and {padded_side(smallest, multiple)} or more"
        )
    network = deepcopy(found).to("cpu", torch.float32).eval().requires_grad_(False)
    least = padded_side(smallest, multiple)
    image = torch.zeros(1, 3, *(size or 2 * (max(least, padded_side(32, multiple)),)))
    (output, draws), named = _tried(network, image), f"{run.folder}: its {kind} '{table.name}'"
    if draws:
        raise PluginError(f"{named} draws at random, which a file cannot repeat; use daf translate")
    if not isinstance(output, Tensor):
        raise PluginError(f"{named} gives a {type(output).__name__}, where a file needs one tensor; change its model()")
    if row is not None:
        sides = ("height", "width") if output.shape[-2:] == image.shape[-2:] else ()
        shape = ("batch", *map(str, output.shape[1 : output.ndim - len(sides)]), *sides)
        facts["output"] = f"({', '.join(shape)}) float32"
    return Exportable(kind, row, network, multiple, least, size, facts)


@torch.no_grad()
def _tried(network: nn.Module, image: Tensor) -> tuple[Any, bool]:
    """What it makes of ``image``, and whether it moves torch's global random generator."""
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        output = network(image)
        return output, not torch.equal(before, torch.get_rng_state())
