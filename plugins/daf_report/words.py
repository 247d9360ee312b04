"""What came out, in sentences. Numbers are those of the tables, in percent."""

from collections.abc import Mapping, Sequence

from daframework.errors import visible
from daframework.report.table import NOTHING, Record
from daframework.storage.row_names import ORACLE, SOURCE_ONLY
from daframework.suites.outcome import percent, signed

_NEITHER = "no difference shown"
_NAMED = 3  # classes in a sentence
_SMALL = 0.0005  # of IoU: a difference that a table shows as 0


def method_sentence(row: Record, low: float | None, high: float | None, closed: float | None) -> str:
    """How far ``row`` came between source_only's score ``low`` and the oracle's ``high``; ``closed`` of the gap."""
    name, reached = visible(row["method"]), row["mIoU"]["mean"]
    if reached is None:
        return f"{name} has no score: nothing was scored on the target."
    sentence = f"{name} reaches {_number(reached)} mIoU on the target's test set"
    if low is not None:
        sentence += f", {_apart(reached - low)} {SOURCE_ONLY} ({_number(low)})"
    if high is not None:
        sentence += f" and {_apart(reached - high)} the {ORACLE} ({_number(high)})"
    if closed is not None and closed > 0:
        sentence += f": adaptation recovered {percent(closed)} of the gap"
    elif closed is not None:
        sentence += ": adaptation recovered nothing of the gap"
    return f"{sentence}."


def interval_sentence(name: str, to: str, interval: Sequence[float] | None, verdict: str | None) -> str | None:
    """Whether a difference could come from the choice of test images; None where there is no interval."""
    if interval is None:
        return None
    span = f"95 % interval over test images {signed(interval[0])} to {signed(interval[1])}"
    if verdict is None:
        return f"Whether {visible(name)} is better or worse than {to} cannot be told ({span})."
    return f"{visible(name)} is {verdict} than {to} beyond the choice of test images ({span})."


def gains_sentence(change: Mapping[str, float | None]) -> str | None:
    """The classes that gained and lost most; ``change`` of IoU by class."""
    known = sorted(((value, name) for name, value in change.items() if value is not None), reverse=True)
    gained = [f"{visible(name)} ({signed(value)})" for value, name in known if value > _SMALL][:_NAMED]
    lost = [f"{visible(name)} ({signed(value)})" for value, name in reversed(known) if value < -_SMALL][:_NAMED]
    said = [f"{', '.join(gained)} gain most"] if gained else []
    said += [f"{', '.join(lost)} suffer most"] if lost else []
    return f"Class by class, against {SOURCE_ONLY}: {'; '.join(said)}." if said else None


def change(first: Mapping[str, float | None], second: Mapping[str, float | None]) -> dict[str, float | None]:
    """By class, how far the first's IoU is above the second's; None where one has none."""
    pairs = {name: (iou, second[name]) for name, iou in first.items()}
    return {name: None if one is None or two is None else one - two for name, (one, two) in pairs.items()}


def preserved_sentence(miou: float | None, by_class: Mapping[str, float | None]) -> str | None:
    """How much of what is in the images is still there after translation."""
    if miou is None:
        return None
    known = sorted((value, name) for name, value in by_class.items() if value is not None)
    worst = ", ".join(f"{visible(name)} ({_number(value)})" for value, name in known[:_NAMED])
    return f"Content preservation, the oracle's mIoU on translated images, is {_number(miou)}; least kept: {worst}."


def against_baseline(rows: Sequence[Record], baseline: str) -> str:
    """Which methods are better, worse, or neither, than the baseline."""
    groups: dict[str, list[str]] = {"better": [], "worse": [], _NEITHER: []}
    for row in rows:
        if row["to_baseline_interval"] is not None and row["method"] not in (SOURCE_ONLY, ORACLE):
            groups[row["verdict"] or _NEITHER].append(visible(row["method"]))
    said = [f"{what}: {', '.join(names)}" for what, names in groups.items() if names]
    return f"Against {visible(baseline)}, beyond the choice of test images, {'; '.join(said)}." if said else ""


def _apart(difference: float) -> str:
    points = f"{abs(round(100 * difference, 1)):.1f} points"
    return f"{points} {'above' if difference >= 0 else 'below'}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}"
