"""PNG labels of 16 bits a channel and several channels, as SYNTHIA has them: class id first, instance id second.

Pillow opens such a file in an 8-bit mode and keeps the high byte of each value, which is 0 for every id below 256: a
label of nothing but void, and no error (python-pillow/Pillow#1888). So the file is first narrowed to its first channel,
on the file's own terms: PNG filters work byte by byte, each byte with the one at its place in the pixel before and in
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
from PIL import Image
from torch import Tensor

from daframework.data.decode import PNG_SIGNATURE, image_size, png_chunks, read_label
from daframework.errors import DataError

_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, compression, filter method, interlace
_CHANNELS = {2: 3, 4: 2, 6: 4}  # colour type: RGB, grey with alpha, RGB with alpha
_GREY = 0


def read_first_channel(path: Path) -> Tensor:
    """Decode the ids in a PNG's first channel to (H, W) int32, where it has several channels of 16 bits.

    A PNG of one channel is read as by `read_label`, which refuses 8-bit colours.

    Raises:
        DataError: the file cannot be read, is no PNG of ids, or is interlaced.
    """
    image_size(path)  # says in one line what is wrong with a file that is missing, forbidden, empty or far too large
    content = path.read_bytes()
    if not content.startswith(PNG_SIGNATURE):
        return read_label(path)
    *_, bits, colour, _, _, interlace = _HEADER.unpack_from(content, 16)
    if bits != 16 or colour not in _CHANNELS:
        return read_label(path)
    if interlace:
        raise DataError(f"{path}: an interlaced PNG of several channels is not supported; save it without interlacing")
    try:
        with Image.open(BytesIO(_first_channel(content)), formats=("PNG",)) as image:
            ids = np.array(image)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged ({error}); copy or download it again") from error
    return torch.from_numpy(ids.astype(np.int32))


def _first_channel(content: bytes) -> bytes:
    """A PNG of several 16-bit channels -> the 16-bit grey PNG of the first."""
    width, height, bits, colour, *methods = _HEADER.unpack_from(content, 16)
    step = 2 * _CHANNELS[colour]
    size = height * (1 + width * step)  # each row begins with the number of its filter
    pixels = b"".join(data for kind, data in png_chunks(content) if kind == b"IDAT")
    filtered = zlib.decompressobj().decompress(pixels, size)
    if len(filtered) != size:
        raise ValueError(f"{len(filtered)} of {size} bytes of pixels")
    rows = np.frombuffer(filtered, np.uint8).reshape(height, -1)
    first = rows[:, 1:].reshape(height, width, step)[:, :, :2].reshape(height, -1)
    narrow = np.concatenate((rows[:, :1], first), axis=1).tobytes()
    chunks = (
        (b"IHDR", _HEADER.pack(width, height, bits, _GREY, *methods)),
        (b"IDAT", zlib.compress(narrow, 0)),  # level 0 only wraps it: it is read again at once
        (b"IEND", b""),
    )
    return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
