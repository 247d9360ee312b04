"""An image that somebody sent, decoded: any that Pillow reads as one, in any mode; nothing of it is trusted."""

import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from daframework.errors import DataError, one_line, visible

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MOST_BYTES = 32 * 2**20
MOST_PIXELS = 24_000_000
SIDE = 1024
"""Pixels of the longer side that an image is shrunk to: of more, a network would take minutes and gigabytes."""


def decode(file: BinaryIO) -> tuple[Image.Image, list[str]]:
    """The image in ``file``, upright, RGB, its longer side at most `SIDE`; and what was done to it, a line each.

    Raises:
        DataError: it is no image, damaged, or too large.
    """
    try:
        # What Pillow warns of, such as many pixels, is an error here or does not matter.
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise DataError(_too_large(f"{width * height / 1e6:.1f} megapixels ({width} x {height})"))
            notes = []
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # a JPEG with a preview behind it
                notes.append(f"it holds {frames} frames, of which this is the first")
                image.seek(0)
            # Of several channels, Pillow keeps the high bytes and says so nowhere but here.
            if image.mode == "I" or (image.format in ("PNG", "TIFF") and ";16" in str(image.tile)):
                notes.append("its 16 bits a channel became 8")
            # A JPEG is decoded no larger than needed.
            image.draft("RGB", (SIDE, SIDE))
            rgb = _as_rgb(_upright(image), notes)
            if max(rgb.size) > SIDE:
                rgb.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
            if max(width, height) > SIDE:
                notes.append(
                    f"shrunk from {width} x {height} to {rgb.width} x {rgb.height} pixels (daf translate does not)"
                )
            return rgb, notes
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(_too_large("far too many pixels")) from error
    except UnidentifiedImageError as error:
        raise DataError("this is not an image; drop a PNG, JPEG, WebP, BMP, GIF or TIFF file") from error
    except Exception as error:  # of a stranger's file, a decoder may raise anything
        said = visible(one_line(error))
        raise DataError(f"this image is damaged or of a rare kind ({said}); save it anew as PNG or JPEG") from error


def _too_large(got: str) -> str:
    allowed = f"more than the {MOST_PIXELS / 1e6:.0f} megapixels allowed here"
    return f"this image holds {got}, {allowed}; shrink it, or use daf translate --tile"


def _upright(image: Image.Image) -> Image.Image:
    """As its EXIF orientation says, where that can be read."""
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, KeyError, TypeError, IndexError, OverflowError):
        image.load()
        return image


def _as_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise DataError("this image holds decimal numbers of unknown range; save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        notes.append("what is transparent in it became white")
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    if image.mode not in ("RGB", "L", "P", "1"):
        notes.append(f"its colours ({image.mode}) became RGB")
    return image.convert("RGB")
