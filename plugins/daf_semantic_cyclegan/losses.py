"""The losses that semantic adversarial training (arXiv 1810.05852) adds to CycleGAN, and one for one direction."""

from typing import Literal

import torch
from torch import Tensor

from daf_cyclegan.layers import to_float32
from daf_cyclegan.reconstruction import distance
from daf_semantic_cyclegan.class_weights import ClassWeights, Scheme, pixel_weights
from daframework.errors import PluginError
from daframework.interfaces import IGNORE_INDEX, DiscriminatorOutput, DomainImages, ImageDataset, Loss, StepImages
from daframework.metrics import cross_entropy


class SemanticDiscriminator(Loss):
    """Cross-entropy of what the discriminators' semantic heads see against the source's labels (arXiv 1810.05852).

    Discriminators: the source's head learns real source images, the target's head translated source images (also old
    ones, with their own labels), which is all that has labels. Generators: a translated source image must be segmented
    as what it was made from. The paper does not say which of these terms it uses; the defaults are ours.
    """

    needs_semantics = True
    needs_discriminator = True

    def __init__(
        self,
        *,
        num_classes: int,
        train_generator: bool = True,
        train_generator_on_reconstruction: bool = False,
        train_on_reconstruction: bool = False,
        target_consistency: Literal["none", "pseudo"] = "none",
        confidence: float = 0.9,
        class_weights: Scheme = "none",
        clip: float = 10.0,
    ) -> None:
        """Keep the options.

        Args:
            num_classes: number of classes; the source's, unless given.
            train_generator: the generators also minimise the error of ``fake_target`` against the source's label.
            train_generator_on_reconstruction: and that of ``rec_source``, as the source's head sees it.
            train_on_reconstruction: the source's head also learns ``rec_source`` with the source's label.
            target_consistency: "pseudo" asks that ``fake_source`` be segmented as the target's head segments the target
                image it was made from, where that head is confident; "none" asks nothing.
            confidence: smallest probability of the likeliest class at which a pixel counts as confident.
            class_weights: "none", "inverse_frequency", "median_frequency" or "inverse_log", weights of the
                cross-entropy, measured on the source (see ``weighted_reconstruction``).
            clip: class weights are kept between 1 / clip and clip.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        super().__init__()
        self.class_weights = ClassWeights(num_classes=num_classes, scheme=class_weights, clip=clip)
        if not 0 <= confidence <= 1:
            raise ValueError(f"confidence must be from 0 to 1, got {confidence}")
        self._train_generator = train_generator
        self._train_generator_on_reconstruction = train_generator_on_reconstruction
        self._train_on_reconstruction = train_on_reconstruction
        self._target_consistency, self._confidence = target_consistency, confidence

    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        """Measure the source's class weights, where they are asked for."""
        self.class_weights.measure(source)

    def generator_loss(self, images: StepImages) -> Tensor | None:
        terms = []
        if self._train_generator:
            terms.append(self._error(images.judged("fake_target"), images.source_label))
        if self._train_generator_on_reconstruction:
            terms.append(self._error(images.judged("rec_source"), images.source_label))
        if self._target_consistency == "pseudo":
            guess = pseudo_label(_semantics(images.judged("target")), self._confidence)
            terms.append(self._error(images.judged("fake_source"), guess))
        return sum(terms[1:], terms[0]) if terms else None

    def discriminator_loss(self, images: DomainImages) -> Tensor:
        if images.domain == "target":
            return self._error(images.fake_output, images.fake_label)
        error = self._error(images.real_output, images.real_label)
        if self._train_on_reconstruction:
            error = error + self._error(images.rec_output, images.rec_label)
        return error

    def _error(self, output: DiscriminatorOutput, label: Tensor | None) -> Tensor:
        if label is None:
            raise PluginError("semantic_discriminator got no label for an image that was made from the source")
        return cross_entropy(_semantics(output), label, self.class_weights.weights)


