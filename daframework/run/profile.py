"""Watch a few steps of every training stage with PyTorch's profiler: a trace, and where the time of a step goes."""

import gzip
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import torch
from attrs import frozen
from torch.profiler import ProfilerActivity, profile, schedule

from daframework.run.files import write_bytes, write_text
from daframework.run.trace import REST, Part, step_parts
from daframework.session import Log, StoppedError

SKIPPED = 200  # at most half a stage: kernels are chosen, code compiled and images read for the first time there
RECORDED = 10
CPU_TIME = "ms a step: time on the CPU"
DEVICE_TIME = (
    "ms a step: while the device computed what a part launched (device ms), and while it had nothing to do and the CPU "
    "was in that part"
)
LAUNCH_TIME = "ms a step: time on the CPU, which launches the work; what the device takes for it cannot be seen here"


@frozen
class Profile:
    """Where the time of a stage's steps went.

    Args:
        stage: its name.
        first: the first recorded step, counted from 1.
        steps: how many were recorded.
        counted: what the milliseconds are of.
        parts: the parts of a step; together they are all of it.
        trace: the file with every operation of these steps.
    """

    stage: str
    first: int
    steps: int
    counted: str
    parts: tuple[Part, ...]
    trace: Path

    @property
    def ms(self) -> float:
        """Milliseconds of a step, mean."""
        return sum(part.ms for part in self.parts)


class ProfilingLog(Log):
    """Passes everything on to another log, and lets a profiler see a few steps of each stage that names its parts.

    Use it as a context manager. Each stage leaves ``STAGE.trace.json.gz`` and ``STAGE.json`` in the folder. A stage
    needs two steps at least, since the first is never recorded.
    """

    def __init__(self, log: Log, folder: Path, device: torch.device) -> None:
        """``log`` is told everything; files go to ``folder``; the steps run on ``device``."""
        self.profiles: list[Profile] = []
        self.folder, self._log, self._device = folder, log, device
        self._profiler: profile | None = None
        self._stage = ""
        self._seen: set[str] = set()
        self._first = self._skipped = self._recorded = self._finished = 0
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or it tells its own stages on the terminal

    def __enter__(self) -> Self:
        """Nothing is watched before a stage begins."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was recorded of the last stage, unless it went wrong."""
        if error is None or isinstance(error, StoppedError):
            self._finish()
        elif self._profiler is not None:
            with suppress(RuntimeError):  # a device that failed fails again here, and the first error says why
                self._profiler.stop()

    def begin(self, stage: str, total: int, done: int) -> None:
        """Keep what was recorded of the stage before, and get ready for this one."""
        self._finish()
        self._log.begin(stage, total, done)
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
        """A step is finished: pass it on, and begin or end the recording when it is time."""
        self._log.advance(done)
        if self._profiler is None:
            return
        self._finished += 1
        ended = self._finished == self._skipped + self._recorded
        if self._device.type == "cuda" and (ended or self._finished == self._skipped):
            torch.cuda.synchronize(self._device)  # so that what is recorded was launched, and ends, in these steps
        self._profiler.step()
        if ended:
            self._finish()

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Pass them on."""
        self._log.values(step, values)

    def _finish(self) -> None:
        """Stop watching, and keep the whole steps that were recorded, if the stage names its parts."""
        profiler, self._profiler = self._profiler, None
        if profiler is None:
            return
        profiler.stop()
        steps = self._finished - self._skipped
        if steps < 1:
            return
        with TemporaryDirectory() as folder:
            file = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(file))
            content = file.read_bytes()
        parts = step_parts(json.loads(content)["traceEvents"], steps)
        if [part.name for part in parts] == [REST]:
            return
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", self._stage)
        trace = self.folder / f"{name}.trace.json.gz"
        found = Profile(self._stage, self._first, steps, _counted(self._device, parts), parts, trace)
        write_bytes(trace, gzip.compress(content, compresslevel=6))
        write_text(self.folder / f"{name}.json", json.dumps(_to_json(found), indent=2) + "\n")
        self.profiles.append(found)


def _counted(device: torch.device, parts: tuple[Part, ...]) -> str:
    if device.type == "cpu":
        return CPU_TIME
    return DEVICE_TIME if any(part.device_ms for part in parts) else LAUNCH_TIME


def _to_json(found: Profile) -> dict[str, Any]:
    parts = [
        {
            "part": part.name,
            "share": round(part.ms / found.ms, 4),
            "ms": round(part.ms, 3),
            "device_ms": round(part.device_ms, 3),
            "times": part.times,
        }
        for part in found.parts
    ]
    return {
        "stage": found.stage,
        "first_step": found.first,
        "steps": found.steps,
        "ms": round(found.ms, 3),
        "counted": found.counted,
        "trace": found.trace.name,
        "parts": parts,
    }
