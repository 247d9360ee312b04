"""A search from its recipe to its best one: what ``daf tune`` and `daframework.tune` do."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen
from rich.console import Console
from torch import nn

from daframework.build import make_task
from daframework.errors import DataError, RecipeError, RunError, warn
from daframework.recipes.read import read_tables, read_toml
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, load_plugins
from daframework.runs.check import check
from daframework.storage.files import write_text
from daframework.storage.lock import held
from daframework.storage.run_folder import RunFolder, is_as_written, open_folder, recipe_text
from daframework.suites.bench import open_executor
from daframework.suites.bench_view import QUIET, BenchView
from daframework.suites.processes import carry_out
from daframework.suites.status import status
from daframework.suites.work import Work
from daframework.tuning.findings import Tuning as Tuning
from daframework.tuning.record import SearchTrial, read_trials, trial_name, write_trials
from daframework.tuning.sampler import ask, require_optuna
from daframework.tuning.space import Space, default_space, make_space, own_values, with_values

_MOST_FAILURES = 3
"""Where so many trials have failed and none has been scored, it may be no fault of their values."""


def tune(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    trials: int = 20,
    space: str | Path | Mapping[str, Any] | None = None,
    jobs: int | None = None,
    on: str | None = None,
    plugins: Plugins | None = None,
    console: Console = QUIET,
    stopping: Callable[[], bool] = lambda: False,
) -> Tuning:
    """Search keys of a recipe by a score without labels as ``daf tune`` does, each trial in a process of its own.

    ``recipe`` is tried as it is and with other values, until there are so many ``trials``; the best is kept as a
    recipe. The folder is ``tune/<name>/seed<seed>`` unless ``out``; what was tried there counts. ``space`` is a file,
    or ranges by key as docs/tune.md has them, and `default_space` unless given. ``jobs`` and ``on`` are as in `bench`;
    ``plugins`` are those that are installed, and trials are shown on ``console``.

    Raises:
        DafError: Optuna, data or a free folder is missing, the recipe or the space is wrong, or the first trials fail.
        StoppedError: the user asked to stop; the runs have saved what they had.
    """
    require_optuna()
    plugins, folder = plugins or load_plugins(warn=warn), search_folder(recipe) if out is None else Path(out)
    if space is None:
        found = default_space(recipe)
    elif isinstance(space, Mapping):
        found = make_space(plugins, recipe, space, "space")
    else:
        found = make_space(plugins, recipe, read_tables(Path(space)), str(space))
    for missing in check(plugins, without_labels(recipe), recipe.name):
        raise DataError(missing)
    # The number of classes changes nothing here: the data need not be opened twice.
    if make_task(plugins, recipe, 2).label_free(nn.Identity()) is None:
        raise RecipeError(f"{recipe.name}: task '{recipe.task.name}' has no score without labels; compare by daf bench")
    tuned, best = f"{recipe.name}_tuned", folder / "best.toml"
    with_values(recipe, {}, tuned)  # so that a name that grows too long is refused now
    read_trials(folder, recipe, found)  # before anything is left in a folder that is another's
    with held(folder):
        tried = read_trials(folder, recipe, found)
        if best.exists() and not is_as_written(read_toml(best)):
            raise RunError(f"{best} was changed since the search wrote it; give it another name")
        search = _Search(folder, recipe, found, max(trials, len(tried)), tried)
        if search.left:
            with open_executor(on, jobs) as executor:
                search.places = executor.places
                names = [trial_name(number) for number in search.unfinished()]
                done = search.total - search.left
                with BenchView(console, names, done, search.seconds_left, executor.places) as view:
                    carry_out(search, folder, executor, view, stopping)
        made = Tuning(folder, found, tuple(search.trials), recipe.name, best)
        changed = {} if made.best.number == 0 else made.best.values
        write_text(made.recipe, recipe_text(with_values(recipe, changed, tuned)))
    return made


def search_folder(recipe: Recipe) -> Path:
    """Where a search lies unless the user says."""
    return Path("tune") / recipe.name / f"seed{recipe.seed}"


def without_labels(recipe: Recipe) -> Recipe:
    """``recipe`` with its own row alone, for which no label of the target is read, and no score that needs one."""
    needed = evolve(recipe.downstream, source_only=False, oracle=False, score=False, target_norms=0.0)
    return evolve(recipe, downstream=needed)


@frozen
class _Run(Work):
    """The run of a trial."""

    number: int


@define(eq=False)
class _Search:
    """The trials of a search as a `Queue`.

    A trial is asked for once all but the ``places - 1`` before it have ended, and is told of those alone: so a search
    with as many places asks the same, whichever of its runs is the quickest.
    """

    out: Path
    recipe: Recipe
    space: Space
    total: int
    trials: list[SearchTrial]
    places: int = 1
    _begun: set[int] = field(factory=set)
    _failures: int = 0

    def unfinished(self) -> list[int]:
        """The numbers of the trials that have not ended and not begun, of those too that were not asked for yet."""
        ended = {one.number for one in self.trials if one.ended}
        return [number for number in range(self.total) if number not in ended | self._begun]

    @property
    def left(self) -> int:
        return len(self.unfinished())

    def take(self, running: Sequence[_Run]) -> _Run | None:
        number = next(iter(self.unfinished()), None)
        if number is None:
            return None
        if number == len(self.trials):
            known = max(0, number - self.places + 1)
            if not all(one.ended for one in self.trials[:known]):
                return None
            self.trials.append(SearchTrial(number, self._values(number, known)))
            self._keep()
        self._begun.add(number)
        trial = self.trials[number]
        changed = with_values(self.recipe, trial.values) if number else self.recipe
        name = trial_name(number)
        return _Run(name, without_labels(changed), RunFolder(self.out / name), number)

    def _values(self, number: int, known: int) -> dict[str, Any]:
        """What trial ``number`` tries, told of those before ``known``: one that failed is as bad as the worst."""
        if number == 0:
            return own_values(self.recipe, self.space)
        worst = min((one.score for one in self.trials[:known] if one.score is not None), default=None)
        told = [(one.values, worst if one.score is None else one.score) for one in self.trials[:known]]
        pending = [one.values for one in self.trials[known:]]
        scored = [(values, score) for values, score in told if score is not None]
        return ask(self.space, self.recipe.seed, number, scored, pending)

    def prepare(self, work: _Run) -> None:
        open_folder(work.folder.path, work.recipe)

    def ended(self, work: _Run, failure: str | None) -> None:
        """Keep what came out.

        Raises:
            RunError: too many failed, and none was scored.
        """
        results = status(work).results
        trial, score, seconds = self.trials[work.number], None, None
        if failure is None and results is not None:
            # The last row is the recipe's own, after self-training where it asks for that.
            score, seconds = results.rows[-1].mutual_information, sum(results.seconds.values())
        failure = None if score is not None else failure or "its model was not looked at"
        self.trials[work.number] = evolve(trial, score=score, failure=failure, seconds=seconds)
        self._begun.discard(work.number)
        self._keep()
        self._failures += failure is not None
        if self._failures == _MOST_FAILURES and all(one.score is None for one in self.trials):
            last = f"the last, {work.folder.path}: {failure}"
            raise RunError(
                f"{_MOST_FAILURES} trials failed and none was scored; {last}; mend it, delete their folders, run again"
            )

    def _keep(self) -> None:
        write_trials(self.out, self.recipe, self.space, self.trials)

    def seconds_left(self) -> dict[str, float | None]:
        """What each unfinished trial may still take, by its name: as long as the others did."""
        known = [one.seconds for one in self.trials if one.seconds is not None]
        each = statistics.mean(known) if known else None
        return {trial_name(number): each for number in range(self.total)}
