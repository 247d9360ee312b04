"""What a search has tried so far, in one file of its folder; what a trial computed lies in the trial's own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, frozen

from daframework.errors import DafError, RunError, one_line
from daframework.recipes.read import differing, dump, parse
from daframework.recipes.strict import structure
from daframework.recipes.tables import Recipe
from daframework.storage.files import write_text
from daframework.storage.run_folder import difference
from daframework.text_file import read_text
from daframework.tuning.space import Space

_FILE = "trials.json"


@frozen
class SearchTrial:
    """One trial of a search: the ``values`` of its keys, and once it has ended its ``score`` or why it failed.

    Trial 0 is the recipe itself, with its own values; ``seconds`` are what it took.
    """

    number: int
    values: dict[str, Any]
    score: float | None = None
    failure: str | None = None
    seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over, one way or the other."""
        return self.score is not None or self.failure is not None


def trial_name(number: int) -> str:
    """The path of a trial's folder inside the search's."""
    return f"trials/{number:04}"


def write_trials(out: Path, recipe: Recipe, space: Space, trials: Sequence[SearchTrial]) -> None:
    """Keep what was tried in ``out``, in place of what was there.

    Raises:
        RunError: it cannot be written.
    """
    content = {
        "recipe": dump(recipe),
        "space": {key: one.written() for key, one in space.items()},
        "trials": [asdict(one) for one in trials],
    }
    write_text(out / _FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_trials(out: Path, recipe: Recipe, space: Space) -> list[SearchTrial]:
    """What the same search has tried in ``out``; nothing where it has not begun.

    A trial that failed and whose folder was deleted since is to be tried again.

    Raises:
        RunError: the folder holds another search or other files, or its file is damaged.
    """
    path = out / _FILE
    if not path.exists():
        if out.is_dir() and any(not one.name.startswith(".") for one in out.iterdir()):
            raise RunError(f"{out} is not empty and holds no search; give another folder with --out")
        return []
    try:
        content = json.loads(read_text(path))
        was = parse(content["recipe"], str(path))
        ranges = differing(content["space"], {key: one.written() for key, one in space.items()}, "not there")
        trials, problems = structure(content["trials"], tuple[SearchTrial, ...], "trials")
        if trials is None:
            raise ValueError("; ".join(problems))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, DafError) as error:
        raise RunError(f"{path}: damaged ({one_line(error)}); give another folder with --out") from error
    changed = difference(was, recipe)
    if changed is None and ranges:
        changed = "the range of {} was {}, now {}".format(min(ranges), *ranges[min(ranges)])
    if changed is not None:
        raise RunError(f"{out} holds another search ({changed}); give another folder with --out, or delete this one")
    return [
        evolve(one, failure=None) if one.failure is not None and not (out / trial_name(one.number)).exists() else one
        for one in trials
    ]
