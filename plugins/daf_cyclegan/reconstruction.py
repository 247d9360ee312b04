"""What should come back unchanged: an image translated there and back, and one that is already in the domain."""

from torch import Tensor
from torch.nn import functional as F

from daf_cyclegan.layers import to_float32
from daframework.interfaces import Loss, StepImages


def distance(image: Tensor, original: Tensor) -> Tensor:
    """L1 distance, the mean over images, channels and pixels, of two (N, 3, H, W)."""
    return F.l1_loss(to_float32(image), to_float32(original))


class Unchanged(Loss):
    """L1 of images that the generators ``made`` to the domains' own, as a mean over images, channels and pixels."""

    made: tuple[tuple[str, str], ...]
    """Domain and image, in the order in which they are made."""

    def __init__(self, *, source_weight: float = 1.0, target_weight: float = 1.0) -> None:
        """Keep the weights.

        Args:
            source_weight: multiplies the source's term; at 0 its image is not even made.
            target_weight: multiplies the target's term; at 0 its image is not even made.

        Raises:
            ValueError: a weight is negative, or both are 0.
        """
        super().__init__()
        self._weights = dict(zip(("source", "target"), checked_weights(source_weight, target_weight), strict=True))

    def generator_loss(self, images: StepImages) -> Tensor:
        terms = [
            self._weights[domain] * distance(getattr(images, made), getattr(images, domain))
            for domain, made in self.made
            if self._weights[domain]
        ]
        return sum(terms[1:], terms[0])


class Cycle(Unchanged):
    """Cycle consistency (arXiv 1703.10593): L1 of ``rec_source`` to ``source`` plus L1 of ``rec_target`` to ``target``.

    Each is the mean over images, channels and pixels, in the images' range of [-1, 1]. CycleGAN's weight for it is 10.
    """

    made = (("source", "rec_source"), ("target", "rec_target"))


class Identity(Unchanged):
    """Identity (arXiv 1703.10593): L1 of ``idt_target`` to ``target`` plus L1 of ``idt_source`` to ``source``.

    An image that is already in the domain should stay as it is, which keeps colours. Each term is the mean over images,
    channels and pixels, in the images' range of [-1, 1]. CycleGAN's weight for it is 5, half of that of ``cycle``.
    """

    made = (("target", "idt_target"), ("source", "idt_source"))


def checked_weights(source_weight: float, target_weight: float) -> tuple[float, float]:
    """Both weights.

    Raises:
        ValueError: a weight is negative, or both are 0.
    """
    if min(source_weight, target_weight) < 0 or source_weight == target_weight == 0:
        raise ValueError(
            f"source_weight and target_weight must be 0 or more and not both 0, got {source_weight} and {target_weight}"
        )
    return source_weight, target_weight
