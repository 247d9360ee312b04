"""What a task implements; `daframework.interfaces` hands it on."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from daframework.label_types import SEMANTIC, LabelType
from daframework.scores import SEGMENTATION, Metric, MetricValues
from daframework.semantics import MeanOf, MeanProbability, MutualInformation


class Task(ABC):
    """The supervised problem trained downstream, the same for every row of the table.

    As it stands here it is one of classes: its labels are semantic, its metrics those of a segmentation. A task of
    another label says so of ``label_type`` and ``metrics``; `ensemble`, `predicted` and `label_free` then take no
    prediction for logits.
    """

    multiple: int = 1
    smallest: int = 1
    """Of the model's input, as of a generator's."""
    label_type: LabelType = SEMANTIC
    """What it learns: the label that its datasets must have."""
    metrics: Sequence[Metric] = SEGMENTATION
    """What `scores` gives, the primary one first: rows are ranked and compared by that."""
    note: str = ""
    """A line to stand under its tables, such as which pixels count; none where the metrics' names say it all."""

    @abstractmethod
    def model(self) -> nn.Module:
        """A new model: images (N, 3, H, W) in [-1, 1] -> a prediction (N, ...).

        Of classes it is logits (N, num_classes, H, W). One with a value a pixel ends in (H, W), so that padding can be
        cut off again.
        """

    @abstractmethod
    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Training loss, a scalar, of a prediction and labels as `Batch` has them; invalid pixels do not count."""

    @abstractmethod
    def statistics(self, prediction: Tensor, label: Tensor) -> Tensor:
        """What scores are computed from; adding it up over batches and ranks gives that of the whole set."""

    @abstractmethod
    def scores(self, statistics: Tensor) -> MetricValues:
        """A value for each of ``metrics``, in their order, of the summed statistics."""

    def primary(self, statistics: Tensor) -> Tensor:
        """`scores`' primary metric of many sums of statistics, (R, ...) float64 -> (R,) float64, NaN without one.

        The bootstrap asks for thousands: override it where they can be computed together.
        """
        return self.mious(statistics)

    def mious(self, statistics: Tensor) -> Tensor:
        """What `primary` was called before version 1.1 of the plugin API; override that."""
        found = (self.scores(one).primary for one in statistics)
        return torch.tensor([math.nan if value is None else value for value in found], dtype=torch.float64)

    def ensemble(self, models: Sequence[nn.Module]) -> nn.Module:
        """Several models as one, for an ensemble of translations: the mean of their probabilities or predictions."""
        return MeanProbability(models) if self.label_type.of_classes else MeanOf(models)

    def predicted(self, prediction: Tensor) -> Tensor:
        """A prediction (N, ...) as a label: the most probable class, (N, H, W) int64, or the prediction as it is."""
        return prediction.argmax(1) if self.label_type.of_classes else prediction

    def label_free(self, model: nn.Module) -> "LabelFree | None":
        """How good ``model`` is, guessed from what it predicts without labels; None where nobody can say."""
        return MutualInformation(model) if self.label_type.of_classes else None

    def doubt(self, label: Tensor) -> str | None:
        """What to warn of where nothing of an image's ``label``, as its dataset gives it, would count; else None."""
        return None


class LabelFree(Protocol):
    """A score without labels: ``model`` is run on images, ``statistics`` of its prediction are kept for each, and
    ``score`` makes of all of them, (images, ...), a number from 0 to 1, the higher the better.
    """

    @property
    def model(self) -> nn.Module: ...
    def statistics(self, prediction: Tensor) -> Sequence[Tensor]: ...
    def score(self, statistics: Tensor) -> float: ...
