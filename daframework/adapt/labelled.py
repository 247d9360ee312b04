"""A generator that is told what its images show."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import pad

from daframework.interfaces import IGNORE_INDEX, Generator


def knowing(generator: Generator, label: Tensor) -> Callable[[Tensor], Tensor]:
    """``generator`` for images whose semantic ``label`` is known, padded below and to the right or not."""

    def translate(image: Tensor) -> Tensor:
        below, right = (padded - side for padded, side in zip(image.shape[2:], label.shape[1:], strict=True))
        return generator.with_label(image, pad(label, (0, right, 0, below), value=IGNORE_INDEX))

    return translate
