"""Who is told how a run goes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class Listener:
    """Told how a run goes, by its first process. Override what you want to hear of; the rest does nothing.

    It is called between two steps, so what takes long holds up the run.
    """

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage of ``total`` steps starts, ``done`` of them in an earlier session."""

    def advance(self, done: int) -> None:
        """``done`` steps of the stage are finished."""

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Values such as losses, by name, after ``step`` steps of the stage."""

    def image(self, name: str, step: int, image: "Tensor") -> None:
        """A picture (3, H, W) uint8 RGB made after ``step`` steps of the stage, such as the grid ``samples``."""

    def end(self, results: Mapping[str, Any] | None) -> None:
        """The run ends: the content of its results.json, or None where it was stopped or failed."""
