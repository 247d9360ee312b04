"""The page beside an exported file: what it is, what it was made from, how well it does, and how it is run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from daf_export.exportable import GENERATOR, Exportable
from daf_export.parity import SizeDifference, bound_of

if TYPE_CHECKING:
    from daframework import Run

_OPEN = {
    "onnx": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession("{file}")',
        'output = session.run(None, {{"image": image}})[0]',
    ),
    "torch-export": (
        "import torch",
        'network = torch.export.load("{file}").module()',
        "output = network(torch.from_numpy(image)).numpy()",
    ),
    "safetensors": (
        "import daf_export, torch",
        'network = daf_export.load("{file}")',
        "output = network(torch.from_numpy(image)).detach().numpy()",
    ),
}


def card(run: "Run", one: Exportable, format: str, file: str, differences: Sequence[SizeDifference]) -> str:
    """The page, Markdown."""
    results, recipe = run.results, run.recipe
    facts = "".join(f"| `{key}` | {_cell(value)} |\n" for key, value in one.metadata().items() if key != "component")
    apart = "".join(f"| {one.size[0]} x {one.size[1]} | {one.largest:.2g} | {one.mean:.2g} |\n" for one in differences)
    scores = "".join(
        f"| {_cell(row['method'])} | {_percent(row['mIoU'])} | {_percent(row['content_preservation'])} |\n"
        for row in results.table()
    )
    what = "A segmenter that gives every pixel of an image a class."
    if one.kind == GENERATOR:
        what = "A generator that shows images of the source domain as the target domain would."
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

Images: {counts}. Classes: {_cell(", ".join(results.classes))}. Source and target are the recipe's, below.

## Metrics

Percent, on the target's test set, of the task model that was trained on each row's images. *Content preservation* is
the mIoU, on translated source images, of a model trained on the target's labels.

| row | mIoU | content preservation |
| --- | ---: | ---: |
{scores}
## Parity

The file against the network it was made from, on even and photograph-like images: allowed {bound_of(one)}.

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
    lines = (
        f"- Height and width must be multiples of {one.multiple} and {one.smallest} or more: padding is not part of "
        "the network.\n"
    )
    if format == "onnx" and one.multiple > 1:
        lines += "- Nothing in the file refuses another size: the output then has another size too, and is wrong.\n"
    return lines


def _code(one: Exportable, format: str, file: str) -> str:
    """Lines that apply the file to image.png and write output.png."""
    library, opened, run = (line.format(file=file) for line in _OPEN[format])
    fixed = one.size or (tuple(map(int, one.facts["resize"].split())) if "resize" in one.facts else None)
    resized = f".resize({(fixed[1], fixed[0])})" if fixed else ""
    pad = f"""\
(height, width), (multiple, smallest) = image.shape[2:], ({one.multiple}, {one.smallest})
below, right = (-(-max(side, smallest) // multiple) * multiple - side for side in (height, width))
image = np.pad(image, ((0, 0), (0, 0), (0, below), (0, right)), "edge")
"""
    cut = "[0]" if one.size else "[0, :, :height, :width]"
    pixels = "((output.transpose(1, 2, 0) + 1) * 127.5).round()" if one.kind == GENERATOR else "output.argmax(0)"
    return f"""\
{library}
import numpy as np
from PIL import Image
{opened}
image = np.asarray(Image.open("image.png").convert("RGB"){resized}, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
{"" if one.size else pad}{run}{cut}
Image.fromarray({pixels}.astype(np.uint8)).save("output.png")"""


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def _cell(text: str) -> str:
    """``text`` as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
