"""Make what can be made of a folder, and remember in a line what could not."""

from collections.abc import Callable
from typing import TypeVar

from attrs import field, frozen

from daframework.errors import DafError

Made = TypeVar("Made")


@frozen(eq=False)
class Attempts:
    """``notices`` say what could not be shown, and why."""

    notices: list[str] = field(factory=list)

    def at(self, what: str, make: Callable[[], Made]) -> Made | None:
        """What ``make`` gives; None and a notice where it fails: files may be damaged, and plugins raise anything."""
        try:
            return make()
        except DafError as error:
            reason = str(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        notice = f"{what}: {' '.join(reason.split())}"
        if notice not in self.notices:
            self.notices.append(notice)
        return None
