"""Rows that ask nothing of the translation, trained on another core while it goes on.

Small networks keep one core busy: more threads for each operation would only wait for one another. The rows' process
writes the files that this one would have written, which then finds those rows finished; what it leaves undone, this one
does. What both would write at once, the log and the clock, lies apart until it has ended.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from daframework.compute.session import Session
from daframework.compute.signals import Signals, end_with_stdin
from daframework.compute.threads import threads_by_work, threads_for
from daframework.errors import DafError, StoppedError
from daframework.networks import make_networks
from daframework.registry import load_plugins
from daframework.runs.class_shares import rare_sampler
from daframework.runs.context import RunContext, read_seconds, write_seconds
from daframework.runs.log import LogFile
from daframework.runs.precision import open_device
from daframework.runs.rows import PlannedRow, fit_and_score
from daframework.storage.files import log_entry
from daframework.storage.row_names import SOURCE_ONLY
from daframework.storage.run_folder import SideFolder, read_recipe

_WORTH = 100  # updates of a row; for fewer, loading torch a second time takes longer


def rows_beside(run: RunContext, rows: Sequence[PlannedRow]) -> list[PlannedRow]:
    """Those of ``rows`` for another process: none where no core is idle, or ``run`` has nothing left to translate."""
    recipe, device = run.recipe, run.session.fabric.device
    translates = recipe.translation is not None and not run.folder.translated.exists()
    free = [one for one in rows if not one.needs and not one.translated and not run.folder.scores(one.name).exists()]
    if not translates or not free or recipe.downstream.steps < _WORTH:
        return []
    if run.session.fabric.world_size > 1 or not threads_by_work(device):
        return []
    networks, crop = make_networks(run.plugins, recipe, len(run.source.classes)), (3, *recipe.data.crop_size)
    threads = threads_for(networks.trained, (recipe.data.batch_size, *crop), device)
    threads += threads_for([run.task.model()], (recipe.downstream.batch_size, *crop), device)
    if threads > torch.get_num_threads():
        return []
    asked = recipe.data.matched_crops or networks.ask_source_model
    return [one for one in free if not (asked and one.name == SOURCE_ONLY)]


@contextmanager
def trained_beside(run: RunContext, rows: Sequence[PlannedRow]) -> Iterator[None]:
    """Inside, another process trains and scores ``rows``, if there are any; at the end it is waited for.

    Raises:
        StoppedError: the user asked to stop meanwhile; what there is of them is saved.
    """
    _take_over(run)  # from one that was killed
    if not rows:
        yield
        return
    names = ", ".join(one.name for one in rows)
    rare_sampler(run, run.source, "source")  # counts that both may need: made once
    command = [sys.executable, "-P", "-m", __name__, str(run.folder.path), *(one.name for one in rows)]
    # A group of its own: Ctrl-C in a terminal reaches this process alone. The pipe closes when this process ends,
    # however it ends, and the other with it.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)
    try:
        yield
        run.session.log.begin(f"waiting for {names}", 1, 0)
        while process.poll() is None and not run.session.stopping():
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    finally:
        process.terminate()  # it saves what there is
        process.communicate()
        _take_over(run)
    if run.session.stopping():
        raise StoppedError(f"stopped while waiting for {names}")


def _take_over(run: RunContext) -> None:
    """Tell and count as this process's what the one beside it logged, and how long it took."""
    side, told = SideFolder(run.folder.path), None
    lines = side.log.read_bytes().splitlines() if side.log.exists() else []
    every, steps = run.recipe.log.every, run.recipe.downstream.steps
    for entry in filter(None, map(log_entry, lines)):
        if entry["stage"] != told:
            told = entry["stage"]
            run.session.log.begin(told, steps, (entry["step"] - 1) // every * every)
        run.session.log.advance(entry["step"])
        run.session.log.values(entry["step"], entry["values"])
    spent = read_seconds(run.folder)
    beside = {stage: seconds + spent.get(stage, 0.0) for stage, seconds in read_seconds(side).items()}
    if beside:
        write_seconds(run.folder, spent | beside)
    shutil.rmtree(side.log.parent, ignore_errors=True)


def main(path: str, *names: str) -> None:
    """The other process: train and score the rows ``names`` of the run in the folder ``path``."""
    from daframework.runs.stages import open_run, planned_rows

    end_with_stdin()
    asked = Signals()
    signal.signal(signal.SIGTERM, asked.take)
    folder = SideFolder(Path(path))
    recipe, plugins = read_recipe(folder), load_plugins()
    fabric, precision = open_device(plugins, recipe, folder)
    folder.log.parent.mkdir(exist_ok=True)
    run, target = open_run(Session(fabric, LogFile(folder.log), asked), plugins, recipe, folder, precision)
    for row in planned_rows(run, target):
        if row.name in names:
            fit_and_score(run, row, row.sets())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except DafError:
        sys.exit(1)  # the process beside this one meets the same, and tells it
