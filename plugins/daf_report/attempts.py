"""Make what can be made of a folder, and remember in a line what could not."""

from collections.abc import Callable
from typing import TypeVar

from attrs import field, frozen

from daframework.errors import DafError, one_line

Made = TypeVar("Made")


@frozen(eq=False)
class Attempts:
    """``notices`` say what could not be shown, and why."""

    notices: list[str] = field(factory=list)

    def at(self, what: str, make: Callable[[], Made]) -> Made | None:
        """What ``make`` gives; None and a notice where it fails: files may be damaged, and plugins raise anything."""
        try:
            return make()
        except Exception as error:
            notice = f"{what}: {one_line(error, kind=not isinstance(error, DafError))}"
        if notice not in self.notices:
            self.notices.append(notice)
        return None
