"""Shards of the cache: pixels as they lie in memory, so that a file that is mapped needs no decoding.

A shard is two files. ``00012.bin`` holds the pixels of its images, (3, H, W) uint8, or labels, (H, W) of their type's
dtype, one after another and nothing else. ``00012.json`` holds their sizes and names, a checksum of the pixels, and the
stamp that the file system had for them when the checksum was last known to hold; its second line is a checksum of the
first. Pixels with another stamp, as after a copy, a cut or a change, are read and checked before they are used. A
checksum on every start would read the whole cache each time, and one straight after writing would only read what the
system still holds in memory.

Why no library's format: what is wanted is a view of any one image in files that many processes map. WebDataset and
LitData store serialised samples to be streamed, and hand out copies; Zarr decodes chunks into new arrays; Arrow is a
large dependency that has no images of several sizes; safetensors maps its files and would do, but it writes a file from
tensors that are all in memory, and parses each file's header, image by image, in every process that opens it. A crop
out of a safetensors file takes as long as one out of these. Planes lie apart, (3, H, W), because crops leave that way:
from pixels (H, W, 3) a crop takes more than twice as long.
"""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import torch
from attrs import asdict, evolve, frozen
from torch import Tensor

from daframework.errors import DataError, one_line
from daframework.fingerprint import checksum_file
from daframework.storage.files import write_whole

_SMALLEST = 64  # entries of a shard: what an interruption may throw away
_MOST = 512  # shards of a part, each of which is looked at when it is opened

MORE_ROOM = "make room (daf data cache --list shows what lies there), or set DAF_CACHE to a folder on another disk"
"""What to do about a full disk."""
IMAGES = "images"
"""The kind of a part that holds images and their names; every other holds labels."""


class DamagedError(Exception):
    """A shard is not what was written; the text says in what."""


@frozen
class Shard:
    """What ``NUMBER.json`` says: whose it is, its entries' sizes and names in order, and how to tell them whole.

    ``stamp`` is the size of the pixels' file in bytes and the times of its last writing and change, in nanoseconds.
    """

    key: str
    number: int
    heights: list[int]
    widths: list[int]
    names: list[str]
    crc32: int
    stamp: list[int]


@frozen
class CachePart:
    """The images or the labels of one set in the cache.

    Args:
        folder: Where its shards lie.
        key: Names what they were made of.
        count: How many images or labels there are.
        kind: ``images``, ``labels`` of classes, or ``labels_NAME`` of another type.
        dtype: Of the values, of which an image has three a pixel and a label one.
    """

    folder: Path
    key: str
    count: int
    kind: str
    dtype: torch.dtype = torch.uint8

    @property
    def planes(self) -> int:
        """Bytes of a pixel."""
        return 3 if self.kind == IMAGES else self.dtype.itemsize

    @property
    def size(self) -> int:
        """Entries of a shard; the last may have fewer."""
        return max(_SMALLEST, -(-self.count // _MOST))

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.count // self.size)

    def entries(self, number: int) -> range:
        """The indices of the images or labels in a shard."""
        return range(number * self.size, min((number + 1) * self.size, self.count))

    def pixels(self, number: int) -> Path:
        """The file of a shard's pixels."""
        return self.folder / f"{number:05d}.bin"

    def description(self, number: int) -> Path:
        """The file that says what is known of a shard."""
        return self.folder / f"{number:05d}.json"

    def read(self, number: int) -> Shard | None:
        """What is known of a shard, without a look at its pixels; None where there is none.

        Raises:
            DamagedError: it cannot be what was written.
        """
        path = self.description(number)
        try:
            content, _, checksum = path.read_bytes().partition(b"\n")
            if zlib.crc32(content) != int(checksum):
                raise ValueError("its checksum is another")
            shard = Shard(**json.loads(content))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise DamagedError(f"{path} is damaged ({one_line(error)})") from error
        if (shard.key, shard.number) != (self.key, number):
            raise DamagedError(f"{path} is of another cache")
        try:
            size = self.pixels(number).stat().st_size
        except OSError as error:
            raise DamagedError(f"{self.pixels(number)} cannot be read ({error.strerror})") from error
        if size != shard.stamp[0]:
            raise DamagedError(f"{self.pixels(number)} has {size} bytes instead of {shard.stamp[0]}")
        return shard

    def is_known(self, shard: Shard) -> bool:
        """Whether the shard's pixels are untouched since their checksum was last known to hold."""
        with suppress(OSError):  # it was deleted this moment, which `verify` tells
            return _stamp(self.pixels(shard.number)) == shard.stamp
        return False

    def verify(self, shard: Shard) -> None:
        """Read the shard's pixels and compare their checksum; they are known from then on.

        Raises:
            DamagedError: it is another.
        """
        path = self.pixels(shard.number)
        try:
            stamp, checksum = _stamp(path), checksum_file(path)
        except OSError as error:
            raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
        if checksum != shard.crc32:
            raise DamagedError(f"{path} holds other pixels than were written")
        with suppress(OSError):  # a folder that others share may be read only; then it is checked each time
            self.describe(evolve(shard, stamp=stamp))

    def describe(self, shard: Shard) -> None:
        """Write down what is known of a shard.

        Raises:
            OSError: it cannot be written.
        """
        content = json.dumps(asdict(shard)).encode()
        whole = b"%b\n%d" % (content, zlib.crc32(content))
        write_whole(self.description(shard.number), lambda file: file.write(whole), shared=True, synced=False)


class ShardWriter:
    """Writes one shard; it appears whole or not at all: `finish` it once all is added, and `close` it in any case."""

    def __init__(self, part: CachePart, number: int) -> None:
        """Make an empty file beside where the pixels will be."""
        self._part, self._checksum = part, 0
        self._shard = Shard(part.key, number, [], [], [], 0, [])  # its lists grow with what is added
        self._partial = part.folder / f".{number:05d}.{uuid4().hex}"
        with filling(part.folder):
            self._file = self._partial.open("wb")

    def close(self) -> None:
        """Throw away what was not finished."""
        with suppress(OSError):  # what could not be written when it was added cannot be written now
            self._file.close()
        with suppress(OSError):  # gone, if all went well
            self._partial.unlink()

    def add(self, pixels: Tensor, name: str) -> None:
        """The next image or label of the shard.

        Raises:
            DataError: there is no room for it.
        """
        content = pixels.contiguous().numpy().data.cast("B")
        with filling(self._part.folder):
            self._file.write(content)
        self._checksum = zlib.crc32(content, self._checksum)
        self._shard.heights.append(pixels.shape[-2])
        self._shard.widths.append(pixels.shape[-1])
        if self._part.kind == IMAGES:
            self._shard.names.append(name)

    def finish(self) -> None:
        """All entries are there: give the shard its name.

        Raises:
            DataError: there is no room for it.
        """
        pixels = self._part.pixels(self._shard.number)
        with filling(self._part.folder):
            self._file.flush()
            os.fsync(self._file.fileno())  # or a power cut could leave the size right and the pixels empty
            self._file.close()
            self._partial.replace(pixels)
            self._part.describe(evolve(self._shard, crc32=self._checksum, stamp=_stamp(pixels)))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Inside, files of the cache in ``folder`` are written.

    Raises:
        DataError: there is no room for them, or no right to.
    """
    try:
        yield
    except OSError as error:
        what = f"cache {folder}: cannot be written ({error.strerror}); {MORE_ROOM}"
        raise DataError(f"{what}; the same command goes on from what is finished") from error
