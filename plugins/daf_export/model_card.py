"""The page beside an exported file: what it is, what it was made from, how well it does, and how it is run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from daf_export.exportable import GENERATOR, SEGMENTER, TASK, Exportable
from daf_export.parity import BOUNDS, SizeDifference
from daframework.scores import PERCENT, Metric

if TYPE_CHECKING:
    from daframework import Run

_OPEN = {
    "onnx": """import onnxruntime
session = onnxruntime.InferenceSession("{file}")
output = session.run(None, {{"image": image}})[0]""",
    "torch-export": """import torch
network = torch.export.load("{file}").module()
output = network(torch.from_numpy(image)).numpy()""",
    "safetensors": """import daf_export, torch
network = daf_export.load("{file}")
output = network(torch.from_numpy(image)).detach().numpy()""",
}
_WRITE = {
    GENERATOR: 'Image.fromarray(((output.transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)).save("output.png")',
    SEGMENTER: 'Image.fromarray(output.argmax(0).astype(np.uint8)).save("output.png")',
    TASK: 'np.save("output.npy", output)',
}


def card(run: "Run", one: Exportable, format: str, file: str, differences: Sequence[SizeDifference]) -> str:
    """The page, Markdown."""
    results, recipe, metric = run.results, run.recipe, run.results.metrics[0]
    facts = "".join(f"| `{key}` | {_cell(value)} |\n" for key, value in one.metadata().items() if key != "component")
    apart = "".join(f"| {one.size[0]} x {one.size[1]} | {one.largest:.2g} | {one.mean:.2g} |\n" for one in differences)
    told = [(row["method"], row[metric.name], row["content_preservation"]) for row in results.table()]
    scores = "".join(f"| {_cell(name)} | {_told(own, metric)} | {_told(kept, metric)} |\n" for name, own, kept in told)
    what = {
        GENERATOR: "A generator that shows images of the source domain as the target domain would.",
        SEGMENTER: "A segmenter that gives every pixel of an image a class.",
        TASK: f"A model of the task '{_cell(recipe.task.name)}', which gives {one.facts.get('output_range')}.",
    }[one.kind]
    classes = f" Classes: {_cell(', '.join(results.classes))}." if results.classes else ""
    unit = {"": "On", PERCENT: "Percent, on"}.get(metric.unit, f"In {metric.unit}, on")
    better = "" if metric.higher_is_better else "; lower is better"
    counts = ", ".join(f"{count} of {name.replace('_', ' ')}" for name, count in results.images.items()) or "not kept"
    return f"""# {_cell(recipe.name)}: {_cell(one.name)}

{what} Trained by daframework, and exported as {format} in float32: `{file}`.

| metadata | |
| --- | --- |
{facts}
## How to run it

```python
{_code(one, format, file)}
```

## Data

Images: {counts}.{classes} Source and target are the recipe's, below.

## Metrics

{unit} the target's test set, of the task model that was trained on each row's images{better}. *Content preservation* is
the {metric.title}, on translated source images, of a model trained on the target's labels.

| row | {_cell(metric.title)} | content preservation |
| --- | ---: | ---: |
{scores}
## Parity

The file against the network it was made from, on even and photograph-like images: allowed {BOUNDS[one.kind]}.

| height x width | largest difference | mean |
| --- | ---: | ---: |
{apart}
## Limits

- It knows the two domains it was trained on, and little of any other; its scores hold for the target's test set.
{_limits(one, format)}
## Recipe

```toml
{(run.folder / "recipe.toml").read_text(encoding="utf-8").strip()}
```
"""


def _limits(one: Exportable, format: str) -> str:
    if one.size is not None:
        return f"- It takes images of {one.size[0]} x {one.size[1]} pixels alone; others must be resized to that.\n"
    lines = f"- Height and width: multiples of {one.multiple}, {one.smallest} or more; padding is not in the network.\n"
    if format == "onnx" and one.multiple > 1:
        lines += "- Nothing in the file refuses another size: the output then has another size too, and is wrong.\n"
    return lines


def _code(one: Exportable, format: str, file: str) -> str:
    """Lines that apply the file to image.png and write output.png, or output.npy where that is no image or classes."""
    library, opened, run = _OPEN[format].format(file=file).splitlines()
    fixed = one.size or (tuple(map(int, one.facts["resize"].split())) if "resize" in one.facts else None)
    resized = f".resize({(fixed[1], fixed[0])}, Image.BILINEAR)" if fixed else ""
    pad = f"""\
(height, width), (multiple, smallest) = image.shape[2:], ({one.multiple}, {one.smallest})
below, right = (-(-max(side, smallest) // multiple) * multiple - side for side in (height, width))
image = np.pad(image, ((0, 0), (0, 0), (0, below), (0, right)), "edge")
"""
    kept = "..." if one.kind == TASK else ":"
    cut = "[0]" if one.size or not one.by_pixel else f"[0, {kept}, :height, :width]"
    return f"""\
{library}
import numpy as np
from PIL import Image
{opened}
image = np.asarray(Image.open("image.png").convert("RGB"){resized}, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
{"" if one.size else pad}{run}{cut}
{_WRITE[one.kind]}"""


def _told(value: float | None, metric: Metric) -> str:
    return "-" if value is None else metric.text(value)


def _cell(text: str) -> str:
    """``text`` as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
