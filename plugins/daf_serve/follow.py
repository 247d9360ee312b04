"""What a run's page is told while it is open, as server-sent events."""

import json
from asyncio import sleep, to_thread
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from daf_serve.finder import DAMAGED, FINISHED, Listed, look, recipe_of, stage_now, total_steps
from daframework.errors import RunError
from daframework.storage.files import log_entry
from daframework.storage.run_folder import RunFolder

_SECONDS = 1.0  # between two looks at a folder
_QUIET = 15  # looks without news, after which a line keeps the connection open
_PIECE = 2**19  # bytes of a log at a time


@define
class LogTail:
    """Reads on in ``path``, a log of JSON lines that another process writes; ``last`` has each stage's last step."""

    path: Path
    offset: int = 0
    last: dict[str, int] = field(factory=dict)

    def read(self) -> list[dict[str, Any]] | None:
        """The whole lines that came, of at most half a megabyte; None where the file was begun anew.

        Half a line is left for later, and what is no line of a log is passed over.
        """
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self.offset:
                    self.offset, self.last = 0, {}
                    return None
                file.seek(self.offset)
                piece = file.read(_PIECE)
        except OSError:
            return []
        whole = piece[: piece.rfind(b"\n") + 1] or (piece if len(piece) == _PIECE else b"")
        self.offset += len(whole)
        rows = [row for line in whole.splitlines() if (row := log_entry(line)) is not None]
        for row in rows:
            self.last[row["stage"]] = row["step"]
        return rows


async def events(root: Path, path: Path) -> AsyncIterator[bytes]:
    """The run in ``path``: the ``values`` of its log, from the first on, and its ``status`` when that changes.

    ``restart`` tells to forget what was told so far, and ``end`` that the run is finished; it ends by itself only then.
    """
    folder = RunFolder(path)
    tail = LogTail(folder.log)
    told, quiet = None, 0
    yield _event("restart", None)  # a browser that lost its connection comes back with what it was told before
    while True:
        rows = await to_thread(tail.read)
        if rows is None:
            yield _event("restart", None)
        elif rows:
            yield _event("values", rows)
            continue
        found = await to_thread(look, root, path)
        status = await to_thread(status_of, found, folder, tail.last)
        if status != told:
            yield _event("status", status)
            told, quiet = status, 0
        if found.state in (FINISHED, DAMAGED):
            yield _event("end", None)
            return
        quiet += 1
        if quiet % _QUIET == 0:
            yield b": still here\n\n"
        await sleep(_SECONDS)


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n".encode()


def status_of(found: Listed, folder: RunFolder, last: Mapping[str, int]) -> dict[str, Any]:
    """How far the run is, as its page shows it: its state, its stages, and the steps of its sheets of samples."""
    stages = {stage: {"name": stage, "step": step, "total": _total(folder, stage)} for stage, step in last.items()}
    if (now := stage_now(folder)) is not None:
        stages[now["stage"]] = {"name": now["stage"], "step": now["step"], "total": now["total"]}
    told = {"state": found.state, "note": found.note, "stages": list(stages.values())}
    return told | {"samples": folder.sampled_steps()}


def _total(folder: RunFolder, stage: str) -> int | None:
    try:
        return total_steps(recipe_of(folder), stage)
    except RunError:
        return None
