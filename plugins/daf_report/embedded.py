"""Pictures that a page carries inside itself: WebP as ``data:`` addresses, scaled so that no page grows without end."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor

from daframework.interfaces import IGNORE_INDEX

_SHRINK = 0.75  # of the width, while a picture is too large


@frozen
class Picture:
    """An address that holds the picture itself, its size in pixels, and the words for who does not see it."""

    src: str
    width: int
    height: int
    alt: str


def photo(image: ArrayLike, alt: str, *, width: int = 640, most: int = 120_000) -> Picture:
    """An image (3, H, W) uint8 of the CPU, at most ``width`` pixels wide and ``most`` bytes large."""
    pixels = np.ascontiguousarray(np.asarray(image).transpose(1, 2, 0))
    return _embedded(Image.fromarray(pixels), alt, width, most, lossless=False)


def class_map(
    label: Tensor, palette: Sequence[tuple[int, int, int]], alt: str, *, width: int = 640, most: int = 60_000
) -> Picture:
    """Class indices (H, W) in their colours, as `photo`; ignored pixels are transparent."""
    colours = np.zeros((IGNORE_INDEX + 1, 4), dtype=np.uint8)
    colours[: len(palette)] = [(*colour, 255) for colour in palette]
    pixels = Image.fromarray(colours[label.cpu().numpy()])
    return _embedded(pixels, alt, width, most, lossless=True)


def _embedded(pixels: Image.Image, alt: str, width: int, most: int, *, lossless: bool) -> Picture:
    filter = Image.Resampling.NEAREST if lossless else Image.Resampling.LANCZOS
    wide = min(width, pixels.width)
    while True:
        size = (wide, max(1, round(pixels.height * wide / pixels.width)))
        pixels.resize(size, filter).save(buffer := io.BytesIO(), "WEBP", lossless=lossless, quality=80, method=4)
        if buffer.tell() <= most or wide == 1:
            break
        wide = max(1, int(wide * min(_SHRINK, (most / buffer.tell()) ** 0.5)))
    return Picture(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", *size, alt)
