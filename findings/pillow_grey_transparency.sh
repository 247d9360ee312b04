#!/usr/bin/env bash
# What surprises: of a grey PNG with 2 or 4 bits a pixel and one transparent value (tRNS), Pillow spreads the pixels over
# 0 to 255 and leaves the transparent value as it is in the file. convert("RGBA") then makes the wrong pixels transparent:
# those that should be stay opaque, without a word, and another grey that happens to equal the number becomes transparent.
#
# Why it matters here: renderers and annotation tools write small class ids as 2- or 4-bit grey and mark "not labelled"
# as transparent. Read through RGBA, as most tools do to find what is hidden, not-labelled pixels count as a class.
#
# Needs bash, python3 with venv, pip with access to PyPI. Exits 1 once it is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys
import zlib
from pathlib import Path

import PIL
from PIL import Image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def grey_png(path, bits, values, transparent):
    """A PNG of one row of grey values of so many bits, one of which is transparent."""
    packed = int("".join(f"{value:0{bits}b}" for value in values), 2) << (-len(values) * bits % 8)
    row = b"\0" + packed.to_bytes(-(-len(values) * bits // 8), "big")
    header = struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", struct.pack(">H", transparent)), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks))


print(f"Pillow {PIL.__version__}: values of a grey PNG, the transparent one, and the alpha of each pixel")
still = True
for bits in (2, 4, 8):
    values, transparent = [0, 1, 2, 3], 3
    path = Path(sys.argv[1]) / f"{bits}.png"
    grey_png(path, bits, values, transparent)
    with Image.open(path) as image:
        told = image.info["transparency"]
        alpha = list(image.convert("RGBA").getchannel("A").tobytes())
        pixels = list(image.tobytes())
    print(f"{bits} bits: {values}, {transparent} -> pixels {pixels}, transparency {told}, alpha {alpha}")
    right = [0 if value == transparent else 255 for value in values]
    still &= (alpha == right) == (bits == 8)
print("\nstill so" if still else "\nno longer so")
sys.exit(not still)
PYTHON
