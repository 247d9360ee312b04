"""How good a task model is on a domain without labels, guessed from what it predicts there."""

import math

import torch
from torch import Tensor


def certainty(logits: Tensor) -> Tensor:
    """Logits (N, C, H, W) -> (N, C + 1) float64: the mean probability of each class, and the mean entropy in nats."""
    chances = logits.double().log_softmax(1)
    entropy = -(chances.exp() * chances).sum(1).mean((-1, -2))
    return torch.cat([chances.exp().mean((-1, -2)), entropy[:, None]], dim=1)


def infomax(certainties: Tensor) -> float:
    """Of `certainty` of many images, (N, C + 1): how much a prediction says of the pixel it is made for, from 0 to 1.

    The entropy of the mean prediction less the mean entropy of predictions, in units of log C: the mutual information
    of RIM (Gomes, Krause, Perona, NIPS 2010). A model that is unsure everywhere has 0, and so has one that is sure of
    one class everywhere; 1 is one that is sure, and sees all classes equally often.
    """
    mean = certainties.double().mean(0)
    shares, entropy = mean[:-1], float(mean[-1])
    if len(shares) < 2:
        return 0.0
    return min(1.0, max(0.0, (float(torch.special.entr(shares).sum()) - entropy) / math.log(len(shares))))
