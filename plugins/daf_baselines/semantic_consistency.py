"""CyCADA's loss: a segmenter that was trained on the source should see the same before and after a translation."""

from typing import Literal

import torch
from torch import Tensor, nn

from daf_cyclegan.reconstruction import checked_weights
from daframework.interfaces import Loss, StepImages
from daframework.metrics import cross_entropy


class SemanticConsistency(Loss):
    """Semantic consistency of CyCADA (arXiv 1711.03213, ``L_sem``), with a frozen segmenter f.

    f is the task model that was trained on the source. Cross-entropy of f(``fake_target``) to the source's label, plus
    that of f(``fake_source``) to argmax f(``target``); each is the mean over the labelled pixels of the batch, 0 where
    there is none. Beside an adversarial and a cycle loss this is CyCADA's translation; its weight there is 1.
    """

    needs_source_model = True

    def __init__(
        self,
        *,
        source_label: Literal["given", "predicted"] = "given",
        source_weight: float = 1.0,
        target_weight: float = 1.0,
    ) -> None:
        """Keep the options.

        Args:
            source_label: "given" takes the source's own label, as the authors' code does; "predicted" takes argmax
                f(``source``), as the paper's equation does.
            source_weight: multiplies the source's term; at 0 it is left out.
            target_weight: multiplies the target's term; at 0, as a recipe of one direction needs it, it is left out
                and ``fake_source`` not even made.

        Raises:
            ValueError: a weight is negative, or both are 0.
        """
        super().__init__()
        self._predicts = source_label == "predicted"
        self._weights = checked_weights(source_weight, target_weight)
        # In a plain tuple, so that it is neither trained, synchronised nor saved from here.
        self._models: tuple[nn.Module, ...] = ()

    def take_source_model(self, model: nn.Module) -> None:
        """Keep f; it is put in eval mode, and its weights need no gradient from here on."""
        self._models = (model.eval().requires_grad_(False),)

    def generator_loss(self, images: StepImages) -> Tensor:
        """The weighted sum of both terms, once f was taken."""
        (model,) = self._models
        source_weight, target_weight = self._weights
        terms = []
        if source_weight:
            label = predicted(model, images.source) if self._predicts else images.source_label
            terms.append(source_weight * cross_entropy(model(images.fake_target), label))
        if target_weight:
            label = predicted(model, images.target)
            terms.append(target_weight * cross_entropy(model(images.fake_source), label))
        return sum(terms[1:], terms[0])


@torch.no_grad()
def predicted(model: nn.Module, image: Tensor) -> Tensor:
    """The likeliest class of each pixel: images (N, 3, H, W) -> (N, H, W)."""
    label: Tensor = model(image).argmax(dim=1)
    return label
