"""Training crops without end: which image, which crop and whether mirrored follow from (seed, domain, position)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import Protocol

import torch
from attrs import evolve, frozen
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from daframework.compute.randomness import derive, generator
from daframework.data.checked import DerivedDataset
from daframework.data.parallel import leave_interrupts_to_the_parent, until_killed
from daframework.data.whole import batched
from daframework.errors import DafError, DataError
from daframework.interfaces import SEMANTIC, Batch, ImageDataset, LabelType, Sample
from daframework.recipes.tables import AugmentTable, OriginalsTable

Crop = tuple[Tensor, Tensor | None]


@frozen(eq=False)
class CropPlace:
    """Where a crop is cut out of a sample: its first pixel, and whether it is mirrored."""

    sample: Sample
    top: int
    left: int
    mirrored: bool


class CropSampler(Protocol):
    """Chooses the images and crops of a stream."""

    def place(self, dataset: ImageDataset, size: Sequence[int], flip: bool, position: int, random: Random) -> CropPlace:
        """The crop of ``size`` at ``position``; ``random`` follows from the stream's seed and the position."""


@frozen(eq=False)
class Blend:
    """What lies between an image and its original: ``low`` to ``high`` of the image, from 0 to 1, and the rest of that.

    The intermediate domains of DLOW (arXiv 1812.05418), as straight lines. ``originals`` lie in the images' order, and
    so do ``others``, more translations of them, one of which takes the place of the image, or none, drawn alike. The
    ``kept`` share of the positions shows the originals themselves.
    """

    originals: ImageDataset
    low: float
    high: float
    others: Sequence[ImageDataset] = ()
    kept: OriginalsTable | None = None

    def shows_original(self, position: int) -> bool:
        """Whether the crop at ``position`` is one of the originals, which lie evenly among the others."""
        return self.kept is not None and int((position + 1) * self.kept.share) > int(position * self.kept.share)

    def changes(self, position: int) -> AugmentTable | None:
        """The random changes of the crop at ``position``, where it has others than its row."""
        return self.kept.augment if self.kept is not None and self.shows_original(position) else None

    def draw(self, dataset: ImageDataset, random: Random, position: int) -> ImageDataset:
        """What the crop at ``position`` is cut from: ``dataset``, each image blended with its original in a ratio drawn
        once, or the originals.
        """
        if self.shows_original(position):
            return self.originals
        if self.others:
            dataset = random.choice([dataset, *self.others])
        weight = random.uniform(self.low, self.high)  # drawn in any case: other draws follow from the same stream
        if weight == 1.0:
            return dataset
        return _Blended(dataset, self.originals, weight)


class _Blended(DerivedDataset):
    unlabelled = ImageDataset.unlabelled  # blended too

    def __init__(self, dataset: ImageDataset, originals: ImageDataset, weight: float) -> None:
        super().__init__(dataset)
        self.originals, self.weight = originals, weight

    def __getitem__(self, index: int) -> Sample:
        sample, original = self.dataset[index], self.originals.unlabelled(index).image
        return evolve(sample, image=torch.lerp(original.float(), sample.image.float(), self.weight).round().byte())


@frozen(eq=False)
class TrainingStream(Dataset[Crop | DafError]):
    """Random crops of ``dataset`` by position: every image once, in random order, before any comes again.

    Args:
        dataset: where images come from.
        crop_size: height and width of a crop, in pixels.
        flip: mirror half of the crops left to right.
        seed: the recipe's.
        name: names the stream, so that two domains draw independently.
        sampler: chooses images and crops instead, by what they show.
        blend: what is blended into each crop.
        label_type: the label that crops carry, where their sample has it.
    """

    dataset: ImageDataset
    crop_size: Sequence[int]
    flip: bool
    seed: int
    name: str
    sampler: CropSampler | None = None
    blend: Blend | None = None
    label_type: LabelType = SEMANTIC

    def __getitem__(self, position: int) -> Crop | DafError:
        """The crop at ``position``; an error is handed out, since one raised in a worker would lose its type."""
        try:
            return self._crop(position)
        except DafError as error:
            return error

    def _crop(self, position: int) -> Crop:
        random = Random(derive(self.seed, self.name, "crop", position))
        dataset = self.dataset if self.blend is None else self.blend.draw(self.dataset, random, position)
        if self.sampler is not None:
            place = self.sampler.place(dataset, self.crop_size, self.flip, position, random)
            return cut(place, self.crop_size, self.label_type)
        epoch, turn = divmod(position, len(self.dataset))
        index = int(shuffled(len(self.dataset), self.seed, self.name, "order", epoch)[turn])
        place = random_place(dataset[index], self.crop_size, self.flip, random)
        return cut(place, self.crop_size, self.label_type)


