"""Train the generators against the discriminators: the loop, top to bottom."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daframework import checkpoint
from daframework.adapt.finite import FiniteCheck, require_finite_weights
from daframework.adapt.objectives import DiscriminatorObjective, Fake, GeneratorObjective
from daframework.adapt.pool import ImagePool
from daframework.adapt.schedule import lr_factor
from daframework.build import DIRECTIONS, DOMAINS, Networks
from daframework.data.stream import TrainingStream, training_batches
from daframework.interfaces import Generator
from daframework.randomness import derive
from daframework.session import Session, StoppedError
from daframework.tables import Recipe


def train(
    session: Session,
    networks: Networks,
    streams: Mapping[str, TrainingStream],
    recipe: Recipe,
    path: Path,
    draw: Callable[[int, nn.Module], None],
) -> nn.Module:
    """Train ``networks`` as ``recipe`` says and return the generator that translates source images.

    Goes on from the checkpoint at ``path`` where there is one, and leaves one there. ``draw`` is called with the number
    of finished steps and the translating generator when samples are due.

    Raises:
        TrainingError: a loss is not finite; the last good checkpoint is kept.
        StoppedError: the user asked to stop; a checkpoint was saved.
        DataError: an image cannot be used.
    """
    fabric, table, log = session.fabric, recipe.translation, recipe.log
    assert table is not None, "a recipe without [translation] has nothing to train"

    # Objectives, optimisers, pools
    for network in (*networks.generators.values(), *networks.discriminators.values()):
        network.train()
    generator_objective = GeneratorObjective(networks.generators, networks.discriminators, networks.terms)
    discriminator_objective = DiscriminatorObjective(networks.discriminators, networks.terms)
    generator_lr, discriminator_lr = table.lr, table.discriminator_lr or table.lr
    generator_step, generator_optimizer = _set_up(session, generator_objective, generator_lr, table.betas)
    discriminator_step, discriminator_optimizer = _set_up(
        session, discriminator_objective, discriminator_lr, table.betas
    )
    translator = networks.generators[DIRECTIONS[0]]
    average = _average(translator, table.ema_decay) if table.ema_decay else None
    pools = {domain: ImagePool(table.pool_size, recipe.seed, f"{domain}/{fabric.global_rank}") for domain in DOMAINS}
    parts: dict[str, Any] = {
        "generators": generator_objective,
        "discriminators": discriminator_objective,
        "average": average,
        "generator_optimizer": generator_optimizer,
        "discriminator_optimizer": discriminator_optimizer,
    }
    done = _restore(path, session, parts, pools)

    # Data
    batches = {
        domain: training_batches(
            streams[domain],
            batch_size=recipe.data.batch_size,
            steps=range(done, table.steps),
            rank=fabric.global_rank,
            ranks=fabric.world_size,
            workers=recipe.hardware.workers,
            device=fabric.device,
        )
        for domain in DOMAINS
    }
    finite = FiniteCheck()
    kept = f"the last good checkpoint is {path}" if path.exists() else "no checkpoint was written yet"
    session.log.begin("translation", table.steps, done)

    for step, source, target in zip(range(done, table.steps), batches["source"], batches["target"], strict=True):
        assert source.label is not None, "the source stream hands out labels"
        factor = lr_factor(step, table.steps, table.constant_fraction)
        # What a network or loss draws for itself, such as dropout, follows from the seed and the step too.
        torch.manual_seed(derive(recipe.seed, "translation", fabric.global_rank, step))

        # Generators
        with _frozen(networks.discriminators.values()):
            made = generator_step(source.image, source.label, target.image)
            _update(session, made.total, generator_optimizer, generator_lr * factor)
        if average is not None:
            average.update_parameters(translator)
        values = made.values

        # Discriminators, on past and present translations
        if discriminator_optimizer is not None:
            fakes = {
                domain: pools[domain].exchange(Fake(made.images[f"fake_{domain}"], label))
                for domain, label in (("source", None), ("target", source.label))
                if f"fake_{domain}" in made.images
            }
            rebuilt = {domain: made.images[f"rec_{domain}"] for domain in DOMAINS if f"rec_{domain}" in made.images}
            real = {"source": source.image, "target": target.image}
            judged = discriminator_step(real, source.label, fakes, rebuilt)
            _update(session, judged.total, discriminator_optimizer, discriminator_lr * factor)
            values = values | judged.values

        # Tell, draw and save
        done = step + 1
        finite.add(done, values)
        session.log.advance(done)
        last, stopping = done == table.steps, session.stopping()
        if done % log.every == 0 or last or stopping:
            finite.require(kept)
            session.log.values(done, {name: float(value) for name, value in values.items()})
        if done % log.checkpoint_every == 0 or last or stopping:
            finite.require(kept)
            require_finite_weights((generator_objective, discriminator_objective), done, kept)
            _save(path, session, done, parts, pools)
            kept = f"the last good checkpoint is {path}"
        if last or (log.samples_every and done % log.samples_every == 0):
            draw(done, _translating(translator, average))
        if stopping and not last:
            raise StoppedError(f"stopped after step {done} of {table.steps} of the translation")

    if table.steps == 0:
        draw(0, translator)
    return _translating(translator, average).eval()


def _set_up(
    session: Session, objective: nn.Module, lr: float, betas: tuple[float, ...]
) -> tuple[Callable[..., Any], Optimizer | None]:
    """``objective`` and its optimiser on the session's device; no optimiser for what has no weights."""
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    if not parameters:
        return session.fabric.setup_module(objective), None
    module, optimizer = session.fabric.setup(objective, Adam(parameters, lr=lr, betas=(betas[0], betas[1])))
    return module, optimizer


def _translating(generator: Generator, average: AveragedModel | None) -> nn.Module:
    return generator if average is None else average.module


def _average(generator: Generator, decay: float) -> AveragedModel:
    running_average: Any = get_ema_multi_avg_fn
    return AveragedModel(generator, multi_avg_fn=running_average(decay), use_buffers=True)


@contextmanager
def _frozen(networks: Iterable[nn.Module]) -> Iterator[None]:
    """No gradient for these weights inside: the generators' objective passes through them and does not train them."""
    trained = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _update(session: Session, total: Any, optimizer: Optimizer | None, lr: float) -> None:
    if optimizer is None or not total.requires_grad:
        return
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    session.fabric.backward(total)
    optimizer.step()


def _save(path: Path, session: Session, done: int, parts: Mapping[str, Any], pools: Mapping[str, ImagePool]) -> None:
    if session.fabric.is_global_zero:
        state = {name: part.state_dict() for name, part in parts.items() if part is not None}
        pooled = {domain: pool.state_dict() for domain, pool in pools.items()}
        checkpoint.save(path, {"done": done, "pools": pooled, **state})


def _restore(path: Path, session: Session, parts: Mapping[str, Any], pools: Mapping[str, ImagePool]) -> int:
    state = checkpoint.load(path, session.fabric.device)
    if state is None:
        return 0
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    for domain, pool in pools.items():
        pool.load_state_dict(state["pools"][domain], session.fabric.device)
    return int(state["done"])
