"""Digests and checksums: of facts, of bytes, of files without reading them, and of a file's content.

They are part of run folders and caches, so what one gives for something must never change.
"""

import json
import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

from daframework.errors import DataError

_BLOCK = 2**24  # bytes of a file in memory at a time


def digest(*facts: Any) -> str:
    """32 hexadecimal digits that change with any of ``facts``: strings, numbers, None, and lists and tables of them."""
    return digest_bytes([json.dumps(facts).encode()])


def digest_bytes(parts: Iterable[bytes | memoryview], *, size: int = 16) -> str:
    """Hexadecimal digits, two for each byte of ``size``, of all ``parts`` one after another (BLAKE2b)."""
    found = blake2b(digest_size=size)
    for part in parts:
        found.update(part)
    return found.hexdigest()


def fingerprint_files(paths: Iterable[str]) -> str:
    """A digest of the absolute paths of files, their sizes, and the times they were last written, in nanoseconds.

    Their content is not read: that would take as long as decoding it. A file that is replaced by another of the same
    size and the very same time passes for the old one.

    Raises:
        DataError: a file is missing or may not be looked at.
    """
    # Plain strings: with a Path for each, 100,000 files would take seconds longer.
    stat, isabs, here = os.stat, os.path.isabs, f"{Path.cwd()}{os.sep}"
    facts: list[str] = []
    for path in paths:
        try:
            status = stat(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be found ({error.strerror}); fetch it again, or allow it") from error
        whole = path if isabs(path) else here + path
        facts.append(f"{whole}\0{status.st_size}\0{status.st_mtime_ns}")
    return digest_bytes(["\n".join(facts).encode()])


def checksum_file(path: Path) -> int:
    """The CRC-32 of a file's content: quick, and enough to notice a bit that turned over.

    Raises:
        OSError: it cannot be read.
    """
    found = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = crc32(block, found)
    return found
