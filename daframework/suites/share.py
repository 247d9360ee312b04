"""Hand finished stages of one run to another, so that nothing is trained twice: a run skips a stage whose files it has.

Files are linked where the file system can, and copied where it cannot; no stage changes a file that is there.
"""

import os
import shutil
from pathlib import Path

from daframework.errors import writing
from daframework.runs.context import read_seconds, write_seconds
from daframework.runs.translation import GENERATOR
from daframework.storage.row_names import SOURCE_ONLY, rows_after
from daframework.storage.run_folder import RunFolder, open_folder
from daframework.suites.plan import REFERENCES, Cell, Plan
from daframework.suites.status import SHARED_STAGES, State, status


def givers(plan: Plan, cell: Cell) -> list[Cell]:
    """The runs of ``plan`` that make what ``cell`` needs too: the references, and its translation in the first task."""
    found = [plan.cell(cell.task, REFERENCES[0], cell.seed)]
    if cell.recipe.generator is not None:
        found.append(plan.cell(plan.tasks[0], cell.method, cell.seed))
    return [one for one in found if one != cell]


def receive(plan: Plan, cell: Cell) -> None:
    """Open the folder of ``cell`` and put into it what other runs of ``plan`` have finished of the same.

    Raises:
        RunError: the folder holds something else, or cannot be written.
    """
    open_folder(cell.folder.path, cell.recipe)
    with writing(cell.folder.path):
        for giver in givers(plan, cell):
            if status(giver).state is State.FOREIGN:
                continue  # made by another recipe, and this run would pass it off as its own
            if giver.method == REFERENCES[0]:
                for row in (*REFERENCES, *rows_after(SOURCE_ONLY)):
                    _row(giver.folder, cell.folder, row)
            else:
                _translation(giver.folder, cell.folder)


def _row(giver: RunFolder, taker: RunFolder, row: str) -> None:
    """A row's model and scores; the scores last, since a row that has them counts as finished."""
    files = [(getattr(giver, name)(row), getattr(taker, name)(row)) for name in ("checkpoint", "statistics", "scores")]
    # One whose checkpoints were deleted, to save disk, has nothing to give: the row is trained again.
    if not taker.scores(row).exists() and all(given.exists() for given, _ in files):
        for given, taken in files:
            _link(given, taken)


def _translation(giver: RunFolder, taker: RunFolder) -> None:
    """The generator, sample images, the translated set and what they cost; the set last, since its folder says all."""
    if taker.translated.exists() or not (giver.translated.exists() and giver.checkpoint(GENERATOR).exists()):
        return
    _link(giver.checkpoint(GENERATOR), taker.checkpoint(GENERATOR))
    if giver.samples.exists():
        shutil.copytree(giver.samples, taker.samples, copy_function=_link, dirs_exist_ok=True)
    spent = {stage: seconds for stage, seconds in read_seconds(giver).items() if stage in SHARED_STAGES}
    write_seconds(taker, read_seconds(taker) | spent)
    partial = taker.translated.with_name(f".{taker.translated.name}.shared")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(giver.translated, partial, copy_function=_link)
    partial.replace(taker.translated)


def _link(giver: str | Path, taker: str | Path) -> None:
    """``taker`` becomes another name of the file ``giver``, or a copy of it; whole or not at all."""
    partial = Path(taker).with_name(f".{Path(taker).name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        os.link(giver, partial)
    except OSError:
        shutil.copy2(giver, partial)
    partial.replace(taker)
    partial.unlink(missing_ok=True)  # where both were names of one file already, replacing has left both
