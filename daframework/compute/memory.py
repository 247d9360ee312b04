"""Out of memory: how to tell it from other errors, and what a user can do about it."""

import errno
import re

import torch

from daframework.recipes.tables import Recipe
from daframework.storage.row_names import SCORING, TRANSLATING, TRANSLATION, trained_in

# What PyTorch says where it has no error of its own for it: CPU, MPS, cuBLAS and cuDNN, in this order.
_SAYINGS = ("can't allocate memory", "not enough memory", "out of memory", "_status_alloc_failed")
_ON_WHOLE_IMAGES = (SCORING, "content preservation", TRANSLATING)
_ASKED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|[KMG]iB)", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory, of the device or of the machine, is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(saying in str(error).lower() for saying in _SAYINGS)


def out_of_memory(recipe: Recipe, stage: str, error: BaseException) -> str:
    """The line for a user whose ``stage`` ran out of memory: at which sizes, and which keys of the recipe to change."""
    data, downstream = recipe.data, recipe.downstream
    smaller = ["lower downstream.batch_size"] if downstream.batch_size > 1 else []
    crop = f"data.crop_size = {list(data.crop_size)}"
    if stage == TRANSLATION:
        at = f"{crop} and data.batch_size = {data.batch_size}"
        smaller = ["lower data.batch_size and raise translation.accumulate"] if data.batch_size > 1 else []
        recompute = [] if recipe.hardware.checkpoint_activations else ["set hardware.checkpoint_activations = true"]
        change = [*smaller, "lower data.crop_size", *recompute]
    elif trained_in(stage) is not None:
        at = f"{crop} and downstream.batch_size = {downstream.batch_size}"
        change = [*smaller, "lower data.crop_size"]
    elif stage in _ON_WHOLE_IMAGES:
        size = "their own size" if data.resize is None else f"data.resize = {list(data.resize)}"
        at = f"whole images at {size} and downstream.batch_size = {downstream.batch_size}"
        change = [*smaller, "set data.resize" if data.resize is None else "lower data.resize"]
    else:  # what reads images and computes nothing large
        return f"{stage}: out of memory{_asked(error)}; lower hardware.workers or hardware.cache_mb"
    either = " or ".join(filter(None, (", ".join(change[:-1]), change[-1])))
    return f"{stage}: out of memory{_asked(error)} with {at}; {either}"


def _asked(error: BaseException) -> str:
    found = _ASKED.search(str(error))
    if found is None:
        return ""
    amount, unit = float(found[1]), found[2]
    if unit == "bytes":
        amount, unit = amount / 2**30, "GiB"
    return f" ({amount:,.2f} {unit} more were asked for)"
