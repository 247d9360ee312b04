"""Train the generators against the discriminators: the loop, top to bottom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daframework import checkpoint
from daframework.acceleration import accelerate, lay_out_like_weights
from daframework.adapt.finite import FiniteCheck, require_finite_weights
from daframework.adapt.objectives import DiscriminatorObjective, Fake, GeneratorObjective, GeneratorStep
from daframework.adapt.pool import ImagePool
from daframework.adapt.schedule import lr_factor
from daframework.build import DIRECTIONS, DOMAINS, Networks
from daframework.data.stream import TrainingStream, training_batches
from daframework.interfaces import Batch, Generator
from daframework.profiling import span
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
    nets = [*networks.generators.values(), *networks.discriminators.values()]
    for network in nets:
        network.train()
    generator_objective = GeneratorObjective(
        networks.generators,
        networks.discriminators,
        networks.terms,
        recompute=recipe.hardware.checkpoint_activations,
    )
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
    order = accelerate(nets, recipe.hardware, table.steps, fabric.device)
    for optimizer in (generator_optimizer, discriminator_optimizer):
        if optimizer is not None:
            lay_out_like_weights(optimizer)

    # Data
    batches = {
        domain: training_batches(
            streams[domain],
            batch_size=recipe.data.batch_size,
            steps=range(done * table.accumulate, table.steps * table.accumulate),
            rank=fabric.global_rank,
            ranks=fabric.world_size,
            workers=recipe.hardware.workers,
            device=fabric.device,
            memory_format=order,
        )
        for domain in DOMAINS
    }
    finite = FiniteCheck()
    kept = f"the last good checkpoint is {path}" if path.exists() else "no checkpoint was written yet"
    session.log.begin("translation", table.steps, done)

    for step in range(done, table.steps):
        factor = lr_factor(step, table.steps, table.constant_fraction)
        with span("waiting for data"):
            pairs = [(next(batches["source"]), next(batches["target"])) for _ in range(table.accumulate)]
        assert all(source.label is not None for source, _ in pairs), "the source stream hands out labels"
        # What a network or loss draws for itself, such as dropout, follows from the seed and the step too:
        # after the batches, as a loader draws when it starts.
        torch.manual_seed(derive(recipe.seed, "translation", fabric.global_rank, step))

        # Generators
        made: list[GeneratorStep] = []
        if generator_optimizer is not None:
            generator_optimizer.zero_grad(set_to_none=True)
        with _frozen(networks.discriminators.values()):
            for number, (source, target) in enumerate(pairs, start=1):
                with fabric.no_backward_sync(generator_step, enabled=number < table.accumulate):
                    with span("losses"):
                        made.append(generator_step(source.image, source.label, target.image))
                    with span("generators backward"):
                        _descend(session, made[-1].total, table.accumulate)
        with span("generators update"):
            _update(generator_optimizer, generator_lr * factor)
            if average is not None:
                average.update_parameters(translator)
        values = _mean([one.values for one in made])

        # Discriminators, on past and present translations
        if discriminator_optimizer is not None:
            judged = []
            discriminator_optimizer.zero_grad(set_to_none=True)
            for number, ((source, target), one) in enumerate(zip(pairs, made, strict=True), start=1):
                with fabric.no_backward_sync(discriminator_step, enabled=number < table.accumulate):
                    with span("losses"):
                        judged.append(discriminator_step(*_to_judge(source, target, one, pools)))
                    with span("discriminators backward"):
                        _descend(session, judged[-1].total, table.accumulate)
            with span("discriminators update"):
                _update(discriminator_optimizer, discriminator_lr * factor)
            values = values | _mean([one.values for one in judged])

        # Tell, draw and save
        done = step + 1
        finite.add(done, values)
        session.log.advance(done)
        last, stopping = done == table.steps, session.stopping()
        if done % log.every == 0 or last or stopping:
            with span("reading losses"):
                finite.require(kept)
                session.log.values(done, {name: float(value) for name, value in values.items()})
        if last or (log.samples_every and done % log.samples_every == 0):
            # Before saving: a run that is killed between the two would never draw them. Not worth compiling for.
            with span("drawing samples"), torch.compiler.set_stance("force_eager"):
                draw(done, _translating(translator, average))
        if done % log.checkpoint_every == 0 or last or stopping or session.saving():
            with span("saving"):
                finite.require(kept)
                require_finite_weights((generator_objective, discriminator_objective), done, kept)
                _save(path, session, done, parts, pools, last=last)
                kept = f"the last good checkpoint is {path}"
        if stopping and not last:
            raise StoppedError(f"stopped after step {done} of {table.steps} of the translation")

    if table.steps == 0:
        draw(0, translator)
    return _translating(translator, average).eval()


def _set_up(
    session: Session, objective: nn.Module, lr: float, betas: tuple[float, ...]
) -> tuple[_FabricModule, Optimizer | None]:
    """``objective`` and its optimiser on the session's device; no optimiser for what has no weights."""
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    if not parameters:
        return session.fabric.setup_module(objective), None
    # One kernel updates many weights at once, where the device has it.
    fused = session.fabric.device.type in ("cpu", "cuda")
    optimizer = Adam(parameters, lr=lr, betas=(betas[0], betas[1]), fused=fused)
    module, optimizer = session.fabric.setup(objective, optimizer)
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


def _to_judge(
    source: Batch, target: Batch, made: GeneratorStep, pools: Mapping[str, ImagePool]
) -> tuple[dict[str, Tensor], Tensor | None, dict[str, Fake], dict[str, Tensor]]:
    """What the discriminators' objective sees of a batch; the translations are exchanged for past ones."""
    fakes = {
        domain: pools[domain].exchange(Fake(made.images[f"fake_{domain}"], label))
        for domain, label in (("source", None), ("target", source.label))
        if f"fake_{domain}" in made.images
    }
    rebuilt = {domain: made.images[f"rec_{domain}"] for domain in DOMAINS if f"rec_{domain}" in made.images}
    return {"source": source.image, "target": target.image}, source.label, fakes, rebuilt


def _descend(session: Session, total: Tensor, batches: int) -> None:
    """Add the slopes of ``total``, the objective on one of a step's ``batches``, to those of the step."""
    if total.requires_grad:
        session.fabric.backward(total if batches == 1 else total / batches)


def _update(optimizer: Optimizer | None, lr: float) -> None:
    """One step of ``optimizer`` along the slopes."""
    if optimizer is not None:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()


def _mean(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Each value's mean over a step's batches."""
    if len(values) == 1:
        return dict(values[0])
    return {name: torch.stack([one[name] for one in values]).mean() for name in values[0]}


def _save(
    path: Path, session: Session, done: int, parts: Mapping[str, Any], pools: Mapping[str, ImagePool], *, last: bool
) -> None:
    if session.fabric.is_global_zero:
        state = {name: part.state_dict() for name, part in parts.items() if part is not None}
        pooled = {domain: pool.state_dict() for domain, pool in pools.items()}
        checkpoint.save(path, {"done": done, "pools": pooled, **state}, keep_previous=not last)


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
