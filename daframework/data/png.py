"""The chunks of a PNG file that its picture hangs on, and its values where they have 16 bits.

Text, colour profiles, dates and the like are passed over unread: damage in them, or too much of them, is no damage to
the picture. So is orientation that cannot be read.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""What every PNG begins with."""

_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, compression, filter method, interlace
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type: grey, RGB, grey with alpha, RGB with alpha
_GREY = 0
_TRANSPARENT = b"tRNS"
_WELCOME = (b"eXIf", b"acTL", b"fcTL", b"fdAT")  # orientation, and what tells an animation: read where they are sound


def png_chunks(file: BinaryIO, *, head: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk that matters to the picture, from the file's beginning to the chunk that ends it.

    With ``head`` up to the pixels: no more is read.

    Raises:
        ValueError: it is no PNG, ends early, or a chunk of the picture has not the checksum that it carries.
    """
    size, kind = file.seek(0, os.SEEK_END), b""
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise ValueError("no PNG")
    while kind != b"IEND":
        begin = file.read(8)
        length, kind = int.from_bytes(begin[:4], "big"), begin[4:]
        if head and kind == b"IDAT":
            return
        if file.tell() + length + 4 > size:
            raise ValueError("it ends early")
        needed = kind[:1].isupper() or kind == _TRANSPARENT
        if not needed and kind not in _WELCOME:
            file.seek(length + 4, os.SEEK_CUR)
            continue
        data = file.read(length)
        if int.from_bytes(file.read(4), "big") == zlib.crc32(data, zlib.crc32(kind)):
            yield kind, data
        elif needed:
            raise ValueError(f"broken checksum of {kind!r}")


def open_png(file: BinaryIO, *, head: bool = False) -> Image.Image:
    """The PNG with nothing but its picture, opened by Pillow; with ``head`` no more than that: no pixels are there.

    Raises:
        ValueError, SyntaxError: it is no PNG, ends early, or is damaged.
    """
    return _opened([*png_chunks(file, head=head), *([(b"IDAT", b"")] if head else [])])


def png_levels(file: BinaryIO) -> NDArray[np.uint16]:
    """The values of a PNG of 16 bits a channel, (H, W, channels), an alpha channel included; of several not interlaced.

    Pillow opens those of several channels in an 8-bit mode and keeps the high byte of each value (python-pillow/Pillow
    #1888). So each channel is first made a file of its own, on the file's own terms: PNG filters work byte by byte,
    each byte with the one at its place in the pixel before and in the row above, so that cutting a byte's place out of
    every filtered pixel leaves rows that are still filtered rightly. What remains is a 16-bit grey PNG, which Pillow
    reads whole. Nothing is computed per pixel in Python, and nothing hangs on how Pillow names or handles its inner
    modes. torchvision reads such files too, but only from 0.21 on, and has deprecated its decoders in 0.29.

    Raises:
        ValueError: it is no such PNG, or is damaged.
    """
    chunks = list(png_chunks(file))
    width, height, bits, colour, *methods = _HEADER.unpack(chunks[0][1])
    if bits != 16 or colour not in _CHANNELS:
        raise ValueError(f"colour type {colour} of {bits} bits")
    pixels = b"".join(data for kind, data in chunks if kind == b"IDAT")
    channels = _CHANNELS[colour]
    if channels == 1:
        return _grey((width, height, *methods), pixels)[..., None]
    step = 2 * channels
    size = height * (1 + width * step)  # each row begins with the number of its filter
    filtered = zlib.decompressobj().decompress(pixels, size)
    if len(filtered) != size:
        raise ValueError(f"{len(filtered)} of {size} bytes of pixels")
    rows = np.frombuffer(filtered, np.uint8).reshape(height, -1)
    values = rows[:, 1:].reshape(height, width, channels, 2)
    planes = []
    for channel in range(channels):
        narrow = np.concatenate((rows[:, :1], values[:, :, channel].reshape(height, -1)), axis=1).tobytes()
        planes.append(_grey((width, height, *methods), zlib.compress(narrow, 0)))  # level 0 only wraps it
    return np.stack(planes, axis=-1)


def _grey(header: tuple[int, ...], pixels: bytes) -> NDArray[np.uint16]:
    """The values of a grey PNG of 16 bits, put together from its ``header`` and compressed ``pixels``."""
    width, height, *methods = header
    chunks = [(b"IHDR", _HEADER.pack(width, height, 16, _GREY, *methods)), (b"IDAT", pixels), (b"IEND", b"")]
    with _opened(chunks) as image:
        return np.array(image).astype(np.uint16)


def _opened(chunks: Sequence[tuple[bytes, bytes]]) -> Image.Image:
    # Not `Image.open`, which has a limit of its own on pixels; here it is the caller's.
    return PngImageFile(BytesIO(SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
