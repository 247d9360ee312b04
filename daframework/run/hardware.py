"""The device and the number format of a run."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from attrs import evolve, frozen
from lightning_fabric import Fabric
from torch import nn

from daframework.build import DIRECTIONS, make_generator, make_task
from daframework.errors import DafError, RecipeError
from daframework.registry import Plugins
from daframework.run.folder import RunFolder
from daframework.session import Session
from daframework.tables import Recipe

SINGLE, MIXED = "32-true", "bf16-mixed"
WIDE = 10_000
"""Operations a pixel, one pass forward, from which bf16 pays on a CPU: below it, its conversions cost what it saves."""


@frozen
class Formats:
    """lightning-fabric's names of the number formats of a run's two kinds of training, and why they were chosen."""

    translation: str
    task: str
    why: str

    def __str__(self) -> str:
        """For people: ``computing in bf16-mixed, since this GPU computes in bf16``."""
        what = self.task if self.task == self.translation else f"{self.translation}, task models in {self.task}"
        return f"computing in {what}, {self.why}"


def make_fabric(recipe: Recipe, precision: str) -> Fabric:
    """The device that ``[hardware]`` asks for, computing in ``precision``.

    Raises:
        RecipeError: this machine does not have it.
    """
    # It tells everybody, on stderr, what the user asked for or is told in our own words.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        return Fabric(accelerator=recipe.hardware.accelerator, devices=1, precision=precision)  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:
        raise RecipeError(f"hardware: {' '.join(str(error).split())}") from error


def open_device(plugins: Plugins, recipe: Recipe, folder: RunFolder | None = None) -> tuple[Fabric, Formats]:
    """The device that ``[hardware]`` asks for, computing in the translation's number format, and both formats.

    They are those that the run in ``folder`` began with, if it has begun: one that goes on elsewhere does not change.

    Raises:
        RecipeError: this machine does not have it.
    """
    fabric = make_fabric(recipe, SINGLE)
    if fabric.device.type == "cuda":
        # Crops of a stage have one size: worth finding the fastest convolution once.
        torch.backends.cudnn.benchmark = True
    formats = (folder and _formats_of(folder)) or number_formats(plugins, recipe, fabric.device)
    return (fabric if formats.translation == SINGLE else make_fabric(recipe, formats.translation)), formats


def _formats_of(folder: RunFolder) -> Formats | None:
    """What a run has begun with; None where it has not, or did not say."""
    try:
        told = json.loads(folder.environment.read_text(encoding="utf-8"))["formats"]
        return Formats(str(told["translation"]), str(told["task"]), "as this run has begun")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def for_task(session: Session, recipe: Recipe, formats: Formats) -> Session:
    """``session`` in the number format of the task model."""
    if formats.task == formats.translation:
        return session
    return evolve(session, fabric=make_fabric(recipe, formats.task))


def number_formats(plugins: Plugins, recipe: Recipe, device: torch.device) -> Formats:
    """What ``hardware.precision`` means on ``device``; "auto" goes by what it computes fast, and by the networks."""
    asked = recipe.hardware.precision
    if asked != "auto":
        return Formats(asked, asked, "as hardware.precision asks")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Formats(MIXED, MIXED, "since this GPU computes in bf16")
        return Formats(SINGLE, SINGLE, "since this GPU has no bf16, which would be faster")
    if device.type != "cpu" or not cpu_has_bf16():
        return Formats(SINGLE, SINGLE, f"since this {device.type.upper()} has no fast bf16")

    def chosen(build: Callable[[], nn.Module]) -> str:
        return MIXED if _operations(build, recipe.data.crop_size) >= WIDE else SINGLE

    # Two classes stand for any number: only the last layer differs.
    task = chosen(lambda: make_task(plugins, recipe, 2).model())
    translation = SINGLE
    if recipe.generator is not None:
        translation = chosen(lambda: make_generator(plugins, recipe, DIRECTIONS[0], 2))
    return Formats(translation, task, "since this CPU computes in bf16, which pays for all but the narrowest networks")


@cache
def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies matrices of bf16 (AVX512-BF16 or AMX)."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # from torch 2.11 on
    if capabilities is not None:
        found = capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    older: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(older())


def _operations(build: Callable[[], nn.Module], size: Sequence[int]) -> float:
    """Multiplications and additions for each pixel that the network passes forward, of images of ``size``.

    0 for what cannot be counted, such as a network that looks at values, which the meta device does not have.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    try:
        with torch.device("meta"), torch.no_grad():
            network = build().eval()
            with counter:
                network(torch.zeros(1, 3, *size))
    except (DafError, RuntimeError, ValueError, TypeError, NotImplementedError):
        return 0.0
    return float(counter.get_total_flops()) / math.prod(size)
