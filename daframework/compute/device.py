"""The device that a run computes on."""

import logging
import os
from typing import Any

import torch
from attrs import evolve
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from daframework.compute.place import ALONE, Place, variables
from daframework.compute.ranks import PATIENCE
from daframework.errors import RecipeError, RunError, one_line
from daframework.recipes.tables import Recipe

SINGLE, MIXED = "32-true", "bf16-mixed"


def make_fabric(recipe: Recipe, precision: str, place: Place = ALONE) -> Fabric:
    """The device that ``[hardware]`` asks for, computing in ``precision``, joined to the others of a run.

    Raises:
        RecipeError: this machine does not have it.
        RunError: the others cannot be reached.
    """
    # It tells everybody, on stderr, what the user asked for or is told in our own words.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if place.ranks > 1 and place.local_ranks > 1 == torch.cuda.device_count():
        # A scheduler that shows each process its own GPU alone: as if each had a machine of its own.
        place = evolve(place, local_rank=0, local_ranks=1)
    strategy: Any = "auto"
    if place.ranks > 1:
        os.environ |= variables(place)  # which the environment of torchrun's processes reads
        # A network may have weights that its output does not depend on, as an encoder's last stages. And a rank that
        # dies is noticed otherwise, while the first may be busy for hours, as with a cache, and the others wait for it.
        environment = TorchElasticEnvironment()
        strategy = DDPStrategy(cluster_environment=environment, find_unused_parameters=True, timeout=PATIENCE)
    try:
        fabric = Fabric(
            accelerator=recipe.hardware.accelerator,
            strategy=strategy,
            devices=place.local_ranks,
            num_nodes=place.ranks // place.local_ranks,
            precision=precision,  # type: ignore[arg-type]
            plugins=None if place.ranks > 1 else LightningEnvironment(),
        )
    except (RuntimeError, ValueError) as error:
        raise RecipeError(f"hardware: {one_line(error)}") from error
    if place.ranks > 1:
        try:
            fabric.launch()
        except (RuntimeError, ValueError) as error:
            others = f"the others at {place.address}, port {place.port}"
            raise RunError(f"process {place.rank} of {place.ranks} cannot join {others}: {one_line(error)}") from error
    return fabric
