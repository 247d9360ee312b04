"""Train the task model on one labelled set: the same budget for every row of the table."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from daframework.compute.acceleration import accelerate, lay_out_like_weights
from daframework.compute.batch_norm import over_all_ranks
from daframework.compute.randomness import generator, global_seed, start_global
from daframework.compute.ranks import any_rank, from_first, mean_over_ranks
from daframework.compute.session import Session
from daframework.compute.threads import keep_threads, use_threads
from daframework.data.augment import augmented
from daframework.data.stream import TrainingStream, training_batches
from daframework.downstream.self_training import SelfTraining, Target
from daframework.errors import StoppedError, TrainingError
from daframework.interfaces import Task
from daframework.recipes.tables import AugmentTable, Recipe
from daframework.spans import span
from daframework.storage import checkpoint
from daframework.storage.row_names import training_of


def warmup_cosine(step: int, steps: int) -> float:
    """Factor on the learning rate at ``step`` (from 0): up over the first tenth, then along a cosine to 0."""
    warmup = max(1, round(steps * 0.1))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@keep_threads()
def fit(
    session: Session,
    task: Task,
    stream: TrainingStream,
    recipe: Recipe,
    row: str,
    path: Path,
    augment: AugmentTable,
    *,
    prior: Tensor | None = None,
    start: Mapping[str, Tensor] | None = None,
    target: Target | None = None,
) -> nn.Module:
    """The task's model trained on ``stream`` as ``[downstream]`` says, for the table's row named ``row``.

    ``augment`` are the changes drawn for its images, but for originals among translated ones; ``prior`` (num_classes,)
    is added to the logits of labelled images before the loss sees them. Every row starts from the same weights, unless
    it has others to ``start`` with; with a ``target`` it is self-trained, as that says. Goes on from the checkpoint at
    ``path`` and leaves one there.

    Raises:
        TrainingError: the loss is not finite.
        StoppedError: the user asked to stop; a checkpoint was saved.
        DataError: an image cannot be used.
    """
    fabric, table, log = session.fabric, recipe.downstream, recipe.log
    steps, lr, stage = table.steps, table.lr, training_of(row)
    if target is not None:
        steps, lr = target.table.steps or steps, target.table.lr or lr
    prior = None if prior is None else prior.view(1, -1, 1, 1).to(fabric.device)

    def labelled_loss(logits: Tensor, label: Tensor) -> Tensor:
        return task.loss(logits if prior is None else logits + prior, label)

    with global_seed(recipe.seed, "task"):
        model = over_all_ranks(task.model(), fabric.device)
    if start is not None:
        model.load_state_dict(start)
    # One kernel updates many weights at once, where the device has it.
    fused = fabric.device.type in ("cpu", "cuda")
    optimizer = AdamW(model.parameters(), lr=lr, weight_decay=table.weight_decay, fused=fused)
    forward, optimizer = fabric.setup(model, optimizer)
    state = from_first(lambda: checkpoint.load(path, torch.device("cpu")))
    done, seen = 0, 0
    if state is not None:
        done = int(state["done"])
        seen = int(state.get("seen", done * table.batch_size))
        model.load_state_dict(state["model"])
        if done < steps:
            optimizer.load_state_dict(state["optimizer"])
    teaching = None
    if target is not None:
        teaching = SelfTraining(model, target.table, fabric, recipe.seed, (labelled_loss, task.loss))
        if state is not None and done < steps:
            teaching.load_state_dict(state["self_training"])
    use_threads([model], (table.batch_size, 3, *recipe.data.crop_size), fabric.device)
    order = accelerate([model], recipe.hardware, steps, fabric.device)
    lay_out_like_weights(optimizer)
    crops = partial(
        training_batches,
        batch_size=table.batch_size,
        steps=range(done, steps),
        rank=fabric.global_rank,
        ranks=fabric.world_size,
        workers=recipe.hardware.workers,
        device=fabric.device,
        memory_format=order,
        seen=seen,
    )
    batches, unlabelled = crops(stream), iter(()) if target is None else crops(target.stream)
    session.log.begin(stage, steps, done)
    model.train()
    for step in range(done, steps):
        with span("waiting for data"):
            batch = next(batches)
        assert batch.label is not None, "the task is trained on labelled images"
        # What the model draws for itself, such as dropout, follows from the seed and the step too.
        start_global(fabric.device, recipe.seed, "task", fabric.global_rank, step)
        with span("augmentation"):
            random = [generator(recipe.seed, what, 0, step) for what in ("geometry", "colors", "class colors")]
            first = seen + fabric.global_rank * table.batch_size
            positions = range(first, first + table.batch_size)
            changes = [(stream.blend and stream.blend.changes(position)) or augment for position in positions]
            image, label = augmented(batch.image, batch.label, changes, random, task.label_type)
        optimizer.zero_grad(set_to_none=True)
        with span("task forward"):
            if teaching is None:
                loss = labelled_loss(forward(image), label)
            else:
                loss = teaching.loss(forward, image, label, next(unlabelled).image, step)
        with span("task backward"):
            fabric.backward(loss)
        with span("task update"):
            for group in optimizer.param_groups:
                group["lr"] = lr * warmup_cosine(step, steps)
            optimizer.step()
            if teaching is not None:
                teaching.follow(model)
        done, seen = step + 1, seen + table.batch_size * fabric.world_size
        session.log.advance(done)
        last, (stopping, saving) = done == steps, any_rank(session.stopping(), session.saving())
        tell, keep = (last or stopping or done % every == 0 for every in (log.every, log.checkpoint_every))
        keep = keep or saving
        if tell or keep:
            value = float(mean_over_ranks(loss.detach()))
            if not math.isfinite(value):
                raise TrainingError(f"the loss of {stage} is not a finite number at step {done}; lower downstream.lr")
        if tell:
            session.log.values(done, {"loss": value} | ({} if teaching is None else teaching.told()))
        if last and teaching is not None:
            teaching.finish(model, row)
        if keep and fabric.is_global_zero:
            saved = {"done": done, "seen": seen, "model": model.state_dict()}
            kept = saved if last else saved | {"optimizer": optimizer.state_dict()}
            if teaching is not None and not last:
                kept |= {"self_training": teaching.state_dict()}
            checkpoint.save(path, kept, keep_previous=not last)
        if stopping and not last:
            fabric.barrier()  # the others leave when the first rank has saved
            raise StoppedError(f"stopped after step {done} of {steps} of {stage}")
    # Scored in single precision, whatever it was trained in.
    return model.float().eval()
