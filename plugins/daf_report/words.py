"""What came out, in sentences. Numbers are those of the tables: in percent, or in the metric's unit."""

from collections.abc import Mapping, Sequence

from daframework.errors import visible
from daframework.report.pick import picks
from daframework.report.table import Record, spread, without_oracle
from daframework.scores import PERCENT, Metric
from daframework.storage.row_names import ORACLE, SOURCE_ONLY
from daframework.suites.outcome import percent, signed

_NEITHER = "no difference shown"
_NAMED = 3  # classes in a sentence
_SMALL = 0.005  # a change of less is not worth a word
_KNOWN = 0.1  # of IoU: a class that the oracle finds no better in the target tells nothing of a translation


def method_sentence(row: Record, metric: Metric, means: Mapping[str, float | None]) -> str:
    """How far ``row`` came between source_only and the oracle, of the rows' ``means`` by method."""
    name, reached, seeds = visible(row["method"]), row[metric.name]["mean"], len(row["seeds"])
    if reached is None:
        return f"{name} has no score: nothing was scored on the target."
    sentence = f"{name} reaches {_in_unit(spread(row[metric.name], metric), metric)} {visible(metric.title)}"
    sentence += f"{'' if metric.higher_is_better else ' (lower is better)'} on the target's test set"
    sentence += f" (mean of {seeds} seeds)" if seeds > 1 else ""
    apart = [
        f"{_apart(reached - value, metric)} {'the ' * (other == ORACLE)}{other} ({metric.text(value)})"
        for other in (SOURCE_ONLY, ORACLE)
        if (value := means.get(other)) is not None and other != row["method"]
    ]
    sentence += f", {' and '.join(apart)}" if apart else ""
    if row["gap_closed"] is not None:
        what = percent(row["gap_closed"]) if row["gap_closed"] > 0 else "nothing"
        sentence += f": adaptation recovered {what} of the gap"
    return f"{sentence}."


def few_sentence(images: int) -> str:
    """Why there is no interval."""
    return f"Too few test images ({images}) for an interval; the difference may be chance."


def interval_sentence(row: Record, to: str, metric: Metric) -> str | None:
    """Whether a row's difference could come from the choice of test images; None where nothing is known of that."""
    if (interval := row["to_baseline_interval"]) is None:
        return None if row["few"] is None else few_sentence(row["few"])
    name, verdict = row["method"], row["verdict"]
    ends = f"{signed(interval[0], metric)} to {signed(interval[1], metric)}"
    span = f"95 % interval over test images {_in_unit(ends, metric)}"
    if verdict is None:
        return f"Whether {visible(name)} is better or worse than {to} cannot be told ({span})."
    return f"{visible(name)} is {verdict} than {to} beyond the choice of test images ({span})."


def gains_sentence(change: Mapping[str, float | None], metric: Metric) -> str | None:
    """The classes that gained and lost most; ``change`` of the metric's parts by class."""
    better = 1 if metric.higher_is_better else -1
    known = sorted(((better * value, name) for name, value in change.items() if value is not None), reverse=True)
    told = [(value, f"{visible(name)} ({signed(better * value, metric)})") for value, name in known]
    gained = [text for value, text in told if value > _SMALL][:_NAMED]
    lost = [text for value, text in reversed(told) if value < -_SMALL][:_NAMED]
    said = [f"{', '.join(gained)} gain most"] if gained else []
    said += [f"{', '.join(lost)} suffer most"] if lost else []
    return f"Class by class, against {SOURCE_ONLY}: {'; '.join(said)}." if said else None


def change(first: Mapping[str, float | None], second: Mapping[str, float | None]) -> dict[str, float | None]:
    """By class, how far the first's value is above the second's; None where one has none."""
    pairs = {name: (value, second[name]) for name, value in first.items()}
    return {name: None if one is None or two is None else one - two for name, (one, two) in pairs.items()}


