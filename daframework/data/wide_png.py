"""PNG labels of 16 bits a channel and several channels, as SYNTHIA has them: class id first, instance id second.

Pillow opens such a file in an 8-bit mode and keeps the high byte of each value, which is 0 for every id below 256: a
label of nothing but void, and no error (python-pillow/Pillow#1888). So the file is first narrowed to one channel, on
the file's own terms: PNG filters work byte by byte, each byte with the one at its place in the pixel before and in
the row above, so that cutting a byte's place out of every filtered pixel leaves rows that are still filtered rightly.
What remains is a 16-bit grey PNG, which Pillow reads whole. Nothing is computed per pixel in Python, and nothing hangs
on how Pillow names or handles its inner modes. torchvision reads such files too, but only from 0.21 on, and has
deprecated its decoders in 0.29.
"""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from attrs import frozen
from PIL import Image
from torch import Tensor

from daframework.data.decode import PNG_SIGNATURE, image_size, png_chunks, read_label
from daframework.errors import DataError

_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, compression, filter method, interlace
_CHANNELS = {2: 3, 4: 2, 6: 4}  # colour type: RGB, grey with alpha, RGB with alpha
_WITH_ALPHA = (4, 6)
_GREY = 0
_START = 29  # bytes up to the end of the header


@frozen
class Header:
    """The ``bits`` of a value in a PNG, and whether a pixel is ``grey``: one value, with no palette."""

    bits: int
    grey: bool


def png_header(path: Path) -> Header | None:
    """The header of a PNG; None for any other image.

    Raises:
        DataError: the file cannot be read, or is no image.
    """
    image_size(path)  # says in one line what is wrong with a file that is missing, forbidden, empty or far too large
    with path.open("rb") as file:
        start = file.read(_START)
    if not start.startswith(PNG_SIGNATURE):
        return None
    *_, bits, colour, _, _, _ = _HEADER.unpack_from(start, 16)
    return Header(bits, colour == _GREY)


def read_first_channel(path: Path) -> Tensor:
    """Decode the ids in a PNG's first channel to (H, W) int32, where it has several channels of 16 bits.

    A PNG of one channel is read as by `read_label`, which refuses 8-bit colours.

    Raises:
        DataError: the file cannot be read, is no PNG of ids, or is interlaced.
    """
    header = png_header(path)
    if header is None or header.bits != 16 or header.grey:
        return read_label(path)
    return read_wide_channel(path, 0)[0]


def read_wide_channel(path: Path, place: int) -> tuple[Tensor, Tensor | None]:
    """Decode channel ``place`` of a PNG of several 16-bit channels, and its alpha if it has one: (H, W) int32 each.

    Grey with alpha has the same red, green and blue.

    Raises:
        DataError: the file is damaged or interlaced.
    """
    content = path.read_bytes()
    *_, colour, _, _, interlace = _HEADER.unpack_from(content, 16)
    if interlace:
        raise DataError(f"{path}: an interlaced PNG of several channels is not supported; save it without interlacing")
    last = _CHANNELS[colour] - 1
    with_alpha = colour in _WITH_ALPHA
    try:
        ids = _decode(content, place if last >= 2 else 0)
        return ids, _decode(content, last) if with_alpha else None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged ({error}); copy or download it again") from error


def _decode(content: bytes, place: int) -> Tensor:
    with Image.open(BytesIO(_one_channel(content, place)), formats=("PNG",)) as image:
        return torch.from_numpy(np.array(image).astype(np.int32))


def _one_channel(content: bytes, place: int) -> bytes:
    """A PNG of several 16-bit channels -> the 16-bit grey PNG of one of them."""
    width, height, bits, colour, *methods = _HEADER.unpack_from(content, 16)
    step = 2 * _CHANNELS[colour]
    size = height * (1 + width * step)  # each row begins with the number of its filter
    pixels = b"".join(data for kind, data in png_chunks(content) if kind == b"IDAT")
    filtered = zlib.decompressobj().decompress(pixels, size)
    if len(filtered) != size:
        raise ValueError(f"{len(filtered)} of {size} bytes of pixels")
    rows = np.frombuffer(filtered, np.uint8).reshape(height, -1)
    chosen = rows[:, 1:].reshape(height, width, step)[:, :, 2 * place : 2 * place + 2].reshape(height, -1)
    narrow = np.concatenate((rows[:, :1], chosen), axis=1).tobytes()
    chunks = (
        (b"IHDR", _HEADER.pack(width, height, bits, _GREY, *methods)),
        (b"IDAT", zlib.compress(narrow, 0)),  # level 0 only wraps it: it is read again at once
        (b"IEND", b""),
    )
    return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
