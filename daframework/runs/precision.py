"""The precision that a run computes in: what the recipe asks for, or what the device and the networks gain by."""

import json
import math
import os
from collections.abc import Callable

import torch
from attrs import evolve, frozen
from lightning_fabric import Fabric
from torch import nn

from daframework.build import make_task
from daframework.compute.acceleration import bf16_factor, cpu_has_bf16
from daframework.compute.device import MIXED, SINGLE, make_fabric
from daframework.compute.place import ALONE, Place, find_place
from daframework.compute.ranks import count_ranks, from_first
from daframework.compute.session import Session
from daframework.compute.threads import operations
from daframework.errors import warn
from daframework.networks import DIRECTIONS, make_generator
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.storage.run_folder import RunFolder

WIDE = 10_000
"""Operations a pixel, one pass forward, from which bf16 pays on a CPU: below it, its conversions cost what it saves."""


@frozen
class Precision:
    """lightning-fabric's name of the precision of each of a run's two kinds of training, and why it was chosen."""

    translation: str
    task: str
    why: str

    def __str__(self) -> str:
        """For people: ``computing in bf16-mixed, since this GPU computes in bf16``."""
        what = self.task if self.task == self.translation else f"{self.translation}, task models in {self.task}"
        return f"computing in {what}, {self.why}"


def open_device(
    plugins: Plugins, recipe: Recipe, folder: RunFolder | None = None, place: Place = ALONE
) -> tuple[Fabric, Precision]:
    """The device that ``[hardware]`` asks for, computing in the translation's precision; and that of both trainings.

    Both are those that the run in ``folder`` began with, if it has begun and the recipe asks for none: one that goes on
    elsewhere does not change. A warning tells of one that is slow here, where the run still has to compute.

    Raises:
        RecipeError: this machine does not have it.
    """
    fabric = make_fabric(recipe, SINGLE, place)
    if fabric.device.type == "cuda":
        # Crops of a stage have one size: worth finding the fastest convolution once.
        torch.backends.cudnn.benchmark = True
    # All ranks compute in what the first one's device is good at.
    precision = from_first(lambda: _choose(plugins, recipe, folder, fabric.device))
    return (fabric if precision.translation == SINGLE else make_fabric(recipe, precision.translation, place)), precision


def _choose(plugins: Plugins, recipe: Recipe, folder: RunFolder | None, device: torch.device) -> Precision:
    told = formats_of(folder) if folder and recipe.hardware.precision == "auto" else []
    precision = Precision(**told[-1], why="as this run has begun") if told else precision_for(plugins, recipe, device)
    unfinished = folder is not None and not folder.results.exists()
    emulated = MIXED in (precision.translation, precision.task) and not _has_bf16(device)
    if unfinished and emulated and (factor := bf16_factor(device)) > 1.5:
        slow = f"a convolution in bf16 takes {factor:.3g} times as long here as in float32"
        warn(f"{precision}: {slow}; stop it, and --set hardware.precision={SINGLE} computes the rest in that")
    return precision


def formats_of(folder: RunFolder) -> list[dict[str, str]]:
    """The precisions of the ``translation`` and the ``task`` model that a run has used, the present ones last.

    Empty where it has not begun, or did not say.
    """
    try:
        told = json.loads(folder.environment.read_text(encoding="utf-8"))
        every = [*told.get("formats_before", []), told["formats"]]
        return [{"translation": str(one["translation"]), "task": str(one["task"])} for one in every]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _has_bf16(device: torch.device) -> bool:
    """Whether ``device`` computes in bf16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and cpu_has_bf16()


def for_task(session: Session, recipe: Recipe, precision: Precision) -> Session:
    """``session`` in the precision of the task model."""
    if precision.task == precision.translation:
        return session
    place = find_place(os.environ) if count_ranks() > 1 else ALONE
    return evolve(session, fabric=make_fabric(recipe, precision.task, place))


def precision_for(plugins: Plugins, recipe: Recipe, device: torch.device) -> Precision:
    """What ``hardware.precision`` means on ``device``; "auto" goes by what it computes fast, and by the networks."""
    asked = recipe.hardware.precision
    if asked != "auto":
        return Precision(asked, asked, "as hardware.precision asks")
    if not _has_bf16(device):
        name = "GPU" if device.type == "cuda" else device.type.upper()
        return Precision(SINGLE, SINGLE, f"since this {name} has no bf16, which would be faster")
    if device.type == "cuda":
        return Precision(MIXED, MIXED, "since this GPU computes in bf16")

    def chosen(build: Callable[[], nn.Module]) -> str:
        size = recipe.data.crop_size
        return MIXED if (operations(build, (1, 3, *size)) or 0) >= WIDE * math.prod(size) else SINGLE

    # Two classes stand for any number: only the last layer differs.
    task = chosen(lambda: make_task(plugins, recipe, 2).model())
    translation = SINGLE
    if recipe.generator is not None:
        translation = chosen(lambda: make_generator(plugins, recipe, DIRECTIONS[0], 2))
    return Precision(translation, task, "since this CPU computes in bf16, which pays for all but narrow networks")
