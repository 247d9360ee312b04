"""Read and write image and label files; everything that can be wrong with a file is a `DataError` that names it."""

import shlex
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from daframework.errors import DataError
from daframework.whole_file import write_whole

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""File name endings of images, in lower case. A label is always a PNG."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""What every PNG begins with."""

_IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "WEBP")
_MAX_PIXELS = 89_478_485  # as Pillow: 256 MiB of RGB; a file of a few kilobytes can claim to hold more
_DAMAGED = (SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow lets through
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: Path) -> Tensor:
    """Decode an image file to (3, H, W) uint8 RGB, turned upright as its EXIF orientation says.

    Grey and palette images become RGB. An alpha channel is dropped if it hides nothing.

    Raises:
        DataError: the file cannot be read, is no image, has transparent pixels, several frames, or another colour mode.
    """
    with _opened(path, _IMAGE_FORMATS) as image:
        _check_whole(image, path)
        upright = _upright(image)
        pixels = np.array(_as_rgb(upright, path))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_label(path: Path) -> Tensor:
    """Decode a PNG of ids to (H, W): uint8, or int32 for a 16-bit file. A palette PNG gives its indices.

    Raises:
        DataError: the file cannot be read, is no PNG, or holds colours instead of ids.
    """
    with _opened(path, ("PNG",)) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16"):
            raise DataError(
                f"{path}: a label image must hold class ids, this one holds colours (mode {image.mode}); if one "
                'channel holds the ids, take an image_folder with channel = "red", else turn them into ids with: '
                f"daf data convert {shlex.quote(str(path.parent))} OUT --from-colours SPACE --to SPACE"
            )
        _check_whole(image, path)
        # Pillow stretches 2- and 4-bit grey to 0..255, which would turn id 1 into 85 or 17.
        stretch = {"L;2": 85, "L;4": 17}.get(_raw_mode(image))
        ids = np.array(_upright(image))
    if stretch:
        ids //= stretch
    return torch.from_numpy(ids.astype(np.uint8 if ids.dtype == np.bool_ or ids.dtype == np.uint8 else np.int32))


