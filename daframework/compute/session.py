"""What every stage of a run is handed: the device, who listens, and whether to stop."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from daframework.errors import StoppedError
from daframework.listener import Listener

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # which loads torch's compiler

T = TypeVar("T")


@frozen(eq=False)
class Session:
    """Passed down through every stage: ``log`` is told how it goes, ``stopping`` asks it to save and end, ``saving`` to
    save and go on.
    """

    fabric: "Fabric"
    log: Listener
    stopping: Callable[[], bool] = lambda: False
    saving: Callable[[], bool] = lambda: False

    def steps(self, stage: str, items: Iterable[T], total: int) -> Iterator[T]:
        """``items``, each a step of ``stage``, for one that saves nothing in between.

        Raises:
            StoppedError: the user asked to stop.
        """
        self.log.begin(stage, total, 0)
        for done, item in enumerate(items, start=1):
            yield item
            self.log.advance(done)
            if self.stopping():
                raise StoppedError(f"stopped while {stage}")
