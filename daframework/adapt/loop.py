"""Train the generators against the discriminators: the loop, top to bottom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daframework.adapt.finite import FiniteCheck, require_finite_weights
from daframework.adapt.pool import ImagePool
from daframework.adapt.saved import restore, save
from daframework.adapt.step import DiscriminatorObjective, Fake, GeneratorObjective, GeneratorStep, to_judge
from daframework.compute.acceleration import accelerate, lay_out_like_weights
from daframework.compute.batch_norm import over_all_ranks
from daframework.compute.randomness import start_global
from daframework.compute.ranks import all_batches, any_rank, count_ranks, mean_over_ranks, own_share
from daframework.compute.session import Session
from daframework.compute.threads import keep_threads, use_threads
from daframework.data.stream import TrainingStream, training_batches
from daframework.errors import StoppedError
from daframework.networks import DIRECTIONS, DOMAINS, Networks
from daframework.recipes.tables import Recipe
from daframework.spans import span
from daframework.storage.row_names import TRANSLATION


@keep_threads()
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
    nets = networks.trained
    for network in nets:
        network.train()
    generator_objective = GeneratorObjective(networks, recompute=recipe.hardware.checkpoint_activations)
    discriminator_objective = DiscriminatorObjective(networks)
    generator_step, generator_optimizer = _set_up(session, generator_objective, table.betas)
    discriminator_step, discriminator_optimizer = _set_up(session, discriminator_objective, table.betas)
    judging = [weight for network in networks.discriminators.values() for weight in network.parameters()]
    translator = networks.generators[DIRECTIONS[0]]
    ema: Any = get_ema_multi_avg_fn
    average = None
    if table.ema_decay:
        average = AveragedModel(translator, multi_avg_fn=ema(table.ema_decay), use_buffers=True)
    translating = translator if average is None else average.module
    # Every rank holds the same pools and the same draws: the name's number stands for all of them.
    pools = {domain: ImagePool(table.pool_size, recipe.seed, f"{domain}/0") for domain in DOMAINS}
    parts: dict[str, Any] = {
        "generators": generator_objective,
        "discriminators": discriminator_objective,
        "average": average,
        "generator_optimizer": generator_optimizer,
        "discriminator_optimizer": discriminator_optimizer,
    }
    images_a_step = table.accumulate * fabric.world_size * recipe.data.batch_size
    done, seen = restore(path, session, parts, pools, table.accumulate * recipe.data.batch_size)
    use_threads(nets, (recipe.data.batch_size, 3, *recipe.data.crop_size), fabric.device)
    order = accelerate(nets, recipe.hardware, table.steps, fabric.device)
    for optimizer in filter(None, (generator_optimizer, discriminator_optimizer)):
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
            seen=seen,
        )
        for domain in DOMAINS
    }
    finite = FiniteCheck()
    kept = f"the last good checkpoint is {path}" if path.exists() else "no checkpoint was written yet"
    session.log.begin(TRANSLATION, table.steps, done)

    for step in range(done, table.steps):
        factor = lr_factor(step, table.steps, table.constant_fraction)
        generator_lr, discriminator_lr = factor * table.lr, factor * (table.discriminator_lr or table.lr)
        with span("waiting for data"):
            pairs = [(next(batches["source"]), next(batches["target"])) for _ in range(table.accumulate)]
        # What a network or loss draws for itself, such as dropout, follows from the seed and the step too:
        # after the batches, as a loader draws when it starts.
        start_global(fabric.device, recipe.seed, "translation", fabric.global_rank, step)

        # Generators
        made: list[GeneratorStep] = []
        if generator_optimizer is not None:
            generator_optimizer.zero_grad(set_to_none=True)
        with _frozen(judging):
            for number, (source, target) in enumerate(pairs, start=1):
                with _unsynchronised(fabric, generator_step, number < table.accumulate):
                    with span("losses"):
                        made.append(generator_step(source.image, source.label, target.image))
                    with span("generators backward"):
                        _backward(session, made[-1].total, table.accumulate)
        with span("generators update"):
            _update(generator_optimizer, generator_lr)
            if average is not None:
                average.update_parameters(translator)
        values = _mean([one.values for one in made])

        # Discriminators, on past and present translations
        if discriminator_optimizer is not None:
            judged = []
            discriminator_optimizer.zero_grad(set_to_none=True)
            for number, ((source, target), one) in enumerate(zip(pairs, made, strict=True), start=1):
                with _unsynchronised(fabric, discriminator_step, number < table.accumulate):
                    with span("losses"):
                        judged.append(discriminator_step(*to_judge(source, target, one, partial(_exchanged, pools))))
                    with span("discriminators backward"):
                        _backward(session, judged[-1].total, table.accumulate)
            with span("discriminators update"):
                _update(discriminator_optimizer, discriminator_lr)
            values = values | _mean([one.values for one in judged])

        # Tell, draw and save
        done, seen = step + 1, seen + images_a_step
        finite.add(done, values, made[-1].images)
        session.log.advance(done)
        last, (stopping, saving) = done == table.steps, any_rank(session.stopping(), session.saving())
        if done % log.every == 0 or last or stopping:
            with span("reading losses"):
                finite.require(kept)
                told = mean_over_ranks(torch.stack(list(values.values()))).tolist()
                session.log.values(done, dict(zip(values, told, strict=True)))
        if last or (log.samples_every and done % log.samples_every == 0):
            # Before saving: a run that is killed between the two would never draw them. Not worth compiling for.
            with span("drawing samples"), torch.compiler.set_stance("force_eager"):
                draw(done, translating)
        if done % log.checkpoint_every == 0 or last or stopping or saving:
            with span("saving"):
                finite.require(kept)
                require_finite_weights((generator_objective, discriminator_objective), done, kept)
                if fabric.is_global_zero:
                    save(path, (done, seen), parts, pools, last=last)
                kept = f"the last good checkpoint is {path}"
        if stopping and not last:
            fabric.barrier()  # the others leave when the first rank has saved
            raise StoppedError(f"stopped after step {done} of {table.steps} of the translation")

    if table.steps == 0:
        draw(0, translating)
    return translating.eval()


def lr_factor(step: int, steps: int, constant_fraction: float) -> float:
    """Factor on the learning rate at ``step`` (from 0): 1 at first, then linear to 0, reached after the last step."""
    decay_from = round(steps * constant_fraction)
    return min(1.0, (steps - step) / max(1, steps - decay_from))


def _set_up(session: Session, objective: nn.Module, betas: tuple[float, ...]) -> tuple[nn.Module, Optimizer | None]:
    """``objective`` and its optimiser on the session's device; no optimiser for what has no weights.

    The learning rate is set at every step.
    """
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    if not parameters:
        return session.fabric.to_device(objective), None
    objective = over_all_ranks(objective, session.fabric.device)
    # One kernel updates many weights at once, where the device has it.
    fused = session.fabric.device.type in ("cpu", "cuda")
    optimizer = Adam(parameters, betas=(betas[0], betas[1]), fused=fused)
    module, optimizer = session.fabric.setup(objective, optimizer)
    return module, optimizer


def _unsynchronised(fabric: Fabric, module: nn.Module, kept: bool) -> AbstractContextManager[None]:
    """Inside, gradients stay with their rank if ``kept``: the ranks' are averaged once a step, at its last batch."""
    if kept and isinstance(module, _FabricModule):
        return fabric.no_backward_sync(module)
    return nullcontext()


