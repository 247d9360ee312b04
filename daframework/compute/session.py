"""What every stage of a run is handed: the device, who listens, and whether to stop."""

from collections.abc import Callable

from attrs import frozen
from lightning_fabric import Fabric

from daframework.errors import RunError
from daframework.listener import Listener


class StoppedError(RunError):
    """The user asked to stop; everything up to the last finished step is saved."""


@frozen(eq=False)
class Session:
    """Passed down through every stage: ``log`` is told how it goes, ``stopping`` asks it to save and end, ``saving`` to
    save and go on.
    """

    fabric: Fabric
    log: Listener
    stopping: Callable[[], bool]
    saving: Callable[[], bool] = lambda: False
