"""Read a text file that a user wrote, on whatever system."""

from importlib.resources.abc import Traversable
from pathlib import Path

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF_16 = "it is UTF-16; save it as UTF-8"


def read_text(file: Path | Traversable) -> str:
    """The text of a UTF-8 file, without the byte order mark that editors on Windows put before it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no UTF-8; with what to do. UTF-16, which such editors write too, is named.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        if error.object.startswith(_BYTE_ORDER_MARKS):
            raise ValueError(_UTF_16) from error
        raise ValueError(f"it is no UTF-8 (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:  # every other byte, where there is no mark
        raise ValueError(_UTF_16)
    return text
