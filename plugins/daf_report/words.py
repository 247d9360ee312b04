"""What came out, in sentences. Numbers are those of the tables, in percent."""

from collections.abc import Mapping, Sequence

from daframework.errors import visible
from daframework.report.table import NOTHING, Record, spread
from daframework.storage.row_names import ORACLE, SOURCE_ONLY
from daframework.suites.outcome import percent, signed

_NEITHER = "no difference shown"
_NAMED = 3  # classes in a sentence
_SMALL = 0.005  # of IoU: a change of less is not worth a word
_KNOWN = 0.1  # of IoU: a class that the oracle finds no better in the target tells nothing of a translation


def method_sentence(row: Record, low: float | None, high: float | None, closed: float | None) -> str:
    """How far ``row`` came between source_only's score ``low`` and the oracle's ``high``; ``closed`` of the gap."""
    name, reached, seeds = visible(row["method"]), row["mIoU"]["mean"], len(row["seeds"])
    if reached is None:
        return f"{name} has no score: nothing was scored on the target."
    sentence = f"{name} reaches {spread(row['mIoU'])} mIoU on the target's test set"
    sentence += f" (mean of {seeds} seeds)" if seeds > 1 else ""
    others = {SOURCE_ONLY: low, ORACLE: high}
    apart = [
        f"{_apart(reached - value)} {'the ' * (other == ORACLE)}{other} ({_number(value)})"
        for other, value in others.items()
        if value is not None and other != row["method"]
    ]
    sentence += f", {' and '.join(apart)}" if apart else ""
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


def preserved_sentence(
    miou: float | None, by_class: Mapping[str, float | None], on_target: Mapping[str, float | None]
) -> str | None:
    """How much of what is in the images is still there after translation: least of the classes that the oracle, whose
    IoU ``on_target`` is, tells apart at all.
    """
    if miou is None:
        return None
    unknown = [name for name in by_class if (on_target.get(name) or 0.0) < _KNOWN]
    kept = sorted((value, name) for name, value in by_class.items() if value is not None and name not in unknown)
    sentence = f"Content preservation, the oracle's mIoU on translated images, is {_number(miou)}"
    if kept:
        sentence += f"; least kept: {', '.join(f'{visible(name)} ({_number(value)})' for value, name in kept[:_NAMED])}"
    if unknown:
        sentence += f"; nothing can be said of {', '.join(map(visible, unknown))}, which the oracle hardly knows in "
        sentence += f"the target either (IoU below {_number(_KNOWN)})"
    return f"{sentence}."


def seeds_sentence(rows: Sequence[Record]) -> str:
    """A warning where no row was trained twice."""
    if max((len(row["seeds"]) for row in rows), default=0) != 1:
        return ""
    return "Each method was trained with one seed: how far another would move these numbers is in no interval."


def pick_sentence(chosen: Record, best: Record) -> str:
    """Which row would be taken without labels, and what is lost by it."""
    sentence = f"Without a label of the target, the column pick names {visible(chosen['method'])}"
    reached, highest = chosen["mIoU"]["mean"], best["mIoU"]["mean"]
    if reached is None or highest is None:
        return f"{sentence}."
    if chosen["method"] == best["method"]:
        return f"{sentence}, the best."
    return f"{sentence}, {_apart(reached - highest)} {visible(best['method'])}."


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
