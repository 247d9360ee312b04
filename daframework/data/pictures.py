"""Images as scripts have them: PIL images, numpy arrays and tensors, to what networks take and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from daframework.data.stream import to_bytes, to_float
from daframework.errors import DataError

_KINDS = (
    "a PIL image, a numpy array (H, W, 3) or (N, H, W, 3) of uint8 or of floats in [0, 1], or a tensor (3, H, W) or "
    "(N, 3, H, W) of uint8 or of floats in [-1, 1]"
)


def to_network(picture: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """An image or a batch of one size as (N, 3, H, W) float32 in [-1, 1], and what turns such a batch into its kind.

    Raises:
        DataError: it is none of the kinds that are read, or not in their range.
    """
    if isinstance(picture, Image.Image):
        if picture.mode.startswith(("I", "F")):
            remedy = "scale its values, and give an array of uint8 or of floats in [0, 1]"
            raise DataError(f"a PIL image of mode {picture.mode} does not say what is black and what white; {remedy}")
        images = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None]
        return to_float(images), lambda made: Image.fromarray(_array(to_bytes(made))[0])
    if isinstance(picture, np.ndarray) and picture.ndim in (3, 4) and picture.shape[-1] == 3:
        array = picture[None] if picture.ndim == 3 else picture
        owned = np.require(array, requirements=["C", "W"])  # a copy of what is read-only
        images = torch.from_numpy(owned).permute(0, 3, 1, 2)
        if picture.dtype == np.uint8:
            return to_float(images), lambda made: _array(to_bytes(made)).reshape(picture.shape)
        if np.issubdtype(picture.dtype, np.floating):
            shown = _within(images.float(), 0, 1) * 2 - 1
            return shown, lambda made: _array((made + 1) / 2).reshape(picture.shape).astype(picture.dtype)
    if isinstance(picture, Tensor) and picture.ndim in (3, 4) and picture.shape[-3] == 3:
        images = picture[None] if picture.ndim == 3 else picture
        if picture.dtype == torch.uint8:
            return to_float(images), lambda made: to_bytes(made).view(picture.shape).to(picture.device)
        if picture.is_floating_point():
            return _within(images.float(), -1, 1), lambda made: made.reshape(picture.shape).to(picture)
    shape = f" of shape {tuple(picture.shape)} and {picture.dtype}" if hasattr(picture, "dtype") else ""
    raise DataError(f"an image must be {_KINDS}, got {type(picture).__name__}{shape}")


def _array(images: Tensor) -> Any:
    return images.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _within(images: Tensor, low: float, high: float) -> Tensor:
    least, most = float(images.min()), float(images.max())
    if not (low <= least and most <= high):
        raise DataError(f"an image must be {_KINDS}, got floats from {least:g} to {most:g}")
    return images
