"""Training crops without end: which image, which crop and whether mirrored follow from (seed, domain, position)."""

import signal
from collections.abc import Iterator, Sequence
from random import Random

import torch
from attrs import define, field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from daframework.errors import DafError, DataError
from daframework.interfaces import Batch, ImageDataset, Sample
from daframework.randomness import derive, generator

Crop = tuple[Tensor, Tensor | None]


@define(eq=False)
class TrainingStream(Dataset[Crop | DafError]):
    """Random crops of ``dataset`` by position: every image once, in random order, before any comes again.

    Args:
        dataset: where images come from.
        crop_size: height and width of a crop, in pixels.
        flip: mirror half of the crops left to right.
        seed: the recipe's.
        name: names the stream, so that two domains draw independently.
    """

    dataset: ImageDataset
    crop_size: Sequence[int]
    flip: bool
    seed: int
    name: str
    _order: tuple[int, list[int]] = field(init=False, default=(-1, []))

    def __getitem__(self, position: int) -> Crop | DafError:
        """The crop at ``position``; an error is handed out, since one raised in a worker would lose its type."""
        try:
            return self._crop(position)
        except DafError as error:
            return error

    def _crop(self, position: int) -> Crop:
        epoch, place = divmod(position, len(self.dataset))
        if self._order[0] != epoch:
            shuffle = generator(self.seed, self.name, "order", epoch)
            self._order = (epoch, torch.randperm(len(self.dataset), generator=shuffle).tolist())
        sample = self.dataset[self._order[1][place]]
        return random_crop(sample, self.crop_size, self.flip, Random(derive(self.seed, self.name, "crop", position)))


def random_crop(sample: Sample, size: Sequence[int], flip: bool, random: Random) -> Crop:
    """A crop of ``size`` (height, width) at a uniformly drawn place, image and label alike.

    Raises:
        DataError: the image is smaller than the crop.
    """
    room = [have - want for have, want in zip(sample.image.shape[1:], size, strict=True)]
    if min(room) < 0:
        have, want = tuple(sample.image.shape[1:]), tuple(size)
        raise DataError(
            f"image {sample.name}: {have[0]} x {have[1]} (height x width) is smaller than data.crop_size "
            f"{want[0]} x {want[1]}; lower crop_size, or set data.resize"
        )
    top, left = random.randint(0, room[0]), random.randint(0, room[1])
    mirrored = flip and random.random() < 0.5

    def cut(tensor: Tensor) -> Tensor:
        crop = tensor[..., top : top + size[0], left : left + size[1]]
        return crop.flip(-1) if mirrored else crop

    return cut(sample.image), None if sample.label is None else cut(sample.label)


def training_batches(
    stream: TrainingStream, *, batch_size: int, steps: range, rank: int, ranks: int, workers: int, device: torch.device
) -> Iterator[Batch]:
    """The batches of ``steps``, one a step, on ``device``. All ranks together walk the positions without a gap.

    Raises:
        DataError: an image cannot be read or used.
    """
    first = ((step * ranks + rank) * batch_size for step in steps)
    positions = (list(range(start, start + batch_size)) for start in first)
    loader = DataLoader(
        stream,
        batch_sampler=positions,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=_leave_interrupts_to_the_parent,
    )
    for crops in loader:
        if isinstance(crops, DafError):
            raise crops
        image, label = crops
        label = None if label is None else label.to(device, non_blocking=True).long()
        yield Batch(to_float(image.to(device, non_blocking=True)), label)


def _leave_interrupts_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process of a terminal, and a scheduler's SIGTERM every process of a job.

    The parent finishes its step and then ends its workers; where it must insist, its own SIGTERM is the second.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


def _collate(crops: list[Crop | DafError]) -> Crop | DafError:
    images, labels = [], []
    for crop in crops:
        if isinstance(crop, DafError):
            return crop
        images.append(crop[0])
        labels.append(crop[1])
    present = [label for label in labels if label is not None]
    return torch.stack(images), torch.stack(present) if present else None


def to_float(image: Tensor) -> Tensor:
    """uint8 in [0, 255] -> float32 in [-1, 1]."""
    return image.float().div_(127.5).sub_(1)


def to_bytes(image: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 in [0, 255], rounded."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
