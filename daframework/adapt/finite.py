"""Notice a loss that is no longer a number, without waiting for the device at every step."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from daframework.errors import TrainingError


class FiniteCheck:
    """Remembers, on the device, the first step at which each value was not finite."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._names: list[str] = []
        self._first: Tensor | None = None

    def add(self, step: int, losses: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Note the scalar ``losses`` of ``step`` and its generated ``images``, by name, the same at every step."""
        # An image comes first: where it is no number, neither is what is computed from it.
        values = [*(image.mean() for image in images.values()), *losses.values()]
        bad = ~torch.stack([torch.isfinite(value) for value in values])
        if self._first is None:
            self._names = [f"image '{name}', made by a generator," for name in images]
            self._names += [f"loss '{name}'" for name in losses]
            self._first = torch.full_like(bad, -1, dtype=torch.int64)
        self._first = torch.where(bad & (self._first < 0), step, self._first)

    def require(self, kept: str) -> None:
        """Read the device.

        Raises:
            TrainingError: some value was not finite; it names the loss, the step, and what was ``kept``.
        """
        if self._first is None:
            return
        found = [(step, name) for step, name in zip(self._first.tolist(), self._names, strict=True) if step >= 0]
        if found:
            step, name = min(found, key=lambda pair: pair[0])
            remedy = "lower the learning rate or a loss's weight, and start a new run"
            raise TrainingError(f"{name} is not a finite number at step {step}; {kept}; {remedy}")


def require_finite_weights(modules: Iterable[nn.Module], step: int, kept: str) -> None:
    """A finite loss can have a gradient that is no number: look before such weights are saved. Reads the device.

    Raises:
        TrainingError: some weight is not finite after ``step``; it says what was ``kept``.
    """
    finite = [weight.isfinite().all() for module in modules for weight in module.parameters()]
    if finite and not bool(torch.stack(finite).all()):
        found = f"weights are not finite numbers after step {step}, so some loss has no finite gradient"
        remedy = "lower the learning rate, or leave losses out one by one, and start a new run"
        raise TrainingError(f"{found}; {kept}; {remedy}")
