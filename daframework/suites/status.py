"""How far a run of a suite is, told from its folder alone."""

from collections.abc import Mapping
from contextlib import suppress
from enum import Enum

from attrs import frozen

from daframework.compute.environment import software
from daframework.errors import RunError
from daframework.runs.context import read_seconds
from daframework.storage.results import Results, read_results
from daframework.storage.row_names import TRANSLATING, TRANSLATION
from daframework.storage.run_folder import difference_in, holds_other_files
from daframework.suites.work import Work

SHARED_STAGES = (TRANSLATION, TRANSLATING)
"""Stages that the first task's run does for those of the other tasks; their seconds go along with what they made."""


class State(Enum):
    """How far a run is."""

    MISSING = "to run"
    STARTED = "to go on with"
    DONE = "done"
    FOREIGN = "of another recipe"


@frozen
class Status:
    """The state of a run; its ``results`` where it is done.

    ``stale`` says by which other commit or version of daframework finished results were made; ``problem`` what is wrong
    with the folder, or why the run last stopped.
    """

    state: State
    results: Results | None = None
    stale: str | None = None
    problem: str | None = None


Statuses = Mapping[str, Status]
"""Of the runs of a suite, by their names."""


def status(work: Work) -> Status:
    """The state of ``work``. Nothing is changed."""
    folder = work.folder
    if not folder.recipe.exists():
        occupied = folder.path.is_file() or holds_other_files(folder.path)
        return Status(State.FOREIGN, problem="holds other files") if occupied else Status(State.MISSING)
    try:
        changed = difference_in(folder, work.recipe)
    except RunError as error:
        changed = str(error)
    if changed is not None:
        return Status(State.FOREIGN, problem=changed)
    if not folder.results.exists():
        return Status(State.STARTED)
    try:
        results = read_results(folder.results)
        if (results.recipe, results.seed) != (work.recipe.name, work.recipe.seed):
            raise RunError("of another run")
    except RunError:
        return Status(State.STARTED, problem=f"{folder.results.name} is damaged; running the suite writes it anew")
    return Status(State.DONE, results, stale=_stale(results))


def _stale(results: Results) -> str | None:
    """What made the results, where it is not what is installed now."""
    was, now = results.environment.get("commit"), software()
    version = results.environment.get("versions", {}).get("daframework")
    if was == now["commit"] and version == now["version"]:
        return None
    return f"commit {was}" if was and was != now["commit"] else f"version {version}"


def stage_seconds(work: Work, one: Status) -> dict[str, float]:
    """Seconds that each stage of ``work`` has taken so far; none where its folder does not say."""
    if one.results is not None:
        return one.results.seconds
    with suppress(RunError):
        return read_seconds(work.folder)
    return {}
