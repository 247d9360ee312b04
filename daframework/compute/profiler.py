"""Watch a few steps of every training stage with PyTorch's profiler: a trace, and where the time of a step goes."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch
from attrs import asdict, frozen
from torch.profiler import ProfilerActivity, profile, schedule

from daframework.errors import StoppedError
from daframework.listener import Listener
from daframework.spans import PREFIX
from daframework.storage.files import write_bytes, write_text

SKIPPED = 200  # at most half a stage: kernels are chosen, code compiled and images read for the first time there
RECORDED = 10
REST = "the rest"
_STEP = "ProfilerStep"


@frozen
class StepPart:
    """One part of a step, as `daframework.spans.span` names it, without the parts inside it.

    Args:
        part: the span's name, or `REST`.
        ms: milliseconds of a step, mean; those of all parts add up to the step.
        times: how often it was entered in a step, mean.
    """

    part: str
    ms: float
    times: float


@frozen
class Profile:
    """Where the time of a stage's steps went.

    Args:
        stage: its name.
        first_step: the first recorded one, counted from 1.
        steps: how many were recorded.
        parts: the parts of a step; together they are all of it.
        trace: the file with every operation of these steps.
    """

    stage: str
    first_step: int
    steps: int
    parts: tuple[StepPart, ...]
    trace: Path

    @property
    def ms(self) -> float:
        """Milliseconds of a step, mean."""
        return sum(part.ms for part in self.parts)


def step_parts(events: Iterable[Any], steps: int) -> tuple[StepPart, ...]:
    """The parts of the first ``steps`` whole steps in a profiler's ``events``, the longest first, `REST` last."""
    # What a GPU did is shown under the same names once more.
    known = [one for one in events if one.device_type.name == "CPU" and one.name.startswith((PREFIX, _STEP))]
    frames = sorted((one for one in known if one.name.startswith(_STEP)), key=lambda one: one.time_range.start)[:steps]
    spent, times = {REST: 0.0}, Counter[str]()

    def add(event: Any, us: float) -> None:
        name = event.name.removeprefix(PREFIX) if event.name.startswith(PREFIX) else REST
        spent[name] = spent.get(name, 0.0) + us

    for one in known:
        chain = [one, *_around(one)]
        if chain[-1] in frames:
            add(one, one.time_range.elapsed_us())
            times[one.name.removeprefix(PREFIX)] += 1
            if len(chain) > 1:
                add(chain[1], -one.time_range.elapsed_us())
    parts = [StepPart(name, us / steps / 1000, times[name] / steps) for name, us in spent.items()]
    return tuple(sorted(parts, key=lambda one: (one.part == REST, -one.ms, one.part)))


def _around(event: Any) -> Iterator[Any]:
    """The spans that ``event`` lies in, the innermost first, and its step."""
    while (event := event.cpu_parent) is not None:
        if event.name.startswith((PREFIX, _STEP)):
            yield event


class StepProfiler(Listener):
    """Lets a profiler see a few steps of each stage that names its parts.

    Use it as a context manager. Each stage leaves ``STAGE.trace.json.gz`` and ``STAGE.json`` in the folder. A stage
    needs two steps at least, since the first is never recorded.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Files go to ``folder``; the steps run on ``device``."""
        self.profiles: list[Profile] = []
        self.folder, self._device = folder, device
        self._profiler: profile | None = None
        self._stage = ""
        self._seen: set[str] = set()
        self._first = self._skipped = self._recorded = self._finished = 0
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or it tells its own stages on the terminal

    def __enter__(self) -> Self:
        """Nothing is watched before a stage begins."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Keep what was recorded of the last stage, unless it went wrong."""
        if error is None or isinstance(error, StoppedError):
            self._finish()
        elif self._profiler is not None:
            with suppress(RuntimeError):  # a device that failed fails again here, and the first error says why
                self._profiler.stop()

    def begin(self, stage: str, total: int, done: int) -> None:
        """Keep what was recorded of the stage before, and get ready for this one."""
        self._finish()
        left = total - done
        if stage in self._seen or left < 2:
            return
        self._stage = stage
        self._seen.add(stage)  # of a stage that comes again, as for a second version of the images, the first is kept
        self._skipped = min(SKIPPED, left // 2)
        self._recorded = min(RECORDED, left - self._skipped)
        self._first, self._finished = done + self._skipped + 1, 0
        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        steps = schedule(wait=self._skipped - 1, warmup=1, active=self._recorded, repeat=1)
        self._profiler = profile(activities=activities, schedule=steps)
        self._profiler.start()

    def advance(self, done: int) -> None:
        """A step is finished: begin or end the recording when it is time."""
        if self._profiler is None:
            return
        self._finished += 1
        ended = self._finished == self._skipped + self._recorded
        if self._device.type == "cuda" and (ended or self._finished == self._skipped):
            torch.cuda.synchronize(self._device)  # so that what is recorded was launched, and ends, in these steps
        self._profiler.step()
        if ended:
            self._finish()

    def _finish(self) -> None:
        """Stop watching, and keep the whole steps that were recorded, if the stage names its parts."""
        profiler, self._profiler = self._profiler, None
        if profiler is None:
            return
        profiler.stop()
        steps = self._finished - self._skipped
        if steps < 1:
            return
        recorded: Any = profiler
        parts = step_parts(recorded.events(), steps)
        if [one.part for one in parts] == [REST]:
            return
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", self._stage)
        found = Profile(self._stage, self._first, steps, parts, self.folder / f"{name}.trace.json.gz")
        with TemporaryDirectory() as folder:
            profiler.export_chrome_trace(f"{folder}/trace.json.gz")
            write_bytes(found.trace, Path(folder, "trace.json.gz").read_bytes())
        shares = [asdict(one) | {"share": one.ms / found.ms} for one in parts]
        content = asdict(found) | {"ms": found.ms, "trace": found.trace.name, "parts": shares}
        write_text(self.folder / f"{name}.json", json.dumps(content, indent=2) + "\n")
        self.profiles.append(found)
