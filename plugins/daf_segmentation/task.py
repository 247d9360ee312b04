"""The task ``segmentation``: which network, trained with which loss, scored how."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from daframework.interfaces import IGNORE_INDEX, Scores, Task
from daframework.metrics import (
    class_iou,
    confusion_matrix,
    cross_entropy,
    mean_iou,
    mean_iou_of,
    pixel_accuracy,
    soft_dice,
)


class Segmentation(Task):
    """Segment images into classes with cross-entropy, and Dice where asked for; scored by intersection over union.

    Args:
        num_classes: How many classes there are, 1 to 255; filled in from the source dataset.
        arch: Architecture of segmentation-models-pytorch, in any case: ``unet``, ``deeplabv3plus``, ``segformer``, ...
        encoder: Its encoder: a name of segmentation-models-pytorch (``resnet18``, ``mobilenet_v2``) or, with ``tu-`` in
            front, of timm (``tu-convnext_atto``).
        encoder_weights: ``none`` starts from random weights and needs no network; ``packaged`` takes the ImageNet
            weights of ``tu-tf_efficientnet_lite0`` from a Python package; anything else (``imagenet``) is downloaded.
        arch_options: More keyword arguments of the architecture, as in
            ``{ encoder_depth = 3, decoder_channels = [64, 32, 16] }``.
        encoder_options: More keyword arguments of a timm encoder, as in ``{ dynamic_img_size = true }``.
        freeze_encoder: Keep the weights that ``encoder_weights`` gave the encoder, and its norms' statistics, and train
            the decoder alone: less fits the source, and what the encoder knows of real images is not unlearned.
        dice_weight: Weight of the soft Dice loss (arXiv 1606.04797) beside cross-entropy, 0 or more.
        label_smoothing: Share of each pixel's target spread over all classes, 0 up to but not including 1.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        arch: str = "unet",
        encoder: str = "resnet18",
        encoder_weights: str | None = None,
        arch_options: Mapping[str, Any] | None = None,
        encoder_options: Mapping[str, Any] | None = None,
        freeze_encoder: bool = False,
        dice_weight: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        # Here, because they take longer to import than torch, and every command asks for the name of this task.
        from daf_segmentation.network import NetworkOptions

        if not 1 <= num_classes <= IGNORE_INDEX:
            raise ValueError(f"num_classes must be from 1 to {IGNORE_INDEX}, got {num_classes}")
        if not 0 <= dice_weight < float("inf"):
            raise ValueError(f"dice_weight must be 0 or more, got {dice_weight}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        self._options = NetworkOptions(
            num_classes, arch, encoder, encoder_weights, arch_options, encoder_options, freeze_encoder
        )
        self.multiple, self.smallest = self._options.multiple, self._options.smallest
        self._num_classes, self._dice_weight, self._label_smoothing = num_classes, dice_weight, label_smoothing

    def model(self) -> nn.Module:
        """A new network: images (N, 3, H, W) in [-1, 1] -> logits (N, num_classes, H, W).

        On the meta device no weights are looked for or loaded.

        Raises:
            PluginError: the encoder's weights cannot be had.
            ValueError: the architecture refuses its options.
        """
        return self._options.build()

    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        loss = cross_entropy(prediction, label, label_smoothing=self._label_smoothing)
        if self._dice_weight:
            loss = loss + self._dice_weight * soft_dice(prediction, label)
        return loss

    def statistics(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Confusion matrix (C, C) int64 of the most probable class."""
        return confusion_matrix(prediction.argmax(1), label, self._num_classes)

    def scores(self, statistics: Tensor) -> Scores:
        return Scores(mean_iou(statistics), pixel_accuracy(statistics), class_iou(statistics))

    def primary(self, statistics: Tensor) -> Tensor:
        return mean_iou_of(statistics)
