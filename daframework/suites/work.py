"""What is carried out, and where: between a suite or a search, and the machines that compute."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import frozen

from daframework.recipes.tables import Recipe
from daframework.storage.run_folder import RunFolder


@frozen
class Work:
    """A run of ``recipe`` that is to be made in ``folder``: a cell of a suite, or a trial of a search.

    It is called ``name``, and its log too: the folder's path inside that of the suite or search.
    """

    name: str
    recipe: Recipe
    folder: RunFolder


W = TypeVar("W", bound=Work)


class Queue(Protocol[W]):
    """Runs in the order in which they may begin."""

    @property
    def left(self) -> int:
        """How many have not begun."""

    def take(self, running: Sequence[W]) -> W | None:
        """The next one, which then counts as begun; None where it has to wait for some of those ``running``."""

    def prepare(self, work: W) -> None:
        """Open its folder, with its recipe in it.

        Raises:
            DafError: it cannot be begun.
        """

    def ended(self, work: W, failure: str | None) -> None:
        """It has ended; ``failure`` says why, where it is not finished."""


@frozen
class Ending:
    """How a process ended: its exit code, a signal's number below zero, and the last line that it printed."""

    code: int
    said: str


class Job(Protocol):
    """The process of one run, wherever it is."""

    @property
    def begun(self) -> bool:
        """Whether it runs, or has run; until then it waits for a place."""

    def ending(self) -> Ending | None:
        """How it ended; None before."""

    def says(self) -> str:
        """The last line that it printed."""

    def stop(self) -> None:
        """Ask it to save and end."""

    def wait(self) -> None:
        """Return when it has ended."""


class Executor(Protocol):
    """Where the processes of runs are."""

    @property
    def jobs(self) -> int:
        """How many runs it takes at once; not all need have a place."""

    @property
    def places(self) -> int:
        """About how many runs go on at once."""

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two looks at its jobs."""

    def submit(self, work: Work, log: Path, slot: int) -> Job:
        """Begin a run that prints to ``log``; ``slot``, below ``jobs``, is that of no other job that still runs.

        Raises:
            DafError, OSError: it cannot be started.
        """
