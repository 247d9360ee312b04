"""Errors a user can mend: the command line shows each as one line and exits with 1."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class DafError(Exception):
    """Something the user gave cannot work; the message says what, where, what is allowed and what to do."""


class RecipeError(DafError):
    """A recipe is wrong. Holds every problem that was found, not only the first."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        """One problem or several, each a line of its own."""
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class PluginError(DafError):
    """A plugin cannot be imported, clashes with another, or breaks an interface."""


class DataError(DafError):
    """A data file is missing, unreadable, or does not hold what its dataset promises."""


class RunError(DafError):
    """A run cannot start, go on or be read."""


class StoppedError(RunError):
    """The user asked to stop; everything up to the last finished step is saved."""


class TrainingError(RunError):
    """Training went wrong in a way that no more steps would mend, as when a loss is no longer a number."""


def lines(error: DafError) -> list[str]:
    """Every problem that an error holds, each a line of its own."""
    return error.problems if isinstance(error, RecipeError) else [str(error)]


@contextmanager
def collected(problems: list[str]) -> Iterator[None]:
    """Inside, what a user can mend is added to ``problems``, and what comes after it goes on."""
    try:
        yield
    except DafError as error:
        problems += lines(error)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The text for an unknown name, with the nearest known one: ``no loss named 'gn'; did you mean 'gan'?``."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"no {what} named '{name}'{hint} (known: {', '.join(names) or 'none'})"


def one_line(error: BaseException, *, kind: bool = False) -> str:
    """What an error says, in one line: ``kind`` begins it with its type, which stands alone where it says nothing."""
    said, name = " ".join(str(error).split()), type(error).__name__
    return f"{name}: {said}" if kind and said else said or name


@contextmanager
def needing(what: str, *, extra: str) -> Iterator[None]:
    """Inside, what an extra installs is imported: ``needing("daf tune needs Optuna", extra="tune")``.

    Raises:
        RunError: it is not there; the line begins with ``what``.
    """
    try:
        yield
    except ImportError as error:
        raise RunError(f"{what} ({error}); install it with: pip install 'daframework[{extra}]'") from error


@contextmanager
def writing(path: Path, raised: type[DafError] = RunError) -> Iterator[None]:
    """Inside, ``path`` is written: where the disk or a folder's rights forbid it, ``raised`` says so in a line."""
    try:
        yield
    except OSError as error:
        raise raised(f"{path} cannot be written: {error.strerror or error}") from error


def visible(text: str) -> str:
    """Line breaks, control characters and broken Unicode written as escapes: terminals obey them, SVG breaks."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def warn(text: str) -> None:
    """Tell the user in a line what goes on more slowly, or otherwise, than was asked."""
    print(f"warning: {visible(text)}", file=sys.stderr)


def complain(error: DafError) -> None:
    """Tell the user what cannot work, a line each."""
    for line in str(error).splitlines():
        print(f"error: {visible(line)}", file=sys.stderr)  # a file may be named after what commands a terminal
