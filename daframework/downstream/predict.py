"""Predict the labels of a folder of images, as files that other tools read."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn.functional import interpolate

from daframework.compute.session import Session
from daframework.data.checked import resize_image
from daframework.data.conversion.outputs import planned_outputs, raise_it
from daframework.data.decode import read_image, write_any
from daframework.data.scaling import Scaling
from daframework.data.stream import to_float
from daframework.data.whole import apply_padded
from daframework.errors import DataError, StoppedError
from daframework.interfaces import Task


@torch.no_grad()
def predicted(task: Task, model: nn.Module, image: Tensor, *, resize: Sequence[int] | None) -> Tensor:
    """The label that ``model`` gives an image (3, H, W) uint8, of any size: of classes, the index of each pixel's.

    The image is brought to ``resize``, as in training, and logits back to its own size, bilinearly, before the greatest
    is taken; other labels come back as their type is resized. So a prediction covers its image pixel by pixel.
    """
    seen = image if resize is None else resize_image(image, resize)
    found = apply_padded(model, to_float(seen[None]), task.multiple, task.smallest)
    size, own = image.shape[-2:], seen.shape[-2:]
    if found.ndim == 4 and found.shape[-2:] == own != size:
        found = interpolate(found, size, mode="bilinear", align_corners=False)
    label = task.predicted(found)
    return (task.label_type.resized(label, size) if label.shape[-2:] == own != size else label)[0]


@frozen
class Written:
    """What is written of a label: ``make`` gives ids (H, W) or colours (3, H, W) uint8 for .png, numbers for .npy."""

    suffix: str
    make: Callable[[Tensor], Tensor]


@torch.no_grad()
def predict_folder(
    session: Session,
    task: Task,
    model: nn.Module,
    images: Path,
    out: Path,
    *,
    written: Written,
    resize: Sequence[int] | None,
    overwrite: bool,
    scaling: Scaling | None = None,
    failed: Callable[[DataError], None] = raise_it,
) -> int:
    """Write what ``model`` sees in every image below ``images`` to the same path below ``out``; how many.

    ``resize`` is that of `predicted`, ``scaling`` is for images of 16 bits. What is wrong with an image that cannot be
    read is handed to ``failed``, and the others are written.

    Raises:
        DataError: an image cannot be read and ``failed`` raises that, or a file cannot be written; or, and then nothing
            is written at all, as `planned_outputs` does.
        StoppedError: the user asked to stop; the files written so far are whole.
    """
    planned = planned_outputs(images, out, lambda path: path.with_suffix(written.suffix), overwrite=overwrite)
    session.log.begin("predicting", len(planned), 0)

    bad = 0
    for done, (path, output) in enumerate(planned, start=1):
        try:
            image = torch.from_numpy(read_image(path, scaling=scaling))
        except DataError as error:
            bad += 1
            failed(error)
        else:
            device = session.fabric.device
            write_any(output, written.make(predicted(task, model, image.to(device), resize=resize).cpu()))
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {len(planned)} images")
    return len(planned) - bad