class WeightedReconstruction(Loss):
    """Cycle consistency in which a pixel of the source counts by its class (arXiv 1810.05852).

    L1 of ``rec_source`` to ``source``, mean over channels, times the weight of the pixel's label, mean over pixels and
    images; plus the same for ``rec_target`` and ``target``. Class weights are measured on at most 2000 source images
    before training, lie between 1 / ``clip`` and ``clip`` and have mean 1 over those images' pixels; a pixel without a
    label has weight 1. With ``class_weights`` "none" and ``target_weights`` "uniform" it is ``cycle`` to the last bit.
    The paper does not give its weights; the defaults are ours.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        class_weights: Scheme = "median_frequency",
        clip: float = 10.0,
        target_weights: Literal["uniform", "predicted"] = "uniform",
    ) -> None:
        """Keep the options.

        Args:
            num_classes: number of classes; the source's, unless given.
            class_weights: with p a class's share of all labelled pixels and q its share in the images that show it, in
                proportion to 1 / p for "inverse_frequency", 1 / q for "median_frequency" (arXiv 1411.4734) and
                1 / ln(1.02 + p) for "inverse_log" (ENet, arXiv 1606.02147); 1 for "none".
            clip: class weights are kept between 1 / clip and clip; the mean is 1 after that.
            target_weights: "uniform" weights all pixels of the target's cycle alike; "predicted" goes by the class that
                the target's semantic head sees in the target image.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        super().__init__()
        self.class_weights = ClassWeights(num_classes=num_classes, scheme=class_weights, clip=clip)
        self._predicts = target_weights == "predicted" and class_weights != "none"
        self.needs_semantics = self.needs_discriminator = self._predicts

    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        """Measure the source's class weights, where they are asked for."""
        self.class_weights.measure(source)

    def generator_loss(self, images: StepImages) -> Tensor:
        weights = self.class_weights.weights
        if weights is None:
            return distance(images.rec_source, images.source) + distance(images.rec_target, images.target)
        source = weighted_distance(images.rec_source, images.source, pixel_weights(weights, images.source_label))
        if not self._predicts:
            return source + distance(images.rec_target, images.target)
        guess = _semantics(images.judged("target")).argmax(dim=1)
        return source + weighted_distance(images.rec_target, images.target, pixel_weights(weights, guess))


class GradientContent(Loss):
    """Keep edges where they are: L1 of the luminance's gradients of ``fake_target`` to those of ``source``.

    The gradients of each image are divided by their mean, so that contrast may change as a whole, and only where it
    changes unevenly, or an edge comes or goes, is anything lost. For methods of one direction, which no cycle holds.
    """

    def __init__(self) -> None:
        """It has no options."""
        super().__init__()

    def generator_loss(self, images: StepImages) -> Tensor:
        return gradient_distance(images.fake_target, images.source)


def gradient_distance(image: Tensor, original: Tensor) -> Tensor:
    """L1 distance of the normalised gradients, across and down, of two (N, 3, H, W), mean over pixels and images."""
    pairs = zip(_gradients(image), _gradients(original), strict=True)
    return sum(((one - other).abs().mean() for one, other in pairs), image.new_zeros(()))


def _gradients(image: Tensor) -> list[Tensor]:
    luminance = to_float32(image).mean(1)
    across, down = luminance.diff(dim=-1), luminance.diff(dim=-2)
    size = (across.abs().mean((-1, -2)) + down.abs().mean((-1, -2))).clamp(min=1e-3).view(-1, 1, 1)
    return [across / size, down / size]


def pseudo_label(logits: Tensor, confidence: float) -> Tensor:
    """The likeliest class of logits (N, C, H, W) as a label (N, H, W); 255 where its probability is below it."""
    probability, label = torch.softmax(to_float32(logits.detach()), dim=1).max(dim=1)
    return torch.where(probability >= confidence, label, IGNORE_INDEX)


def weighted_distance(image: Tensor, original: Tensor, weights: Tensor) -> Tensor:
    """L1 distance of two (N, 3, H, W), mean over channels, times ``weights`` (N, H, W), mean over pixels and images."""
    return (weights * (to_float32(image) - to_float32(original)).abs().mean(dim=1)).mean()


def _semantics(output: DiscriminatorOutput) -> Tensor:
    if output.semantics is None:
        raise PluginError("this loss needs a discriminator with a semantic head, such as 'semantic' with semantic_head")
    return output.semantics
