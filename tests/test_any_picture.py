"""Pictures of every kind that Pillow writes, and some that it only reads, against another reading of their pixels.

PNG files are put together here, from values that are known; what Pillow writes of other formats loses nothing (WebP,
BMP) or is decoded by torchvision's libjpeg.
"""

import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from daframework.data.decode import image_size, read_image, read_label
from daframework.data.scaling import Scaling
from daframework.errors import DataError

MANY = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))  # Adam7
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
METADATA = {
    b"iCCP": b"sRGB\0\0" + zlib.compress(PROFILE),
    b"tEXt": b"Comment\0anything",
    b"zTXt": b"Comment\0\0" + zlib.compress(bytes(2**21)),
    b"gAMA": struct.pack(">I", 100_000),
}
# What is seen of a stored picture: its transposition or not, then rows and columns turned round or not.
SEEN = {
    1: lambda one: one,
    2: lambda one: one[:, ::-1],
    3: lambda one: one[::-1, ::-1],
    4: lambda one: one[::-1],
    5: lambda one: one.swapaxes(0, 1),
    6: lambda one: np.rot90(one, -1),
    7: lambda one: np.rot90(one.swapaxes(0, 1), 2),
    8: lambda one: np.rot90(one),
}


def exif(orientation):
    """Only the orientation, as a TIFF of big-endian numbers."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def chunk(kind, data, *, broken=False):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ broken)


def packed(values, bits):
    """(h, w, channels) values -> filtered rows, each with filter 0 before it."""
    rows = values.reshape(len(values), -1)
    if bits == 16:
        rows = rows.astype(">u2").view(np.uint8).reshape(len(values), -1)
    elif bits < 8:
        digits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
        rows = np.packbits(digits.reshape(len(values), -1), axis=-1)
    return b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in rows)


@st.composite
def pngs(draw, kinds=tuple(CHANNELS)):
    """A PNG's content, its values (H, W, channels), and what else it says."""
    colour = draw(st.sampled_from(kinds))
    bits = draw(st.sampled_from(DEPTHS[colour]))
    height, width = draw(st.integers(1, 64)), draw(st.integers(1, 64))
    interlaced, orientation = draw(st.booleans()), draw(st.integers(0, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = CHANNELS[colour]
    values = random.integers(0, 2**bits, (height, width, channels))
    if channels in (2, 4) and draw(st.booleans()):
        values[..., -1] = 2**bits - 1
    palette = random.integers(0, 256, (2**bits if colour == PALETTE else 0, 3))
    hidden = draw(st.sampled_from([None, "some", "none"])) if channels in (1, 3) else None
    alpha = None
    if hidden and colour == PALETTE:  # an alpha value for each colour, the last may be left out
        alpha = np.full(2**bits, 255)
        if hidden == "some":
            alpha[random.integers(0, 2**bits)] = random.integers(0, 255)
    elif hidden:  # a colour that is transparent: one that is there, or another
        alpha = values[-1, -1].copy()
        if hidden == "none":
            values[..., 0] = np.minimum(values[..., 0], 2**bits - 2)
            alpha[0] = 2**bits - 1
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    parts = (values[top::down, left::across] for top, left, down, across in passes)
    pixels = zlib.compress(b"".join(packed(part, bits) for part in parts if part.size))
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    for kind, data in METADATA.items():
        if draw(st.booleans()):
            content += chunk(kind, data, broken=draw(st.booleans()))
    if colour == PALETTE:
        content += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if alpha is not None:
        content += chunk(b"tRNS", alpha.astype(np.uint8 if colour == PALETTE else ">u2").tobytes())
    if orientation:
        content += chunk(b"eXIf", exif(orientation))
    cut = draw(st.integers(0, len(pixels)))
    content += chunk(b"IDAT", pixels[:cut]) + chunk(b"IDAT", pixels[cut:]) + chunk(b"IEND", b"")
    said = {"colour": colour, "bits": bits, "interlaced": interlaced, "orientation": orientation or 1}
    return b"\x89PNG\r\n\x1a\n" + content, values, palette, alpha, said


def colours_of(values, palette, alpha, said):
    """Red, green and blue (H, W, 3) in the file's own depth, and whether any pixel is transparent."""
    most = 2 ** said["bits"] - 1
    if said["colour"] == PALETTE:
        return palette[values[..., 0]], alpha is not None and bool((alpha[values] < 255).any())
    colours = values[..., :1] if said["colour"] in (GREY, GREY_ALPHA) else values[..., :3]
    hides = bool((values[..., -1] < most).any()) if said["colour"] in (GREY_ALPHA, RGB_ALPHA) else False
    if alpha is not None:
        hides = bool((values == alpha).all(-1).any())
    return np.repeat(colours, 3 // colours.shape[-1], axis=-1), hides


@MANY
@given(picture=pngs())
def test_every_png_is_read_as_its_pixels_say(tmp_path, picture):
    content, values, palette, alpha, said = picture
    (path := tmp_path / "a.png").write_bytes(content)
    seen, hides = colours_of(values, palette, alpha, said)
    seen = SEEN[said["orientation"]](seen)
    assert image_size(path) == seen.shape[:2]
    deep = said["bits"] == 16
    if deep:
        with pytest.raises(DataError, match="16 bits a channel"):
            read_image(path)
    scaling = Scaling(0, 65535) if deep else None
    if deep and said["interlaced"] and said["colour"] != GREY:
        with pytest.raises(DataError, match="an interlaced PNG of several channels is not supported"):
            read_image(path, scaling=scaling)
    elif hides:
        with pytest.raises(DataError, match="has transparent pixels"):
            read_image(path, scaling=scaling)
    else:
        most = 255 if said["colour"] == PALETTE else 2 ** said["bits"] - 1
        expected = np.round(seen * 255 / most)
        assert np.array_equal(read_image(path, scaling=scaling).transpose(1, 2, 0), expected)


@MANY
@given(picture=pngs(kinds=(GREY, PALETTE)))
def test_every_label_is_read_as_its_ids_say(tmp_path, picture):
    content, values, _, _, said = picture
    (path := tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(read_label(path), SEEN[said["orientation"]](values[..., 0]))


@settings(MANY, max_examples=60)
@given(
    mode=st.sampled_from(["1", "L", "P", "RGB", "RGBA"]),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    kind=st.sampled_from(["a.bmp", "a.webp", "a.jpg"]),
    orientation=st.integers(0, 8),
    profile=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_other_formats_are_read_as_another_reader_sees_them(tmp_path, mode, size, kind, orientation, profile, seed):
    image = pytest.importorskip("torchvision.io", reason="torchvision reads JPEG without Pillow")
    random, path = np.random.default_rng(seed), tmp_path / kind
    pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    if kind == "a.jpg" and mode in ("P", "RGBA"):
        picture = picture.convert("RGB")
    turned = {"exif": b"Exif\0\0" + exif(orientation)} if orientation and kind != "a.bmp" else {}
    coloured = {"icc_profile": PROFILE} if profile and kind != "a.bmp" else {}
    picture.save(path, **turned, **coloured, **({"lossless": True} if kind == "a.webp" else {}))
    stored = np.array(picture.convert("RGB"))
    if kind == "a.jpg":
        stored = image.decode_jpeg(torch.from_numpy(np.fromfile(path, np.uint8))).permute(1, 2, 0).numpy()
    found = read_image(path).transpose(1, 2, 0)
    expected = SEEN[orientation if turned else 1](stored)
    assert found.shape == (*expected.shape[:2], 3) and image_size(path) == expected.shape[:2]
    assert np.abs(found.astype(int) - expected).max() <= (2 if kind == "a.jpg" else 0)