def read_rgba(path: Path) -> Tensor:
    """Decode an image file to (4, H, W) uint8 RGB and alpha, for labels whose colours stand for something.

    Raises:
        DataError: the file cannot be read, is no image, has several frames, or another colour mode.
    """
    with _opened(path, _IMAGE_FORMATS) as image:
        _check_whole(image, path)
        _check_mode(image, path)
        if "16" in _raw_mode(image):  # Pillow would keep the high byte of each value
            raise DataError(f"{path}: colours of 16 bits a channel are not supported; save it with 8")
        pixels = np.array(_upright(image).convert("RGBA"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image or label file in pixels, as read here; only its header is read.

    Raises:
        DataError: the file cannot be read or is no image.
    """
    with _opened(path, _IMAGE_FORMATS) as image:
        turned = _orientation(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and data of each chunk of a PNG, up to the one that ends it.

    Raises:
        ValueError: it is no PNG, ends early, or a chunk has not the checksum that it carries.
    """
    view, place, kind = memoryview(content), len(PNG_SIGNATURE), b""
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError("no PNG")
    while kind != b"IEND":
        begin = place + 8  # behind the length and the kind; the checksum covers the kind and the data
        end = begin + int.from_bytes(view[place : place + 4], "big")
        kind = bytes(view[place + 4 : begin])
        if end + 4 > len(content):
            raise ValueError("it ends early")
        if int.from_bytes(view[end : end + 4], "big") != zlib.crc32(view[place + 4 : end]):
            raise ValueError(f"broken checksum of {kind!r}")
        yield kind, view[begin:end]
        place = end + 4


def write_image(path: Path, image: Tensor) -> None:
    """Write (3, H, W) uint8 RGB as .png, or as .jpg with quality 95 and full colour resolution (4:4:4).

    The file appears whole or not at all; missing folders are made.

    Raises:
        DataError: the file cannot be written.
        ValueError: the tensor or the file name's ending is another.
    """
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"an image to write must be (3, H, W) uint8, got {tuple(image.shape)} {image.dtype}")
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    suffix = path.suffix.lower()
    if suffix == ".png":
        # Level 1 writes several times faster than the default and costs little space on photographs.
        _write(path, lambda file: picture.save(file, "PNG", compress_level=1))
    elif suffix in (".jpg", ".jpeg"):
        _write(path, lambda file: picture.save(file, "JPEG", quality=95, subsampling=0))
    else:
        raise ValueError(f"an image is written as .png or .jpg, got '{path.name}'")


def write_label(path: Path, label: Tensor) -> None:
    """Write (H, W) uint8 ids as a one-channel .png; whole or not at all; missing folders are made.

    Raises:
        DataError: the file cannot be written.
        ValueError: the tensor or the file name's ending is another.
    """
    if label.dtype != torch.uint8 or label.ndim != 2:
        raise ValueError(f"a label to write must be (H, W) uint8, got {tuple(label.shape)} {label.dtype}")
    if path.suffix.lower() != ".png":
        raise ValueError(f"a label is written as .png, which loses nothing, got '{path.name}'")
    picture = Image.fromarray(label.contiguous().cpu().numpy())
    _write(path, lambda file: picture.save(file, "PNG"))


def map_ids(label: Tensor, table: Mapping[int, int], *, where: str) -> Tensor:
    """Replace raw ids (H, W), 0 to 65535, by ``table[id]``, a class index or 255 (ignore); (H, W) uint8.

    ``where`` names the label in the message, as its file does.

    Raises:
        DataError: the label holds an id that the table does not map.
    """
    mapped_values = set(table.values())
    unmapped = next(value for value in range(256) if value not in mapped_values)
    lookup = torch.full((256 if label.dtype == torch.uint8 else 65536,), unmapped, dtype=torch.uint8)
    for raw, index in table.items():
        if raw < len(lookup):
            lookup[raw] = index
    mapped = lookup.index_select(0, label.flatten().int()).view_as(label)
    if bool((mapped == unmapped).any()):
        ids, counts = np.unique(label[mapped == unmapped].numpy(), return_counts=True)
        raise DataError(_unmapped(dict(zip(ids.tolist(), counts.tolist(), strict=True)), table, where))
    return mapped


def _unmapped(found: Mapping[int, int], table: Mapping[int, int], where: str) -> str:
    shown = [f"{raw} ({count} pixels)" for raw, count in found.items()][:5]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    what, verb, it = ("id", "is", "it") if len(found) == 1 else ("ids", "are", "them")
    return (
        f"{where}: {what} {', '.join(shown)}{more} {verb} not in the id map (known: {_ranges(sorted(table))}); "
        f"map {it} to a class or to ignore"
    )


def _ranges(ids: list[int]) -> str:
    """0, 1, 2, 7 -> ``0..2, 7``."""
    runs: list[list[int]] = []
    for raw in ids:
        if runs and raw == runs[-1][-1] + 1:
            runs[-1][1:] = [raw]
        else:
            runs.append([raw])
    return ", ".join("..".join(map(str, run)) for run in runs) or "none"


@contextmanager
def _opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """The file opened by Pillow, header read; what goes wrong on opening or decoding becomes a `DataError`."""
    try:
        with Image.open(path, formats=formats) as image:
            # Pillow calls a camera's JPEG with a preview behind it MPO: its first frame is the picture.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise DataError(f"{path}: holds several frames; save each as a file of its own")
            if image.width * image.height > _MAX_PIXELS:
                raise DataError(_too_large(path, f"{image.width} x {image.height} pixels"))
            yield image
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: no such file; check the dataset's folders, or fetch the file again") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, not an image file; check the dataset's folders") from error
    except PermissionError as error:
        raise DataError(f"{path}: may not be read (permission denied); allow it with chmod") from error
    except UnidentifiedImageError as error:
        raise DataError(_unidentified(path, formats)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_too_large(path, "far too many pixels")) from error
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"{path}: cannot be read ({_line(error)})") from error
        raise DataError(f"{path}: truncated or damaged ({_line(error)}); copy or download it again") from error
    except _DAMAGED as error:
        raise DataError(f"{path}: truncated or damaged ({_line(error)}); copy or download it again") from error


def _check_whole(image: Image.Image, path: Path) -> None:
    """Look at a PNG's checksums: Pillow passes over those of its pixels, and a bit that turned over may decode."""
    if image.format == "PNG":
        for _ in png_chunks(path.read_bytes()):
            pass


def _unidentified(path: Path, formats: tuple[str, ...]) -> str:
    if path.stat().st_size == 0:
        return f"{path}: the file is empty (0 bytes); copy or download it again"
    if formats == ("PNG",):
        return f"{path}: not a PNG file; a label must be a PNG, since other formats change ids"
    return f"{path}: not an image (known: {', '.join(formats)}); copy or download it again"


def _too_large(path: Path, got: str) -> str:
    return f"{path}: holds {got}, more than the {_MAX_PIXELS} allowed; cut or shrink it"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info:  # asking for it would decode a whole PNG
        return 1
    orientation = image.getexif().get(_ORIENTATION)
    return orientation if orientation in _TRANSPOSE else 1


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, such as ``L;4``; known until they are decoded."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0].args) if tiles else ""


def _upright(image: Image.Image) -> Image.Image:
    method = _TRANSPOSE.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _as_rgb(image: Image.Image, path: Path) -> Image.Image:
    _check_mode(image, path)
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise DataError(f"{path}: has transparent pixels; flatten it onto a background first")
    return image if image.mode == "RGB" else image.convert("RGB")


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"{path}: colour mode {image.mode} is not supported; convert it to 8-bit RGB first")


def _write(path: Path, save: Callable[[BinaryIO], object]) -> None:
    try:
        write_whole(path, save, shared=True, synced=False)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({_line(error)}); check the disk's space and the folder's rights"
        ) from error
