"""A set of images out of the cache: views of mapped files, of which no more is read than a crop covers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daframework.data.cache.shards import IMAGES, CachePart, Shard
from daframework.errors import DataError, one_line
from daframework.interfaces import SEMANTIC, ImageDataset, Sample


class Stored:
    """The images or labels of a whole set, mapped. What is known of each lies in numpy arrays, which do not grow."""

    def __init__(self, part: CachePart, found: Sequence[Shard | None]) -> None:
        """``found`` are all of the part's shards, in order, and known to be whole.

        Raises:
            DataError: one is missing, or cannot be mapped.
        """
        self.part, shards = part, [shard for shard in found if shard is not None]
        if len(shards) < part.shards:
            raise DataError(f"cache {part.folder}: was deleted or changed while it was opened; run again")
        self._sizes = np.concatenate([np.stack([shard.heights, shard.widths], axis=1) for shard in shards])
        ends = np.cumsum(self._sizes.prod(axis=1) * part.planes)
        before = np.concatenate([[0], ends[:-1]])  # bytes of the whole set before each entry
        self._offsets = before - before[np.arange(part.count) // part.size * part.size]
        names = [name.encode() for shard in shards for name in shard.names]
        self._names = np.frombuffer(b"".join(names), dtype=np.uint8)
        self._name_ends = np.cumsum([0, *map(len, names)])
        self._bytes = [shard.stamp[0] for shard in shards]
        self._mapped = self._map()

    @property
    def size(self) -> int:
        """Bytes of all pixels."""
        return sum(self._bytes)

    def __getitem__(self, index: int) -> Tensor:
        """The pixels at ``index``, (3, H, W) uint8, or the label, (H, W): not to be written to."""
        height, width = self._sizes[index].tolist()
        start = int(self._offsets[index])
        pixels = self._mapped[index // self.part.size][start : start + self.part.planes * height * width]
        if self.part.kind == IMAGES:
            return pixels.view(-1, height, width)
        return pixels.view(self.part.dtype).view(height, width)

    def name(self, index: int) -> str:
        """The name of the image at ``index``."""
        return self._names[self._name_ends[index] : self._name_ends[index + 1]].tobytes().decode()

    def _map(self) -> list[Tensor]:
        # torch closes a file once it is mapped, and numpy does not: a thousand shards would run out of open files.
        # A private mapping: whoever does write to an image changes it for its own process alone, and never the file.
        try:
            return [
                torch.from_file(str(self.part.pixels(number)), shared=False, size=size, dtype=torch.uint8)
                for number, size in enumerate(self._bytes)
            ]
        except RuntimeError as error:
            raise DataError(f"cache {self.part.folder}: cannot be mapped ({one_line(error)})") from error

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapping: a worker that is not a fork of this process maps the files itself."""
        return {name: value for name, value in vars(self).items() if name != "_mapped"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._mapped = self._map()


class Cached(ImageDataset):
    """A set out of the cache, checked and resized when it was put there: bit for bit what it was made of."""

    def __init__(
        self,
        images: Stored,
        labels: Mapping[str, Stored],
        classes: Sequence[str],
        palette: Sequence[tuple[int, int, int]],
    ) -> None:
        """``labels`` are those of each type, by its name; none where they must not be read."""
        self.images, self._labels, self.labels = images, labels, list(labels)
        self.stored = [images, *labels.values()]
        self.classes, self.palette = classes, palette

    def __len__(self) -> int:
        return self.images.part.count

    def __getitem__(self, index: int) -> Sample:
        """The sample, with its labels unless the set was opened without."""
        labels = {name: stored[index] for name, stored in self._labels.items()}
        return Sample(self.images[index], labels.pop(SEMANTIC.name, None), self.images.name(index), labels)

    def unlabelled(self, index: int) -> Sample:
        """The sample without its label."""
        return Sample(self.images[index], None, self.images.name(index))