@lru_cache(maxsize=8)  # of each stream's epoch: an order is asked for at every position
def shuffled(count: int, seed: int, *names: str | int) -> Tensor:
    """The indices below ``count`` in the random order that ``seed`` and ``names`` draw: not to be written to."""
    return torch.randperm(count, generator=generator(seed, *names))


def cut(place: CropPlace, size: Sequence[int], label_type: LabelType = SEMANTIC) -> Crop:
    """The crop of ``size`` (height, width) at ``place``, with its label of that type where the sample has one."""
    height, width = size
    image = place.sample.image[:, place.top : place.top + height, place.left : place.left + width]
    label = place.sample.labelled(label_type.name)
    if label is not None:
        label = label_type.cropped(label, place.top, place.left, height, width)
    if not place.mirrored:
        return image, label
    return image.flip(-1), None if label is None else label_type.mirrored(label)


def random_place(sample: Sample, size: Sequence[int], flip: bool, random: Random) -> CropPlace:
    """A crop of ``size`` (height, width) at a uniformly drawn place.

    Raises:
        DataError: the image is smaller than the crop.
    """
    top, left = random_corner(sample, size, random)
    return CropPlace(sample, top, left, mirrored=flip and random.random() < 0.5)


def random_corner(sample: Sample, size: Sequence[int], random: Random) -> tuple[int, int]:
    """Top and left of a crop of ``size`` (height, width), uniformly drawn.

    Raises:
        DataError: the image is smaller than the crop.
    """
    room = [have - want for have, want in zip(sample.image.shape[1:], size, strict=True)]
    if min(room) < 0:
        have, want = (f"{one[0]} x {one[1]}" for one in (sample.image.shape[1:], size))
        is_smaller = f"{have} (height x width) is smaller than data.crop_size {want}"
        raise DataError(f"image {sample.name}: {is_smaller}; lower crop_size, or set data.resize")
    return random.randint(0, room[0]), random.randint(0, room[1])


def training_batches(
    stream: TrainingStream,
    *,
    batch_size: int,
    steps: range,
    rank: int,
    ranks: int,
    workers: int,
    device: torch.device,
    memory_format: torch.memory_format = torch.contiguous_format,
    seen: int | None = None,
) -> Iterator[Batch]:
    """The batches of ``steps``, one a step, on ``device``, with images that lie there in ``memory_format``.

    All ranks together walk the positions without a gap, from the first that is not ``seen`` yet: as many as these ranks
    would have seen in the steps before, unless given.

    Raises:
        DataError: an image cannot be read or used.
    """
    seen = steps.start * ranks * batch_size if seen is None else seen
    first = (seen + ((step - steps.start) * ranks + rank) * batch_size for step in steps)
    positions = (list(range(start, start + batch_size)) for start in first)
    loader = DataLoader(
        stream,
        batch_sampler=positions,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=leave_interrupts_to_the_parent,
    )
    for crops in until_killed(loader):
        if isinstance(crops, DafError):
            raise crops
        stacked, others = crops
        planes = stacked.to(device, non_blocking=True)
        image = to_float(planes[:, :3]).contiguous(memory_format=memory_format)
        labels = planes[:, 3] if planes.shape[1] == 4 else None if others is None else others.to(device)
        yield Batch(image, None if labels is None else batched(labels))


def _collate(crops: list[Crop | DafError]) -> tuple[Tensor, Tensor | None] | DafError:
    """The batch as one tensor (N, 3 or 4, h, w) uint8, of which a label that is like a plane of its image is the
    fourth; and labels of another kind, (N, ...).

    One, since each tensor that a worker hands over costs as much as a crop. `default_collate` stacks straight into
    memory that worker and parent share.
    """
    planes, others = list[Tensor](), list[Tensor]()
    for crop in crops:
        if isinstance(crop, DafError):
            return crop
        image, label = crop
        planes += image
        if label is not None:
            as_plane = label.dtype == image.dtype and label.shape == image.shape[1:]
            (planes if as_plane else others).append(label)
    stacked: Tensor = default_collate(planes)
    return stacked.view(len(crops), -1, *stacked.shape[1:]), default_collate(others) if others else None


def to_float(image: Tensor) -> Tensor:
    """uint8 in [0, 255] -> float32 in [-1, 1]."""
    return image.float().div_(127.5).sub_(1)


def to_bytes(image: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 in [0, 255], rounded."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