def preserved_sentence(
    metric: Metric,
    kept: float | None,
    parts: Metric,
    by_class: Mapping[str, float | None],
    on_target: Mapping[str, float | None],
) -> str | None:
    """How much of what is in the images is still there after translation: ``kept`` of the metric, and least of the
    classes that the oracle, whose ``parts`` by class ``on_target`` are, tells apart at all.
    """
    if kept is None:
        return None
    judged = parts.unit == PERCENT and parts.higher_is_better  # elsewhere no value says that a class is not known
    unknown = [name for name in by_class if judged and (on_target.get(name) or 0.0) < _KNOWN]
    least = [(value, name) for name, value in by_class.items() if value is not None and name not in unknown]
    least = sorted(least, key=lambda one: (-parts.rank(one[0]), one[1]))[:_NAMED]
    reached = _in_unit(metric.text(kept), metric)
    sentence = f"Content preservation, the oracle's {visible(metric.title)} on translated images, is {reached}"
    if least:
        said = ", ".join(f"{visible(name)} ({parts.text(value)})" for value, name in least)
        sentence += f"; least kept: {said}"
    if unknown:
        sentence += f"; nothing can be said of {', '.join(map(visible, unknown))}, which the oracle hardly knows in "
        sentence += f"the target either ({parts.by_class} below {parts.text(_KNOWN)})"
    return f"{sentence}."


def seeds_sentence(rows: Sequence[Record]) -> str:
    """A warning where no row was trained twice."""
    if max((len(row["seeds"]) for row in rows), default=0) != 1:
        return ""
    return "Each method was trained with one seed: how far another would move these numbers is in no interval."


def pick_sentence(rows: Sequence[Record], metric: Metric) -> str:
    """Which of ``rows``, best first, would be taken without labels, and what is lost by it; empty if none can be."""
    places, best = picks(rows), without_oracle(rows)[:1]
    chosen = next((row for row in rows if places.get(row["method"]) == 1), None)
    if chosen is None:
        return ""
    sentence = f"Without a label of the target, the column pick names {visible(chosen['method'])}"
    reached, highest = (row[metric.name]["mean"] for row in (chosen, *best))
    if reached is None or highest is None:
        return f"{sentence}."
    if chosen is best[0]:
        return f"{sentence}, the best."
    return f"{sentence}, {_apart(reached - highest, metric)} {visible(best[0]['method'])} in {metric.title}."


def against_baseline(rows: Sequence[Record], baseline: str) -> str:
    """Which methods are better, worse, or neither, than the baseline."""
    groups: dict[str, list[str]] = {"better": [], "worse": [], _NEITHER: []}
    for row in rows:
        if row["to_baseline_interval"] is not None and row["method"] not in (SOURCE_ONLY, ORACLE):
            groups[row["verdict"] or _NEITHER].append(visible(row["method"]))
    said = [f"{what}: {', '.join(names)}" for what, names in groups.items() if names]
    return f"Against {visible(baseline)}, beyond the choice of test images, {'; '.join(said)}." if said else ""


def difference_heading(baseline: str | None, metric: Metric) -> str:
    """Above a plot of differences to ``baseline``."""
    what = f"points of {metric.title}" if metric.unit == PERCENT else f"{metric.title}{metric.shown_in}"
    return f"Difference to {baseline}, {what}{'' if metric.higher_is_better else ', lower is better'}"


def _apart(difference: float, metric: Metric) -> str:
    text = metric.text(abs(difference))
    size = f"{text} points" if metric.unit == PERCENT else _in_unit(text, metric)
    if metric.higher_is_better:
        return f"{size} {'above' if difference >= 0 else 'below'}"
    return f"{size} {'better' if difference < 0 else 'worse'} than"


def _in_unit(text: str, metric: Metric) -> str:
    """Numbers with their unit; percent is told where tables are."""
    return text if metric.unit in ("", PERCENT) else f"{text} {metric.unit}"
