"""What the generators share that are measured once instead of trained."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from daframework.data.spread import evenly_spread
from daframework.errors import DataError, PluginError
from daframework.interfaces import Generator, ImageDataset

Reference = Literal["set", "image"]


class Measured(Generator):
    """A generator whose buffers are empty until `prepare` measures the domains or a checkpoint is loaded.

    Register each buffer empty, with the type it is to have, and fill it with `keep`: a checkpoint then loads whatever
    the shapes are that were measured.
    """

    def __init__(self, limit: int) -> None:
        """``limit`` is how many images of a domain are measured.

        Raises:
            ValueError: it is less than 1.
        """
        super().__init__()
        if limit < 1:
            raise ValueError(f"limit must be 1 or more, got {limit}")
        self.limit = limit

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], any size -> the same shape, type and range; on the meta device only the shape.

        Raises:
            PluginError: nothing was measured or loaded.
        """
        if image.is_meta:
            return torch.empty_like(image)
        self.check_measured()
        return self.translate(image)

    def check_measured(self) -> None:
        """No buffer may be empty.

        Raises:
            PluginError: nothing was measured or loaded.
        """
        if any(buffer.numel() == 0 for buffer in self.buffers()):
            raise PluginError(f"generator {type(self).__name__} has measured nothing; prepare it or load a checkpoint")

    @abstractmethod
    def translate(self, image: Tensor) -> Tensor:
        """`forward` once the buffers are filled."""

    def keep(self, name: str, value: Tensor) -> None:
        """Fill the buffer ``name``, on its device and in its type."""
        setattr(self, name, value.to(getattr(self, name)))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, buffer.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *others)


def spread_images(dataset: ImageDataset, limit: int) -> Iterator[Tensor]:
    """At most ``limit`` images, (3, H, W) uint8, `evenly_spread` over the set. No label is read.

    Raises:
        DataError: the set is empty, or an image cannot be read.
    """
    if len(dataset) == 0:
        raise DataError("there is no image to measure; both domains need at least one")
    for index in evenly_spread(len(dataset), limit):
        yield dataset.unlabelled(index).image


def precise(image: Tensor) -> torch.dtype:
    """The precision to measure in: float64, but on Apple's GPUs, which have none."""
    return torch.float32 if image.device.type == "mps" else torch.float64


def draw(choices: Tensor, count: int) -> Tensor:
    """``count`` random entries of ``choices`` along its first axis, one after the other from torch's CPU generator."""
    # On the CPU on every machine, so that one seed draws the same everywhere.
    drawn = torch.randint(len(choices), (count,), device="cpu")
    return choices[drawn.to(choices.device)]
