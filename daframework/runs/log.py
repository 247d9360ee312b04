"""Who listens to a run: its log.jsonl, and plugins."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from attrs import define, frozen
from torch import Tensor

from daframework.guard import SLOW
from daframework.listener import Listener
from daframework.recipes.tables import Recipe
from daframework.registry import Origin, Plugins, each, fault
from daframework.storage.files import append_line, write_whole
from daframework.storage.run_folder import RunFolder


class _Passing(Listener, ABC):
    """Passes everything on by `_tell`."""

    def begin(self, stage: str, total: int, done: int) -> None:
        self._tell("begin", stage, total, done)

    def advance(self, done: int) -> None:
        self._tell("advance", done)

    def values(self, step: int, values: Mapping[str, float]) -> None:
        self._tell("values", step, values)

    def image(self, name: str, step: int, image: Tensor) -> None:
        self._tell("image", name, step, image)

    def end(self, results: Mapping[str, Any] | None) -> None:
        self._tell("end", results)

    @abstractmethod
    def _tell(self, what: str, *told: Any) -> None:
        """Call the method ``what``."""


@frozen(eq=False)
class Listeners(_Passing):
    """Passes everything on to each of ``listeners``, in their order."""

    listeners: Sequence[Listener]

    def _tell(self, what: str, *told: Any) -> None:
        for one in self.listeners:
            getattr(one, what)(*told)


@define(eq=False)
class LogFile(Listener):
    """Writes values to ``path`` as JSON lines, and beside it, once a second, how far the stage is."""

    path: Path
    _stage: str = ""
    _total: int = 0
    _told: float = 0.0

    def begin(self, stage: str, total: int, done: int) -> None:
        self._stage, self._total = stage, total
        self._tell(done)

    def advance(self, done: int) -> None:
        if time.monotonic() > self._told + 1:
            self._tell(done)

    def _tell(self, done: int) -> None:
        self._told = time.monotonic()
        line = json.dumps({"stage": self._stage, "step": done, "total": self._total})
        with suppress(OSError):  # no run ends for this
            write_whole(self._progress, lambda file: file.write(f"{line}\n".encode()), synced=False)

    def end(self, results: Mapping[str, Any] | None) -> None:
        with suppress(OSError):
            self._progress.unlink()

    @property
    def _progress(self) -> Path:
        return RunFolder(self.path.parent).progress

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Raises RunError where the file cannot be written."""
        append_line(self.path, json.dumps({"stage": self._stage, "step": step} | dict(values)))


@define(eq=False)
class PluginListener(_Passing):
    """A plugin's ``listener``: the first time it fails it is named and switched off, and the run goes on."""

    plugins: Plugins
    origin: Origin
    listener: Listener | None
    _slow: bool = False

    def _tell(self, what: str, *told: Any) -> None:
        if self.listener is None:
            return
        begun = time.monotonic()
        try:
            getattr(self.listener, what)(*deepcopy(told))  # which it may keep and change
        except (Exception, SystemExit) as error:  # a stranger's code may raise anything
            self.listener = None
            fault(self.plugins, self.origin, f": its listener's {what}() failed and is told no more", error)
        seconds = time.monotonic() - begun
        if seconds > SLOW and not self._slow and what != "end":  # for which nothing waits
            self._slow = True
            self.plugins.warn(f"plugin {self.origin}: its listener's {what}() took {seconds:.1f} s, and the run waits")


def plugin_listeners(plugins: Plugins, folder: Path, recipe: Recipe) -> list[Listener]:
    """Those that the hook ``daf_listener`` of each plugin gives for the run of ``recipe`` in ``folder``."""
    found = each(plugins, "daf_listener", run_folder=folder, recipe=recipe)
    return [PluginListener(plugins, origin, one) for origin, one in found if one is not None]
