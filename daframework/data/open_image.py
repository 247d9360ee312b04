"""Open an image file with Pillow; everything that can be wrong with it is a `DataError` that names the file."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.WebPImagePlugin import WebPImageFile

from daframework.data.png import SIGNATURE, open_png
from daframework.errors import DataError, one_line

IMAGE_FORMATS = ("BMP", "JPEG", "PNG", "WEBP")
"""What an image may be; a label is always a PNG."""
MOST_PIXELS = 89_478_485
"""Pixels that an image may have, as Pillow's own limit: 256 MiB of RGB. A file of a few kilobytes can claim more."""

_DAMAGED = (SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow lets through
_BROKEN_EXIF = (*_DAMAGED, OSError, KeyError, TypeError, IndexError, OverflowError)
_ORIENTATION = 0x0112
# What Pillow says of a file, such as that its EXIF is corrupt, is either an error here or does not matter.
warnings.filterwarnings("ignore", module=r"PIL\.")


def _open_tiff(file: BinaryIO) -> Image.Image:
    from PIL.TiffImagePlugin import TiffImageFile  # few read one, and it takes its time

    image = TiffImageFile(file)
    if not image.n_frames:  # counted here, where whatever is wrong with a later frame is told
        raise SyntaxError("no frame")
    return image


_OPENERS = (  # by a file's first bytes
    (b"BM", "BMP", BmpImageFile),
    (b"\xff\xd8\xff", "JPEG", jpeg_factory),
    (b"RIFF", "WEBP", WebPImageFile),
    (b"II*\0", "TIFF", _open_tiff),
    (b"MM\0*", "TIFF", _open_tiff),
    (b"II+\0", "TIFF", _open_tiff),  # BigTIFF
    (b"MM\0+", "TIFF", _open_tiff),
)


@contextmanager
def opened(
    path: Path, formats: tuple[str, ...], *, most: int = MOST_PIXELS, head: bool = False
) -> Iterator[Image.Image]:
    """The file opened by Pillow, header read; what goes wrong on opening or decoding becomes a `DataError`.

    ``formats`` are some of `IMAGE_FORMATS`, or ``("TIFF",)`` for a file of numbers.
    """
    try:
        with path.open("rb") as file, _open(file, formats, head=head) as image:
            # Pillow calls a camera's JPEG with a preview behind it MPO: its first frame is the picture.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise DataError(f"{path}: holds several frames; save each as a file of its own")
            if image.width * image.height > most:
                raise DataError(_too_large(path, f"{image.width} x {image.height} pixels", most))
            yield image
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: no such file; check the dataset's folders, or fetch the file again") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, not an image file; check the dataset's folders") from error
    except PermissionError as error:
        raise DataError(f"{path}: may not be read (permission denied); allow it with chmod") from error
    except UnidentifiedImageError as error:
        raise DataError(_unidentified(path, formats)) from error
    except Image.DecompressionBombError as error:  # of a WebP
        raise DataError(_too_large(path, "far too many pixels", most)) from error
    except (OSError, *_DAMAGED) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path}: cannot be read ({one_line(error)})") from error
        raise DataError(f"{path}: truncated or damaged ({one_line(error)}); copy or download it again") from error


def _open(file: BinaryIO, formats: tuple[str, ...], *, head: bool) -> Image.Image:
    """As `Image.open`, but for its own limit on pixels, and for what is not the picture in a PNG."""
    first = file.read(len(SIGNATURE))
    file.seek(0)
    if first == SIGNATURE and "PNG" in formats:
        return open_png(file, head=head)
    for begins, kind, opener in _OPENERS:
        if first.startswith(begins) and kind in formats:
            try:
                return opener(file)
            except (SyntaxError, LookupError, TypeError, struct.error) as error:
                raise UnidentifiedImageError from error
    raise UnidentifiedImageError


def _unidentified(path: Path, formats: tuple[str, ...]) -> str:
    if path.stat().st_size == 0:
        return f"{path}: the file is empty (0 bytes); copy or download it again"
    if formats == ("PNG",):
        return f"{path}: not a PNG file; a label must be a PNG, since other formats change ids"
    return f"{path}: not an image (known: {', '.join(formats)}); copy or download it again"


def _too_large(path: Path, got: str, most: int) -> str:
    tiles = "; daf translate takes larger ones with --tile 1024 1024" if most == MOST_PIXELS else ""
    return f"{path}: holds {got}, more than the {most} allowed; cut or shrink it{tiles}"


def orientation_of(image: Image.Image) -> int:
    """How an opened image is turned, as EXIF counts it; 1, as it is, where nothing can be read of that."""
    if "exif" not in image.info:
        return 1
    exif = Image.Exif()  # `image.getexif` would decode a whole PNG, and ask XMP where EXIF says nothing
    try:
        exif.load(image.info["exif"])
        found: Any = exif.get(_ORIENTATION)
    except _BROKEN_EXIF:
        return 1
    return found if found in range(1, 9) else 1


def raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, such as ``L;4``; known until they are decoded."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0].args) if tiles else ""
