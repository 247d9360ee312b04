"""TensorBoard's event files of a run: a folder for each stage, since steps begin anew in each of them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from daframework.listener import Listener
from daframework.scores import PERCENT, Metric
from daframework.storage.results import Results, results_from_json

_FILES = "events.out.tfevents.*"


class EventFiles(Listener):
    """Leaves ``tensorboard`` in a run's folder: what holds for the run, and below it a folder for each stage.

    A run that goes on tells TensorBoard from which step on what was there before counts no more. That holds for all
    that lies in one folder, whatever its name, hence the folders.
    """

    def __init__(self, run_folder: Path, keys: Mapping[str, object]) -> None:
        """``keys`` are the recipe's, by their names with dots."""
        self._run_folder, self._keys = run_folder, keys
        self._base = run_folder / "tensorboard"
        self._folder, self._done = self._base, 0
        self._stage: SummaryWriter | None = None
        self._whole: SummaryWriter | None = None

    def begin(self, stage: str, total: int, done: int) -> None:
        """The files are made when there is something to write: most stages tell no values."""
        self._open_whole()
        if self._stage is not None:
            self._stage.close()
        self._folder, self._done, self._stage = self._base / re.sub(r"[^\w .-]", "_", stage), done, None

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """A scalar for each value, on the disk at once: a checkpoint may follow, from which it is never told again."""
        writer = self._open_stage()
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    def image(self, name: str, step: int, image: Tensor) -> None:
        """The picture, pixel by pixel."""
        writer = self._open_stage()
        writer.add_image(name, image, step)
        writer.flush()

    def end(self, results: Mapping[str, Any] | None) -> None:
        """The results' scalars and table, unless they are there from an earlier session."""
        if results is not None and (self._whole is not None or not self._has_results()):
            writer = self._open_whole()
            found = results_from_json(results)
            parts = tuple(f"{one.by_class}/" for one in found.metrics if one.by_class is not None)
            for row in found.table():
                for key, value in row.items():
                    if isinstance(value, float) and not key.startswith(parts):
                        writer.add_scalar(f"{key}/{row['method']}", value, 0)
            writer.add_text("results", _table(found), 0)
            writer.file_writer.add_summary(hparams({}, {})[2])  # that the session of these hyper-parameters is over
        for one in (self._stage, self._whole):
            if one is not None:
                one.close()

    def _open_stage(self) -> SummaryWriter:
        if self._stage is None:
            self._stage = SummaryWriter(self._folder, purge_step=self._done + 1 if self._done else 0)
        return self._stage

    def _open_whole(self) -> SummaryWriter:
        if self._whole is None:
            self._whole = SummaryWriter(self._base, purge_step=0)
            # Not by add_hparams, which makes a folder of its own, another one each time.
            known = {key: _plain(value) for key, value in self._keys.items() if not key.startswith("log.")}
            self._whole.file_writer.add_summary(hparams(known, {})[1])
            self._whole.flush()
        return self._whole

    def _has_results(self) -> bool:
        written = (self._run_folder / "results.json").stat().st_mtime
        return any(file.stat().st_mtime >= written for file in self._base.glob(_FILES))


def _plain(value: object) -> float | str:
    """What `hparams` keeps as it is: true would become 1."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else json.dumps(value)


def _table(results: Results) -> str:
    """The rows as Markdown, as the run's own table shows them, and the parts of every class."""
    metrics, primary = results.metrics, results.metrics[0]
    columns = {one.name: one for one in metrics} | {"content_preservation": primary}
    columns |= {f"{one.by_class}/{name}": one for one in metrics if one.by_class for name in results.classes}
    heads = ["method", *(key if one.unit in ("", PERCENT) else f"{key}, {one.unit}" for key, one in columns.items())]
    rows = ([row["method"], *(_cell(row[key], one) for key, one in columns.items())] for row in results.table())
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _cell(value: float | None, metric: Metric) -> str:
    return "-" if value is None else metric.text(value)
