"""A segmentation's error, and its scores from one confusion matrix that adds up over batches and ranks; fractions.

A class that occurs neither in the labels nor in the predictions has no score: it neither raises nor lowers the mean. A
class that is only predicted scores 0. The same rule as the Cityscapes benchmark's own evaluation.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from daframework.compute.ranks import mean_over_ranks, mean_with_own_gradient
from daframework.errors import DataError
from daframework.interfaces import IGNORE_INDEX


def cross_entropy(
    logits: Tensor, label: Tensor, weights: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy of logits (N, C, H, W) over the pixels of (N, H, W) not labelled 255; 0 where all are.

    With class ``weights`` (C,), all positive, it is the sum of weighted errors over the sum of weights. Computed in
    float32 or more, whatever the logits are; the mean of nothing would be NaN. Of several ranks, the mean of what each
    gets is that over the pixels of all.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    errors = F.cross_entropy(
        precise, label, weights, ignore_index=IGNORE_INDEX, label_smoothing=label_smoothing, reduction="sum"
    )
    labelled = label != IGNORE_INDEX
    if weights is None:
        return errors / mean_over_ranks(labelled.sum()).clamp(min=1)
    total = torch.where(labelled, weights[torch.where(labelled, label, 0)], 0.0).sum()
    return errors / mean_over_ranks(total).clamp(min=torch.finfo(total.dtype).tiny)


def soft_dice(logits: Tensor, label: Tensor) -> Tensor:
    """Soft Dice loss (arXiv 1606.04797): the mean over classes of ``1 - 2 * sum(p * y) / (sum(p) + sum(y))``.

    p is the softmax of logits (N, C, H, W), y whether the label (N, H, W) is the class; sums are over all pixels that
    are not labelled 255, of all ranks. A class that no pixel shows counts 0, whatever is predicted.
    """
    labelled = label != IGNORE_INDEX
    truth = F.one_hot(torch.where(labelled, label, 0).long(), logits.shape[1]).movedim(-1, 1) * labelled[:, None]
    chance = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1) * labelled[:, None]
    sums = torch.stack([one.sum((0, 2, 3)) for one in (chance * truth, truth.to(chance.dtype), chance)])
    both, shown, guessed = mean_with_own_gradient(sums)
    missed: Tensor = 1 - 2 * both / (shown + guessed).clamp(min=1e-7)
    loss: Tensor = (missed * (shown > 0)).mean()
    return loss


def confusion_matrix(prediction: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Count pixels: class indices (N, H, W), twice -> (C, C) int64; rows are labels, columns predictions.

    Pixels labelled 255 are not counted, whatever was predicted there.

    Raises:
        DataError: a label is neither a class index nor 255.
        ValueError: shapes differ, or a prediction is no class index.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and label {tuple(label.shape)} must have one shape")
    counted = label != IGNORE_INDEX
    truth, guess = label[counted].long(), prediction[counted].long()
    if (held := _outside(truth, num_classes)) is not None:
        allowed = f"0 to {num_classes - 1} and {IGNORE_INDEX} (ignore)"
        raise DataError(f"a label holds {held}, and only {allowed} are allowed; check the dataset's id map")
    if (held := _outside(guess, num_classes)) is not None:
        raise ValueError(f"a prediction holds {held}, but there are {num_classes} classes")
    return torch.bincount(truth * num_classes + guess, minlength=num_classes**2).reshape(num_classes, num_classes)


def _outside(values: Tensor, num_classes: int) -> int | None:
    """The lowest or highest of ``values`` where it is no class, else None."""
    low, high = torch.stack(torch.aminmax(values)).tolist() if values.numel() else (0, 0)
    return low if low < 0 else high if high >= num_classes else None


def class_iou(confusion: Tensor) -> tuple[float | None, ...]:
    """Intersection over union of each class, of counts (C, C); None for a class that occurs nowhere."""
    return tuple(None if math.isnan(iou) else iou for iou in _class_ious(confusion).tolist())


def _class_ious(confusions: Tensor) -> Tensor:
    """Counts (..., C, C) -> intersection over union (..., C) float64; NaN for a class that occurs nowhere."""
    counts = confusions.cpu().double()  # not every accelerator has float64
    hits = counts.diagonal(dim1=-2, dim2=-1)
    return hits / (counts.sum(-1) + counts.sum(-2) - hits)


def mean_iou(confusion: Tensor) -> float | None:
    """Mean intersection over union of the classes that occur, of counts (C, C); None if none does."""
    present = [iou for iou in class_iou(confusion) if iou is not None]
    return sum(present) / len(present) if present else None


def mean_iou_of(confusions: Tensor) -> Tensor:
    """`mean_iou` of many matrices at once: counts (..., C, C), below 2**53 -> (...) float64; NaN if no class occurs."""
    return _class_ious(confusions).nanmean(-1)


def pixel_accuracy(confusion: Tensor) -> float | None:
    """Fraction of the labelled pixels that are right, of counts (C, C); None if nothing is labelled."""
    total = int(confusion.sum())
    return int(confusion.diagonal().sum()) / total if total else None
