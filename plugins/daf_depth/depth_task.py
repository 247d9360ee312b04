"""The task ``depth``: which network, trained with which loss, scored how."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from daf_depth.depth_labels import DepthLabels
from daf_depth.depth_losses import mean_error, scale_invariant_error
from daf_depth.depth_metrics import METRICS, depth_sums, depth_values
from daf_depth.depth_network import DepthNetwork
from daframework.interfaces import MetricValues, Task


class Depth(Task):
    """Estimate each pixel's depth in metres from one image; scored by relative error and the field's other measures.

    Pixels whose true depth lies from ``min_depth`` to ``max_depth`` are learnt and scored, predictions clipped to that
    range, as KITTI's Eigen split is evaluated (arXiv 1406.2283). Means are over all pixels, not over images' means.

    Args:
        arch: Architecture of segmentation-models-pytorch, in any case: ``unet``, ``deeplabv3plus``, ``dpt``, ...
        encoder: Its encoder: a name of segmentation-models-pytorch (``resnet18``, ``mobilenet_v2``) or, with ``tu-`` in
            front, of timm (``tu-convnext_atto``).
        encoder_weights: ``none`` starts from random weights and needs no network; ``packaged`` takes the ImageNet
            weights of ``tu-tf_efficientnet_lite0`` from a Python package; anything else (``imagenet``) is downloaded.
        arch_options: More keyword arguments of the architecture, as in
            ``{ encoder_depth = 3, decoder_channels = [64, 32, 16] }``.
        encoder_options: More keyword arguments of a timm encoder, as in ``{ dynamic_img_size = true }``.
        freeze_encoder: Keep the weights that ``encoder_weights`` gave the encoder, and its norms' statistics, and train
            the decoder alone.
        min_depth: The least depth in metres, above 0.
        max_depth: The greatest depth in metres, above ``min_depth``.
        head: ``sigmoid_disparity`` has 1 / depth go from 1 / ``max_depth`` to 1 / ``min_depth`` along a sigmoid
            (Monodepth2, arXiv 1806.01260); ``softplus`` adds metres to ``min_depth``, without an end.
        loss: ``silog`` is 10 * sqrt(mean(g^2) - ``silog_variance`` * mean(g)^2) with g = log predicted - log true depth
            (arXiv 1406.2283, as AdaBins, arXiv 2011.14141, has it); ``l1`` the mean error in metres.
        silog_variance: For ``silog``, how far an error of scale alone is forgiven: 0 not at all, 1 wholly.
        median_scaling: Before they are scored, multiply the depths predicted for an image by the median of its true
            ones over theirs, as is done where the scale cannot be known.
    """

    metrics = METRICS

    def __init__(
        self,
        *,
        arch: str = "unet",
        encoder: str = "resnet18",
        encoder_weights: str | None = None,
        arch_options: Mapping[str, Any] | None = None,
        encoder_options: Mapping[str, Any] | None = None,
        freeze_encoder: bool = False,
        min_depth: float = 0.1,
        max_depth: float = 80.0,
        head: Literal["sigmoid_disparity", "softplus"] = "sigmoid_disparity",
        loss: Literal["silog", "l1"] = "silog",
        silog_variance: float = 0.85,
        median_scaling: bool = False,
    ) -> None:
        # Here, because it takes longer to import than torch, and every command asks for the name of this task.
        from daf_segmentation.network import NetworkOptions

        if not 0 < min_depth < max_depth < math.inf:
            raise ValueError(f"min_depth must be above 0 and below max_depth, got {min_depth} and {max_depth}")
        if not 0 <= silog_variance <= 1:
            raise ValueError(f"silog_variance must be from 0 to 1, got {silog_variance}")
        self._options = NetworkOptions(1, arch, encoder, encoder_weights, arch_options, encoder_options, freeze_encoder)
        self.multiple, self.smallest = self._options.multiple, self._options.smallest
        self.label_type = DepthLabels(far=max_depth)
        self._range = {"min_depth": min_depth, "max_depth": max_depth}
        self._head, self._loss = head, loss
        self._silog_variance, self._median_scaling = silog_variance, median_scaling
        scaled = ", each image's predictions scaled to the median of its truth" if median_scaling else ""
        self.note = (
            f"depth in metres: pixels from {min_depth:g} to {max_depth:g} m count, predictions are clipped to that"
            f"{scaled}; means are over all pixels"
        )

    def doubt(self, label: Tensor) -> str | None:
        """Where no depth (H, W) lies within the limits, as where centimetres are read as metres."""
        known = label[label > 0]
        if known.numel() == 0 or bool(self._counted(known).any()):
            return None
        low, high = self._range.values()
        return (
            f"no depth lies from min_depth = {low:g} to max_depth = {high:g} m, so nothing is learnt or scored; "
            f"the median is {float(known.median()):g} m: check the unit of the files"
        )

    def _counted(self, depth: Tensor) -> Tensor:
        low, high = self._range.values()
        return (depth >= low) & (depth <= high)

    def model(self) -> nn.Module:
        """A new network: images (N, 3, H, W) in [-1, 1] -> depths (N, H, W) in metres, float32 or more.

        On the meta device no weights are looked for or loaded.

        Raises:
            PluginError: the encoder's weights cannot be had.
            ValueError: the architecture refuses its options.
        """
        return DepthNetwork(self._options.build(), head=self._head, **self._range)

    def loss(self, prediction: Tensor, label: Tensor) -> Tensor:
        depth = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
        valid = self._counted(label)
        if self._loss == "l1":
            return mean_error(depth, label, valid)
        return scale_invariant_error(depth, label, valid, variance=self._silog_variance)

    def statistics(self, prediction: Tensor, label: Tensor) -> Tensor:
        """The sums of `depth_sums`, (9,) float64 on the CPU."""
        return depth_sums(prediction, label, median_scaling=self._median_scaling, **self._range)

    def scores(self, statistics: Tensor) -> MetricValues:
        values = depth_values(statistics).tolist()
        names = (metric.name for metric in METRICS)
        return MetricValues({name: None if math.isnan(one) else one for name, one in zip(names, values, strict=True)})

    def primary(self, statistics: Tensor) -> Tensor:
        return depth_values(statistics)[..., 0]
