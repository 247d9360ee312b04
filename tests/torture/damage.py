"""Ways in which a file goes bad, each drawn from a seed, and whether what is left is still a file of its kind."""

import random
import tomllib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

Damage = Callable[[random.Random, Path, Sequence[Path]], str]


def flip(draw: random.Random, path: Path, _: Sequence[Path]) -> str:
    """One bit."""
    return _changed(path, [(draw.randrange(max(1, path.stat().st_size)), 1 << draw.randrange(8))])


def flip_several(draw: random.Random, path: Path, _: Sequence[Path]) -> str:
    size = max(1, path.stat().st_size)
    return _changed(path, [(draw.randrange(size), 1 << draw.randrange(8)) for _ in range(draw.randint(2, 20))])


def _changed(path: Path, changes: Sequence[tuple[int, int]]) -> str:
    content = bytearray(path.read_bytes())
    for place, bits in changes if content else ():
        content[place] ^= bits
    path.write_bytes(content)
    return ", ".join(f"bits {bits:#04x} of byte {place}" for place, bits in changes)


def truncate(draw: random.Random, path: Path, _: Sequence[Path]) -> str:
    size = draw.randrange(max(1, path.stat().st_size))
    path.write_bytes(path.read_bytes()[:size])
    return f"cut to {size} bytes"


def blank(draw: random.Random, path: Path, _: Sequence[Path]) -> str:
    """A block of zeros, as a disk leaves that lost power."""
    content = bytearray(path.read_bytes())
    first = draw.randrange(max(1, len(content)))
    last = min(len(content), first + draw.choice([8, 64, 512]))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return f"zeros from {first} to {last}"


def empty(_: random.Random, path: Path, __: Sequence[Path]) -> str:
    path.write_bytes(b"")
    return "empty"


def append(draw: random.Random, path: Path, _: Sequence[Path]) -> str:
    garbage = draw.randbytes(draw.randint(1, 40))
    path.write_bytes(path.read_bytes() + garbage)
    return f"{garbage!r} behind it"


def delete(_: random.Random, path: Path, __: Sequence[Path]) -> str:
    path.unlink()
    return "deleted"


def swap(draw: random.Random, path: Path, files: Sequence[Path]) -> str:
    """With another of its kind."""
    other = draw.choice([one for one in files if one.suffix == path.suffix and one != path] or [path])
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)
    return f"swapped with {other}"


def replace(draw: random.Random, path: Path, files: Sequence[Path]) -> str:
    """By a file of another kind."""
    other = draw.choice([one for one in files if one.suffix != path.suffix] or [Path(__file__)])
    path.write_bytes(other.read_bytes())
    return f"replaced by {other}"


ALL: tuple[Damage, ...] = (flip, flip, flip_several, truncate, blank, empty, append, delete, swap, replace)


def is_sound(path: Path, whole: dict[Path, bytes]) -> bool:
    """Whether a damaged file of a user's is a file of its kind by itself: no reader could tell that it is another.

    A PNG has checksums: its pixels are those of one of the ``whole`` files. JPEG, BMP and TOML have none.
    """
    if not path.exists():
        return False
    if path.read_bytes() in whole.values():
        # A JPEG that is called .png is an image, and no label.
        kinds = {path.suffix, ".png", ".jpg", ".bmp"} if "images" in path.parts else {path.suffix}
        return bool(kinds & {one.suffix for one, content in whole.items() if content == path.read_bytes()})
    try:
        if path.suffix == ".png":
            pixels = _pixels(path)
            return any(np.array_equal(pixels, _pixels_of(content)) for one, content in whole.items() if one == path)
        if path.suffix in (".jpg", ".bmp"):
            _pixels(path)
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text(encoding="utf-8"))
    except Exception:  # whatever its reader raises
        return False
    return True


def _pixels(path: Path) -> np.ndarray:
    return _pixels_of(path.read_bytes())


def _pixels_of(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image)
