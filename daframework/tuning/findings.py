"""What a search found: as plain rows, and as a table for people."""

import json
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from daframework.errors import RunError
from daframework.report.pick import SCORE
from daframework.report.table import Column, Grid, Record, as_json, as_text, grid, over_seeds
from daframework.suites.outcome import signed
from daframework.tuning.record import SearchTrial
from daframework.tuning.space import Space

_SHOWN = 10  # trials


@frozen
class Tuning:
    """A search of ``method`` in its ``folder``: its ``trials`` by number, and the file of the best one's ``recipe``."""

    folder: Path
    space: Space
    trials: tuple[SearchTrial, ...]
    method: str
    recipe: Path

    @property
    def best(self) -> SearchTrial:
        """The trial of the highest score.

        Raises:
            RunError: none has one.
        """
        ranked = self._ranked()
        if not ranked:
            reasons = [f"trial {one.number} failed: {one.failure}" for one in self.trials]
            raise RunError("\n".join([f"{self.folder} holds no finished trial", *reasons]))
        return ranked[0]

    @property
    def rows(self) -> list[Record]:
        """A plain dictionary for each trial, by number: ``number``, ``values``, ``score``, ``failure``, ``seconds``."""
        return [asdict(one) for one in self.trials]

    def _ranked(self) -> list[SearchTrial]:
        scored = [(one.score, one) for one in self.trials if one.score is not None]
        return [one for _, one in sorted(scored, key=lambda pair: pair[0], reverse=True)]

    def grid(self) -> Grid:
        """The best trials and the recipe itself: score, by how much it is above the recipe's, and the values."""
        shown = [one for place, one in enumerate(self._ranked()) if place < _SHOWN or one.number == 0]
        own = self.trials[0].score

        def above(row: Record) -> str | None:
            return None if own is None or row["number"] == 0 else signed(row["score"] - own)

        def value(key: str) -> Column:
            return key, lambda row: _short(row["values"][key])

        columns: list[Column] = [
            ("trial", lambda row: row["number"] or f"0: {self.method}"),
            (SCORE, lambda row: over_seeds([row["score"]])),
            ("vs trial 0", above),
            *map(value, self.space),
        ]
        title = f"{self.method}: {SCORE} on the target's training images, percent; no label went into it"
        return grid(title, [asdict(one) for one in shown], columns, best=frozenset({0}), notes=self._notes())

    def _notes(self) -> list[str]:
        own, best = self.trials[0].score, self.best
        failed = [f"trial {one.number} failed: {one.failure}" for one in self.trials if one.failure is not None]
        if own is None or best.score is None:
            lead = f"best: trial {best.number}; the recipe as it is failed"
        elif best.number == 0:
            lead = "best: trial 0, the recipe as it is"
        else:
            lead = f"best: trial {best.number}, {100 * (best.score - own):.1f} points before the recipe as it is"
        count = len(self.trials) - len(failed)
        warning = f"best of {count} trials of one seed, by a score that may mislead: compare it by daf bench, or by eye"
        return [lead, warning, *failed]

    def text(self, form: str = "markdown") -> str:
        """The table as "markdown", "csv", "latex" or "rich", or every trial as "json"."""
        if form == "json":
            return as_json({"method": self.method, "score": SCORE, "best": self.best.number, "trials": self.rows})
        return as_text([self.grid()], form)

    def __str__(self) -> str:
        return self.text()


def _short(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
