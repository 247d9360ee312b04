"""Where stages tell how they go: the run's log.jsonl, plugins that listen, and a display."""

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import define

from daframework.registry import Plugins, tell
from daframework.run.files import append_line
from daframework.session import Log


class SilentLog(Log):
    """Tells nobody: that of all processes of a run but the first."""

    def begin(self, stage: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, done: int) -> None:
        """Nothing."""

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""


@define(eq=False)
class RunLog:
    """Writes values to ``path`` as JSON lines, passes them to the hook ``daf_log``, and all of it to ``display``."""

    path: Path
    plugins: Plugins
    display: Log
    _stage: str = ""

    def begin(self, stage: str, total: int, done: int) -> None:
        """A stage of ``total`` steps starts, ``done`` of them in an earlier session."""
        self._stage = stage
        self.display.begin(stage, total, done)

    def advance(self, done: int) -> None:
        """``done`` steps of the stage are finished."""
        self.display.advance(done)

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Values such as losses, by name, after ``step`` steps.

        Raises:
            RunError: the file cannot be written.
        """
        append_line(self.path, json.dumps({"stage": self._stage, "step": step} | dict(values)))
        tell(self.plugins, self._stage, step, values)
        self.display.values(step, values)
