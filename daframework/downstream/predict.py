"""Predict the labels of a folder of images, as PNG files that other tools read."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from daframework.data.decode import read_image, write_image, write_label
from daframework.data.outputs import planned_outputs
from daframework.data.prepared import resize_image
from daframework.data.stream import to_float
from daframework.data.whole import apply_padded
from daframework.session import Session, StoppedError


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
    overwrite: bool,
) -> int:
    """Write what ``model`` sees in every image below ``images`` to the same path below ``out``, as .png; how many.

    ``values`` hold what is written for each class: (num_classes,) uint8 ids, or (num_classes, 3) uint8 colours. An
    image is brought to ``resize``, as in training, and its logits back to its own size, bilinearly, before the
    greatest is taken: a prediction covers its image pixel by pixel. ``multiple`` is the model's.

    Raises:
        DataError: there is no image, one cannot be read, two would become one file, or a file is there already and
            ``overwrite`` is off; of the last two nothing is written at all.
        StoppedError: the user asked to stop; the files written so far are whole.
    """
    planned = planned_outputs(images, out, lambda path: path.with_suffix(".png"), overwrite=overwrite)
    session.log.begin("predicting", len(planned), 0)
    for done, (path, output) in enumerate(planned, start=1):
        image = read_image(path)
        seen = image if resize is None else resize_image(image, resize)
        logits = apply_padded(model, to_float(seen[None].to(session.fabric.device)), multiple)
        if logits.shape[-2:] != image.shape[-2:]:
            logits = interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)
        written = values[logits.argmax(1)[0].cpu()]
        if written.ndim == 2:
            write_label(output, written)
        else:
            write_image(output, written.permute(2, 0, 1).contiguous())
        session.log.advance(done)
        if session.stopping():
            raise StoppedError(f"stopped after {done} of {len(planned)} images")
    return len(planned)
