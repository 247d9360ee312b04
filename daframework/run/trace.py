"""Where the time of recorded training steps went, from the events of a Chrome trace."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from daframework.profiling import PREFIX

REST = "the rest"
_ANNOTATION = "user_annotation"
_STEP = "ProfilerStep#"
_ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_LAUNCHES = ("cuda_runtime", "cuda_driver")


@frozen
class Part:
    """One part of a step, as `daframework.profiling.span` names it, without the parts inside it.

    Args:
        name: the span's, or `REST`.
        ms: milliseconds of a step, mean; those of all parts add up to the step.
        device_ms: of these, while the device computed; 0 where no device was watched.
        times: how often it was entered in a step, mean.
    """

    name: str
    ms: float
    device_ms: float
    times: float


@frozen
class Piece:
    """A stretch of time, in microseconds, that belongs to one name."""

    start: float
    end: float
    name: str


def step_parts(events: Iterable[Mapping[str, Any]], steps: int) -> tuple[Part, ...]:
    """The parts of the first ``steps`` steps in a trace's ``traceEvents``, the longest first, `REST` last.

    Every moment counts once. While a device computes, it belongs to the part that launched the work, whenever that
    was; at any other moment, to the part that the CPU is in.
    """
    known = [event for event in events if "dur" in event]
    marks = [event for event in known if event.get("cat") == _ANNOTATION]
    frames = sorted((mark for mark in marks if mark["name"].startswith(_STEP)), key=lambda mark: float(mark["ts"]))
    first, last = frames[0], frames[:steps][-1]
    start, end = float(first["ts"]), float(last["ts"]) + float(last["dur"])
    spans = [
        Piece(float(mark["ts"]), float(mark["ts"]) + float(mark["dur"]), mark["name"].removeprefix(PREFIX))
        for mark in marks
        if mark["name"].startswith(PREFIX) and mark["tid"] == first["tid"] and start <= float(mark["ts"]) < end
    ]
    pieces = flattened(spans, start, end)
    computing, waiting = divided(pieces, _device_work(known, pieces))
    parts = [
        Part(
            name,
            (computing.get(name, 0.0) + waiting.get(name, 0.0)) / steps / 1000,
            computing.get(name, 0.0) / steps / 1000,
            sum(span.name == name for span in spans) / steps,
        )
        for name in {span.name for span in spans} | {REST}
    ]
    return tuple(sorted(parts, key=lambda part: (part.name == REST, -part.ms, part.name)))


def flattened(spans: Iterable[Piece], start: float, end: float) -> list[Piece]:
    """From ``start`` to ``end`` without a gap or overlap: each moment is the innermost span's, or `REST`."""
    pieces: list[Piece] = []
    around: list[Piece] = []  # the spans that hold the present moment, the innermost last
    now = start

    def go_to(moment: float) -> None:
        nonlocal now
        if moment > now:
            pieces.append(Piece(now, moment, around[-1].name if around else REST))
            now = moment

    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        while around and around[-1].end <= span.start:
            go_to(around[-1].end)
            around.pop()
        go_to(span.start)
        around.append(span)
    while around:
        go_to(min(around[-1].end, end))
        around.pop()
    go_to(end)
    return pieces


def divided(pieces: Sequence[Piece], work: Iterable[Piece]) -> tuple[dict[str, float], dict[str, float]]:
    """Microseconds by name in which the device computes ``work``, and in which it does not and the CPU is in a piece.

    ``work`` that overlaps counts once, for what began first. ``pieces`` are those of `flattened`.
    """
    computing: dict[str, float] = {}
    waiting: dict[str, float] = {}
    now, end = pieces[0].start, pieces[-1].end

    def wait_until(moment: float) -> None:
        for piece in pieces[_place(pieces, now) :]:
            if piece.start >= moment:
                break
            shared = min(piece.end, moment) - max(piece.start, now)
            waiting[piece.name] = waiting.get(piece.name, 0.0) + max(0.0, shared)

    for one in sorted(work, key=lambda one: one.start):
        if min(one.end, end) <= now:
            continue
        if one.start > now:
            wait_until(min(one.start, end))
            now = min(one.start, end)
        computing[one.name] = computing.get(one.name, 0.0) + min(one.end, end) - now
        now = min(one.end, end)
    wait_until(end)
    return computing, waiting


def _device_work(events: Sequence[Mapping[str, Any]], pieces: Sequence[Piece]) -> list[Piece]:
    """What the device computed, each under the name of the piece in which the CPU launched it.

    By time and not by thread: the backward pass launches from a thread of its own while the CPU waits in its span.
    """
    launched = {
        event["args"]["correlation"]: float(event["ts"])
        for event in events
        if event.get("cat") in _LAUNCHES and "correlation" in event.get("args", {})
    }
    work = []
    for event in events:
        if event.get("cat") in _ON_DEVICE:
            moment = launched.get(event["args"].get("correlation"))
            inside = moment is not None and pieces[0].start <= moment < pieces[-1].end
            name = pieces[_place(pieces, moment)].name if inside and moment is not None else REST
            work.append(Piece(float(event["ts"]), float(event["ts"]) + float(event["dur"]), name))
    return work


def _place(pieces: Sequence[Piece], moment: float) -> int:
    return max(0, bisect_right(pieces, moment, key=lambda piece: piece.start) - 1)