@contextmanager
def _frozen(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """No gradient for these inside: the generators' objective passes through them and does not train them."""
    trained = [weight for weight in weights if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _exchanged(pools: Mapping[str, ImagePool], domain: str, fake: Fake) -> Fake:
    """Translations exchanged for past ones, of whatever rank: one pool for all of a step's images of a domain."""
    pool = pools[domain]
    if pool.size == 0 or count_ranks() == 1:
        return pool.exchange(fake)
    label = None if fake.label is None else all_batches(fake.label.to(torch.uint8)).long()
    image, label = pool.exchange(Fake(all_batches(fake.image), label))
    return Fake(own_share(image), None if label is None else own_share(label))


def _backward(session: Session, total: Tensor, batches: int) -> None:
    """Add the gradients of ``total``, the objective on one of a step's ``batches``, to those of the step."""
    if total.requires_grad:
        session.fabric.backward(total if batches == 1 else total / batches)


def _update(optimizer: Optimizer | None, lr: float) -> None:
    """One step of ``optimizer`` at the learning rate ``lr``."""
    if optimizer is not None:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()


def _mean(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Each value's mean over a step's batches."""
    if len(values) == 1:
        return dict(values[0])
    return {name: torch.stack([one[name] for one in values]).mean() for name in values[0]}
