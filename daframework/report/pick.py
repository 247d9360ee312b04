"""Which row to take where no label of the target says so."""

import statistics
from collections.abc import Sequence

from daframework.report.table import Record, without_oracle
from daframework.scores import Metric

SCORE = "mutual_information"
"""What rows are ranked by where there is no label, as tables and files call it."""


def picks(rows: Sequence[Record]) -> dict[str, int]:
    """Each row's place, from 1, by falling mean of `SCORE`, which no label went into; the oracle takes none."""
    return {row["method"]: place for place, row in enumerate(_ranked(rows), start=1)}


def _ranked(rows: Sequence[Record]) -> list[Record]:
    known = [(score, row) for row in without_oracle(rows) if (score := row[SCORE]["mean"]) is not None]
    return [row for _, row in sorted(known, key=lambda one: one[0], reverse=True)]


def pick_notes(rows: Sequence[Record], metric: Metric) -> list[str]:
    """What stands under a table with a column ``pick``: the row it names, and how far ``metric`` agrees."""
    chosen = _ranked(rows)
    if len(chosen) < 2:
        return []
    first, second = (row[SCORE] for row in chosen[:2])
    lead, deviations = first["mean"] - second["mean"], (first["standard_deviation"], second["standard_deviation"])
    if None in deviations:
        sure = "of one seed"
    else:
        sure = f"{'more' if lead > max(deviations) else 'less'} than it differs over seeds"
    why = "by mutual information on the target's training images, which needs no label"
    ahead = f"{100 * lead:.1f} points of mutual information before {chosen[1]['method']}, {sure}"
    lines = [f"pick: {chosen[0]['method']}, {why}; {ahead}"]
    found = ((row[SCORE]["mean"], row[metric.name]["mean"]) for row in chosen)
    scored = [(score, -metric.rank(value)) for score, value in found if value is not None]
    agreement = rank_correlation(*zip(*scored, strict=True)) if scored else None
    if agreement is not None:
        lines.append(f"pick: rank correlation (Spearman) with {metric.title} {agreement:.2f} over {len(scored)} rows")
    return lines


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's, of two lists of one length, from -1 to 1; None of fewer than three, or where all of one are alike."""
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    return statistics.correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    """Places by size; those that are alike share the mean of theirs."""
    return [sum(other < one for other in values) + sum(other == one for other in values) / 2 for one in values]
