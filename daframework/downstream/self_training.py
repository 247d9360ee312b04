"""Self-training: a task model also learns target images that the average of its own past has labelled.

DACS (arXiv 2007.08702) as DAFormer (arXiv 2111.14887) has it: pseudo-labels of a teacher, and ClassMix, which pastes
half of the classes of a labelled source image onto a target image, label and all.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

from daframework.compute.randomness import generator
from daframework.compute.ranks import count_ranks, mean_over_ranks, own_share
from daframework.data.augment import augment_colors
from daframework.data.stream import TrainingStream
from daframework.data.whole import weights_dtype
from daframework.errors import warn
from daframework.interfaces import IGNORE_INDEX
from daframework.recipes.tables import SelfTrainingTable

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # which loads torch's compiler

Objective = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, num_classes, H, W) and labels (N, H, W) -> a scalar."""
Losses = tuple[Objective, Objective]
"""The loss where a label is the source's, and where it is the teacher's."""


@frozen(eq=False)
class Target:
    """What a row is self-trained on: crops of the target without labels, as ``[downstream.self_training]`` says."""

    stream: TrainingStream
    table: SelfTrainingTable


class SelfTraining:
    """The loss of a model on labelled and unlabelled images, and the teacher that labels those.

    The teacher is the running average of the student's weights and of its batch norms' statistics, in eval mode: by the
    statistics of a batch of target images it would take the target for as built-up as the source.
    """

    def __init__(
        self, student: nn.Module, table: SelfTrainingTable, fabric: "Fabric", seed: int, losses: Losses
    ) -> None:
        """The teacher begins as a copy of ``student``, on its device."""
        self._table, self._fabric, self._seed, self._losses = table, fabric, seed, losses
        self._teacher = deepcopy(student).requires_grad_(False).eval()
        self._steps = 0
        self._trust = torch.zeros((), device=fabric.device)  # the last step's
        self._most = self._trust.clone()

    def loss(
        self, forward: Callable[[Tensor], Tensor], image: Tensor, label: Tensor, unlabelled: Tensor, step: int
    ) -> Tensor:
        """The loss of labelled images (N, 3, H, W) with labels (N, H, W), and of as many target images mixed with them.

        Both go through ``forward``, the student, together.
        """
        table = self._table
        pseudo, trust = self._label(unlabelled)
        random = [generator(self._seed, what, 0, step) for what in ("classmix", "mixed colors")]
        pasted = pasted_classes(label, random[0])
        mixed = torch.where(pasted[:, None], image, unlabelled)
        logits = forward(torch.cat([image, augment_colors(mixed, table.augment, random[1])]))
        on_mixed = mixed_loss(self._losses, logits[len(image) :], torch.where(pasted, label, pseudo), pasted, trust)
        return self._losses[0](logits[: len(image)], label) + table.weight * on_mixed

    @torch.no_grad()
    def _label(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Target images (N, 3, H, W) -> their pseudo-labels (N, H, W), and how far to trust them, a scalar."""
        with self._fabric.autocast():
            logits = self._teacher(image.to(weights_dtype(self._teacher)))
        # In single precision: bf16 knows no number between 0.9648 and 0.9688.
        probability, label = logits.to(_precise(logits)).softmax(1).max(1)
        self._trust = mean_over_ranks((probability >= self._table.confidence).to(_precise(logits)).mean())
        self._most = torch.maximum(self._most, self._trust)
        return label, self._trust

    def told(self) -> dict[str, float]:
        """For the log: the share of the last batch's pseudo-labels that the teacher was sure of."""
        return {"trusted pseudo-labels": float(self._trust)}

    @torch.no_grad()
    def follow(self, student: nn.Module) -> None:
        """Bring the teacher a step closer to ``student``: all of the way at first, later by 1 - decay."""
        decay = min(1 - 1 / (self._steps + 1), self._table.teacher_decay)
        self._steps += 1
        for mine, theirs in zip(_tensors(self._teacher), _tensors(student), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs.detach(), 1 - decay)
            else:
                mine.copy_(theirs)  # how many batches a batch norm has seen

    @torch.no_grad()
    def finish(self, student: nn.Module, row: str) -> None:
        """Leave the teacher's weights in ``student``: on a far domain the last steps' swing, their average does not.

        Says so if the teacher never trusted a pixel.
        """
        student.load_state_dict(self._teacher.state_dict())
        if not self._most:
            found = f"no pseudo-label reached a probability of {self._table.confidence}"
            remedy = "lower downstream.self_training.confidence, or train the row for longer"
            warn(f"{row}: {found}, so nothing was learned of the target; {remedy}")

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"teacher": self._teacher.state_dict(), "steps": self._steps, "most_trust": self._most}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self._teacher.load_state_dict(state["teacher"])
        self._steps, self._most = int(state["steps"]), state["most_trust"].to(self._most.device)


def _precise(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def pasted_classes(label: Tensor, random: torch.Generator) -> Tensor:
    """Which pixels ClassMix (arXiv 2007.07936) pastes, (N, H, W) bool: those of half of the classes of each ``label``.

    Half is rounded up; ignored pixels are never pasted.
    """
    draws = own_share(torch.rand(len(label) * count_ranks(), IGNORE_INDEX, generator=random)).to(label.device)
    shown = torch.zeros(len(label), IGNORE_INDEX + 1, dtype=torch.bool, device=label.device)
    shown.scatter_(1, label.flatten(1), True)
    places = draws.masked_fill(~shown[:, :IGNORE_INDEX], torch.inf).argsort(1).argsort(1)
    half = (shown[:, :IGNORE_INDEX].sum(1, keepdim=True) + 1) // 2
    chosen = F.pad(places < half, (0, 1))  # ignored pixels never
    return chosen.gather(1, label.flatten(1)).view_as(label)


def mixed_loss(losses: Losses, logits: Tensor, label: Tensor, pasted: Tensor, trust: Tensor) -> Tensor:
    """The loss of mixed images: the first of ``losses`` where they are pasted, the second times ``trust`` elsewhere.

    Each part's mean counts by its share of the pixels: for a loss that is a mean over pixels, their weighted mean.
    """
    share = mean_over_ranks(pasted.to(_precise(logits)).mean())
    own = losses[0](logits, label.masked_fill(~pasted, IGNORE_INDEX))
    pseudo = losses[1](logits, label.masked_fill(pasted, IGNORE_INDEX))
    return share * own + (1 - share) * trust * pseudo
