"""What every stage of a run is handed: the device, where to tell how it goes, and whether to stop."""

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen
from lightning_fabric import Fabric

from daframework.errors import RunError


class StoppedError(RunError):
    """The user asked to stop; everything up to the last finished step is saved."""


class Log(Protocol):
    """Where a stage tells how it goes."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage of ``total`` steps starts, ``done`` of them in an earlier session."""

    def advance(self, done: int) -> None:
        """``done`` steps of the stage are finished."""

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Values such as losses, by name, after ``step`` steps."""


@frozen(eq=False)
class Session:
    """Passed down through every stage: ``stopping`` asks it to save and end, ``saving`` to save and go on."""

    fabric: Fabric
    log: Log
    stopping: Callable[[], bool]
    saving: Callable[[], bool] = lambda: False
