"""Reports of runs and benches: the file in the folder where it is newer than what it tells of, else one made here."""

import os
from asyncio import Task, create_task, to_thread
from collections.abc import Callable
from importlib import import_module
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from attrs import define, field, frozen

from daf_serve.desk import BusyError, Desk, in_a_line
from daf_serve.finder import written
from daframework.errors import RunError, needing
from daframework.storage.run_folder import RunFolder
from daframework.suites.bench_folder import TABLE

_KEPT = 4  # pages, of some megabytes each
_SECONDS = 30  # that a page is shown for although its run went on meanwhile: else one would be made for ever


@frozen
class _Report:
    page: str | RunError
    newest: float
    at: float


@define
class Reports:
    """Makes pages at the desk, one at a time; the last few are kept."""

    desk: Desk
    _kept: dict[Path, _Report] = field(factory=dict)
    _making: dict[Path, Task[None]] = field(factory=dict)

    async def of(self, folder: Path) -> Path | str | None:
        """The page of the run or bench in ``folder``, as a file or as HTML; None while it is made: ask again.

        Raises:
            RunError: it cannot be made.
        """
        with needing("reports need a library", extra="report"):
            ours = import_module("daf_report.report_file")  # of another extra: it may be absent
        file, newest = RunFolder(folder).report, await to_thread(_newest, folder)
        if written(file) >= newest and ours.is_ours(file):
            return file
        kept = self._kept.get(folder)
        if kept is not None and (kept.newest == newest or monotonic() - kept.at < _SECONDS):
            if isinstance(kept.page, RunError):
                raise kept.page
            return kept.page
        if folder not in self._making:
            self._making[folder] = create_task(self._make(folder, newest, ours.html))
        return None

    async def _make(self, folder: Path, newest: float, html: Callable[[Path], str]) -> None:
        page: Any
        try:
            with self.desk.place(str(folder)):
                page = await self.desk.work(lambda: html(folder))
        except BusyError:
            return  # whoever waits for it asks again
        except Exception as error:  # of a stranger's run, anything
            page = RunError(in_a_line(error))
        finally:
            del self._making[folder]
        self._kept.pop(folder, None)  # so that it is the newest; what went wrong is tried again soon
        self._kept[folder] = _Report(page, newest if isinstance(page, str) else inf, monotonic())
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]


def _newest(folder: Path) -> float:
    """When the last of the files in and below ``folder`` was written that a report tells of; in seconds since 1970."""
    told = {RunFolder(folder).log.name, RunFolder(folder).results.name, TABLE}
    times = (written(Path(at) / name) for at, _, files in os.walk(folder) for name in told & {*files})
    return max(times, default=0.0)
