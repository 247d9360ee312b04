"""What a task does unless it says otherwise: several models as one, and how good one of classes is without labels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MeanOf(nn.Module):
    """Several models as one that predicts the mean of what they do."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Models of one task."""
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> a prediction of the same shape as theirs."""
        return torch.stack([model(image) for model in self.models]).mean(0)


class MeanProbability(MeanOf):
    """Several models that map images to logits as one, whose class probabilities are the mean of theirs."""

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] -> logits (N, num_classes, H, W): logarithms of probabilities."""
        total = sum(model(image).softmax(1) for model in self.models)
        assert isinstance(total, Tensor), "there is at least one model"
        return (total / len(self.models)).clamp(min=torch.finfo(total.dtype).tiny).log()


class BothViews(nn.Module):
    """A task model that looks at an image and at its mirror image."""

    def __init__(self, model: nn.Module) -> None:
        """``model`` maps images to logits."""
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> logits of both views, pixel for pixel of the image: (N, 2, C, H, W)."""
        return torch.stack([self.model(image), self.model(image.flip(-1)).flip(-1)], dim=1)


def joint(logits: Tensor) -> Tensor:
    """Logits of `BothViews` (N, 2, C, H, W) -> (N, C, C) float64: how likely a pixel is of one class in one view and of
    another in the other, as the mean over pixels of the product of their probabilities.
    """
    views = logits.double().softmax(2)
    return torch.einsum("nchw,ndhw->ncd", *views.unbind(1)) / (logits.shape[-2] * logits.shape[-1])


def mutual_information(joints: Tensor) -> float:
    """Of `joint` of many images, (N, C, C): what the one view's prediction says of the other's, from 0 to 1.

    In units of log C, as in IIC (arXiv 1807.06653). A model that is unsure everywhere has 0, and so has one that sees
    one class everywhere; 1 is one that is sure, of all classes equally often, and of the same ones in a mirror image.
    """
    found = joints.double().mean(0)
    found = (found + found.T) / 2
    shares = found.sum(0)
    if len(shares) < 2:
        return 0.0
    entropy, together = torch.special.entr(shares).sum(), torch.special.entr(found).sum()
    return min(1.0, max(0.0, float(2 * entropy - together) / math.log(len(shares))))


class MutualInformation:
    """How good a model of classes is on images without labels, see `mutual_information`."""

    def __init__(self, model: nn.Module) -> None:
        """``model`` maps images to logits."""
        self.model = BothViews(model)

    def statistics(self, prediction: Tensor) -> Sequence[Tensor]:
        """`joint` of each image."""
        return joint(prediction).unbind()

    def score(self, statistics: Tensor) -> float:
        """From 0 to 1."""
        return mutual_information(statistics)
