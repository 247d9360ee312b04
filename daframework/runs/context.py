"""What the stages of one run share: its recipe, folder and datasets, and the clock."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import torch
from torch import Tensor

from daframework.compute.memory import is_out_of_memory, out_of_memory
from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.data.cache.open import open_cached
from daframework.data.checked import Checked
from daframework.data.parallel import default_workers
from daframework.data.stream import Blend, CropSampler, TrainingStream
from daframework.data.unlabelled import Unlabelled
from daframework.errors import RunError
from daframework.interfaces import SEMANTIC, ImageDataset, LabelType, Task
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.storage import checkpoint
from daframework.storage.files import write_text
from daframework.storage.run_folder import RunFolder


@attrs.frozen(eq=False)
class RunContext:
    """What the stages of one run share. The datasets are checked and resized.

    ``task_session`` is ``session`` in the precision that task models are trained in.
    """

    session: Session
    task_session: Session
    plugins: Plugins
    recipe: Recipe
    folder: RunFolder
    source: ImageDataset
    target: Unlabelled
    target_test: ImageDataset
    task: Task


def checked(recipe: Recipe, dataset: ImageDataset, types: Sequence[LabelType] | None = None) -> Checked:
    """``dataset`` with its labels of ``types``, checked, resized and kept in memory as ``recipe`` says.

    Its labels are its classes, where it has them, unless ``types`` are given.
    """
    if types is None:
        types = [SEMANTIC] if SEMANTIC.name in dataset.labels else []
    return Checked(dataset, recipe.data.resize, recipe.hardware.cache_mb * 2**20, types)


def opened(
    session: Session, recipe: Recipe, dataset: ImageDataset, name: str, types: Sequence[LabelType] = (SEMANTIC,)
) -> ImageDataset:
    """``dataset`` out of the cache on disk, which is completed first, if ``recipe`` says so; or else `checked`.

    ``name`` says in messages which set it is, ``types`` which of its labels are wanted.
    """
    if recipe.data.cache:
        workers = recipe.hardware.workers or default_workers()
        found = open_cached(session, dataset, name=name, resize=recipe.data.resize, workers=workers, types=types)
        if found is not None:
            return found
    return checked(recipe, dataset, types)


def set_title(recipe: Recipe, domain: str, split: str) -> str:
    """What messages call a set of images: ``source train (gta5)``."""
    return f"{domain} {split} ({getattr(recipe, domain).name})"


def stream(
    recipe: Recipe,
    dataset: ImageDataset,
    name: str,
    sampler: CropSampler | None = None,
    blend: Blend | None = None,
    label_type: LabelType = SEMANTIC,
) -> TrainingStream:
    """Training crops of ``dataset`` as ``recipe`` says, drawn from the stream ``name``, by ``sampler`` if given.

    With a ``blend``, its originals are blended into them. They carry labels of ``label_type``.
    """
    data = recipe.data
    return TrainingStream(dataset, data.crop_size, data.flip, recipe.seed, name, sampler, blend, label_type)


@contextmanager
def timed(run: RunContext, stage: str) -> Iterator[None]:
    """Add the time spent inside to the stage's seconds, also when it is interrupted.

    Raises:
        RunError: the stage ran out of memory; the message names the keys that decide how much it needs.
    """
    start = time.monotonic()
    try:
        yield
    except BaseException as error:
        with suppress(RunError):  # on a full disk the first error is the one to tell
            _add_seconds(run, stage, time.monotonic() - start)
        if not isinstance(error, Exception) or not is_out_of_memory(error):
            raise
        raise RunError(out_of_memory(run.recipe, stage, error)) from error
    _add_seconds(run, stage, time.monotonic() - start)


def kept(run: RunContext, path: Path, stage: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What the first rank once made and left at ``path``, in ``stage``; made now where it is not there."""

    def found() -> dict[str, Tensor]:
        state = checkpoint.load(path, torch.device("cpu"))
        if state is None:
            with timed(run, stage):
                state = make()
            checkpoint.save(path, state)
        return state

    return from_first(found)


def _add_seconds(run: RunContext, stage: str, seconds: float) -> None:
    if run.session.fabric.is_global_zero:
        spent = read_seconds(run.folder)
        write_seconds(run.folder, spent | {stage: spent.get(stage, 0.0) + seconds})


def read_seconds(folder: RunFolder) -> dict[str, float]:
    """Seconds spent in each stage so far; nothing where none was finished.

    Raises:
        RunError: the file is damaged.
    """
    if not folder.seconds.exists():
        return {}
    try:
        spent = json.loads(folder.seconds.read_text(encoding="utf-8"))
        return {stage: float(seconds) for stage, seconds in spent.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{folder.seconds}: damaged ({error}); delete it, the times begin again") from error


def write_seconds(folder: RunFolder, spent: Mapping[str, float]) -> None:
    """Keep the seconds spent in each stage so far, instead of what was there.

    Raises:
        RunError: they cannot be written.
    """
    write_text(folder.seconds, json.dumps(dict(spent), indent=2) + "\n")
