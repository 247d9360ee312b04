"""The three loops that `step.py` times: daframework's, the plain one, and a bare one with daframework's networks."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import reference
import torch
from lightning_fabric import Fabric
from timing import LENGTH, BlockClock

from daframework.adapt.loop import train
from daframework.adapt.step import DiscriminatorObjective, Fake, GeneratorObjective
from daframework.compute.acceleration import accelerate
from daframework.compute.session import Session
from daframework.data.checked import Checked
from daframework.data.stream import TrainingStream, to_float
from daframework.data.unlabelled import Unlabelled
from daframework.errors import StoppedError
from daframework.interfaces import ImageDataset, Sample
from daframework.networks import Networks, make_networks
from daframework.recipes.read import parse
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, load_plugins
from daframework.runs.precision import open_device
from daframework.runs.translation import measure_domains

CLASSES = 11
PAPER = {
    "size": (256, 256),
    "generator": {"channels": 64, "blocks": 9, "upsample": "transposed", "head": "paint"},
    "discriminator": {"channels": 64, "layers": 3, "norm": "instance"},
    "identity": True,
}
RECIPE = {
    "size": (64, 96),
    "generator": {"channels": 8, "blocks": 4, "upsample": "resize", "head": "affine"},
    "discriminator": {"channels": 24, "layers": 2, "norm": "none"},
    "identity": False,
}
SEMANTIC_WIDTH = {64: 32, 8: 16}  # of the decoder, by the generator's channels
WARM_UP = 3  # steps, at least: what is compiled or chosen once happens here


class Noise(ImageDataset):
    """Pictures and labels of random numbers, in memory: what they show changes no time."""

    classes = tuple(f"class {index}" for index in range(CLASSES))
    palette = ((0, 0, 0),) * CLASSES

    def __init__(self, size: Sequence[int], images: int = 32) -> None:
        """``images`` of ``size``."""
        draw = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (images, 3, *size), generator=draw, dtype=torch.uint8)
        self.labels = torch.randint(0, CLASSES, (images, *size), generator=draw, dtype=torch.uint8)

    def __len__(self) -> int:
        """How many."""
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """The image at ``index`` with its label."""
        return Sample(self.images[index], self.labels[index], str(index))


def recipe(sizes: dict[str, Any], method: str, batch: int, device: str, hardware: dict[str, Any]) -> Recipe:
    """``method`` "cyclegan" or "semantic_cyclegan" with networks of ``sizes``."""
    semantic = method == "semantic_cyclegan"
    discriminator = {"name": "semantic" if semantic else "patchgan"} | sizes["discriminator"]
    if semantic:
        discriminator["decoder_channels"] = SEMANTIC_WIDTH[sizes["generator"]["channels"]]
    losses: list[dict[str, Any]] = [{"name": "lsgan"}]
    if semantic:
        losses += [{"name": "semantic_discriminator"}, {"name": "weighted_reconstruction", "weight": 10.0}]
    else:
        losses.append({"name": "cycle", "weight": 10.0})
    if sizes["identity"]:
        losses.append({"name": "identity", "weight": 5.0})
    tables = {
        "name": method,
        "source": {"name": "streets", "look": "game"},
        "target": {"name": "streets", "look": "camera"},
        "data": {"crop_size": list(sizes["size"]), "batch_size": batch},
        "generator": {"name": "resnet"} | sizes["generator"],
        "discriminator": discriminator,
        "losses": losses,
        "translation": {"steps": LENGTH[device]},
        "task": {"name": "segmentation"},
        "downstream": {"steps": 1},
        "hardware": {"accelerator": device} | hardware,
        "log": {"every": 10**6, "checkpoint_every": 10**6},
    }
    return parse(tables, "step.py")


def networks_on(plugins: Plugins, made: Recipe, dataset: ImageDataset) -> Networks:
    """The recipe's networks, with ``dataset`` as source and target."""
    networks = make_networks(plugins, made, CLASSES)
    measure_domains(networks, dataset, Unlabelled(dataset))
    return networks


def run_ours(made: Recipe, clock: BlockClock, blocks: int) -> str:
    """Train in the real loop, on made-up images, for ``blocks`` of ``clock``; the precision it computed in."""
    plugins = load_plugins()
    torch.manual_seed(0)
    fabric, precision = open_device(plugins, made)
    dataset = Checked(Noise(made.data.crop_size), None, 2**30)
    networks = networks_on(plugins, made, dataset)
    streams = {
        "source": TrainingStream(dataset, made.data.crop_size, True, 0, "source"),
        "target": TrainingStream(Unlabelled(dataset), made.data.crop_size, True, 0, "target"),
    }
    session = Session(fabric, clock, lambda: len(clock.seconds) >= blocks)
    with tempfile.TemporaryDirectory() as folder, suppress(StoppedError):
        train(session, networks, streams, made, Path(folder) / "checkpoint", lambda step, network: None)
    return precision.translation


def plain_steps(sizes: dict[str, Any], batch: int, device: torch.device) -> Iterator[dict[str, float]]:
    """Endless steps of the reference with networks of ``sizes``."""
    model = reference.CycleGAN(sizes["generator"], sizes["discriminator"], sizes["identity"], str(device))
    images = to_float(Noise(sizes["size"]).images)
    return reference.steps(model, images, images.flip(-1), batch)


def bare_steps(made: Recipe, fabric: Fabric) -> Iterator[None]:
    """The same networks, losses and switches, and no framework: what one would write for a single use."""
    plugins, table = load_plugins(), made.translation
    assert table is not None
    dataset = Noise(made.data.crop_size)
    networks = networks_on(plugins, made, dataset)
    nets = [*networks.generators.values(), *networks.discriminators.values()]
    order = accelerate(nets, made.hardware, table.steps, fabric.device)
    generators = GeneratorObjective(networks).to(fabric.device)
    discriminators = DiscriminatorObjective(networks).to(fabric.device)
    optimizers = [
        torch.optim.Adam(part.parameters(), lr=table.lr, betas=(0.5, 0.999), fused=True)
        for part in (generators, discriminators)
    ]

    def steps() -> Iterator[None]:
        pools = [reference.Pool(), reference.Pool()]
        while True:
            indices = torch.randint(len(dataset), (2, made.data.batch_size))
            source, target = (
                to_float(dataset.images[index].to(fabric.device)).contiguous(memory_format=order) for index in indices
            )
            label = dataset.labels[indices[0]].to(fabric.device).long()
            discriminators.requires_grad_(False)
            optimizers[0].zero_grad(set_to_none=True)
            with fabric.autocast():
                step = generators(source, label, target)
            step.total.backward()
            optimizers[0].step()
            discriminators.requires_grad_(True)
            optimizers[1].zero_grad(set_to_none=True)
            fakes = {
                "target": Fake(pools[0].query(step.images["fake_target"]), label),
                "source": Fake(pools[1].query(step.images["fake_source"]), None),
            }
            rebuilt = {name: step.images[f"rec_{name}"] for name in ("source", "target")}
            with fabric.autocast():
                judged = discriminators({"source": source, "target": target}, label, fakes, rebuilt)
            judged.total.backward()
            optimizers[1].step()
            yield

    return steps()


def take(steps: Iterator[Any], count: int) -> None:
    """Do ``count`` of ``steps``."""
    for _ in range(count):
        next(steps)
