"""Past translations for the discriminators (Shrivastava et al., arXiv 1612.07828), each kept with its label."""

from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from daframework.adapt.step import Fake
from daframework.compute.randomness import generator


class ImagePool:
    """Up to ``size`` past translations. A new one is handed out, or, half of the time, an old one that it replaces."""

    def __init__(self, size: int, seed: int, name: str) -> None:
        """``seed`` and ``name`` start the pool's own random stream; ``size`` 0 hands every new one straight out."""
        self.size = size
        self._random = generator(seed, "pool", name)
        self._images: list[Tensor] = []
        self._labels: list[Tensor | None] = []

    def exchange(self, fake: Fake) -> Fake:
        """New translations (N, 3, H, W) and labels (N, H, W) -> as many, old and new, each with its own label."""
        if self.size == 0:
            return fake
        given = repeat(None) if fake.label is None else fake.label
        images, labels = zip(*map(self._exchange, fake.image, given), strict=True)
        kept = [label for label in labels if label is not None]
        return Fake(torch.stack(images), torch.stack(kept) if kept else None)

    def _exchange(self, image: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if len(self._images) < self.size:
            # A copy: a slice would keep its whole batch alive.
            self._images.append(image.clone())
            self._labels.append(None if label is None else label.to(torch.uint8))
            return image, label
        if torch.rand((), generator=self._random) < 0.5:
            return image, label
        place = int(torch.randint(self.size, (), generator=self._random))
        old_image, old_label = self._images[place], self._labels[place]
        self._images[place] = image.clone()
        self._labels[place] = None if label is None else label.to(torch.uint8)
        return old_image, None if old_label is None else old_label.long()

    def state_dict(self) -> dict[str, Any]:
        """Images, labels and the random state: what an exact continuation needs."""
        return {"images": self._images, "labels": self._labels, "random": self._random.get_state()}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from ``state_dict`` on ``device``."""
        self._images = [image.to(device) for image in state["images"]]
        self._labels = [None if label is None else label.to(device) for label in state["labels"]]
        self._random.set_state(state["random"].cpu())
