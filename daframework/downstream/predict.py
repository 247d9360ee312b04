"""Predict the labels of a folder of images, as PNG files that other tools read."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from daframework.compute.session import Session
from daframework.data.checked import resize_image
from daframework.data.conversion.outputs import planned_outputs, raise_it
from daframework.data.decode import read_image, write_image, write_label
from daframework.data.scaling import Scaling
from daframework.data.stream import to_float
from daframework.data.whole import apply_padded
from daframework.errors import DataError, StoppedError


@torch.no_grad()
def predicted(model: nn.Module, image: Tensor, *, resize: Sequence[int] | None, multiple: int, smallest: int) -> Tensor:
    """The most probable class of each pixel of an image (3, H, W) uint8, of any size: (H, W) int64.

    The image is brought to ``resize``, as in training, and its logits back to its own size, bilinearly, before the
    greatest is taken: a prediction covers its image pixel by pixel. ``multiple`` and ``smallest`` are the task's.
    """
    seen = image if resize is None else resize_image(image, resize)
    logits = apply_padded(model, to_float(seen[None]), multiple, smallest)
    if logits.shape[-2:] != image.shape[-2:]:
        logits = interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
    return logits.argmax(1)[0]


@torch.no_grad()
def predict_folder(
    session: Session,
    model: nn.Module,
    images: Path,
    out: Path,
    *,
    values: Tensor,
    resize: Sequence[int] | None,
    multiple: int,
    smallest: int = 1,
    overwrite: bool,
    scaling: Scaling | None = None,
    failed: Callable[[DataError], None] = raise_it,
) -> int:
    """Write what ``model`` sees in every image below ``images`` to the same path below ``out``, as .png; how many.

    ``values`` hold what is written for each class: (num_classes,) uint8 ids, or (num_classes, 3) uint8 colours;
    ``resize``, ``multiple`` and ``smallest`` are those of `predicted`, ``scaling`` is for images of 16 bits. What is
    wrong with an image that cannot be read is handed to ``failed``, and the others are written.

    Raises:
        DataError: an image cannot be read and ``failed`` raises that, or a file cannot be written; or, and then nothing
            is written at all, as `planned_outputs` does.
        StoppedError: the user asked to stop; the files written so far are whole.
    """
    planned = planned_outputs(images, out, lambda path: path.with_suffix(".png"), overwrite=overwrite)
    session.log.begin("predicting", len(planned), 0)

    bad = 0
    for done, (path, output) in enumerate(planned, start=1):
        try:
            image = read_image(path, scaling=scaling)
        except DataError as error:
            bad += 1
            failed(error)
        else:
            device = session.fabric.device
            found = predicted(model, image.to(device), resize=resize, multiple=multiple, smallest=smallest)
            written = values[found.cpu()]
            if written.ndim == 2:
                write_label(output, written)
            else:
                write_image(output, written.permute(2, 0, 1).contiguous())
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {len(planned)} images")
    return len(planned) - bad
