from torch import Tensor

from daframework.interfaces import Loss, StepImages


class MeanColour(Loss):
    """L1 distance between the mean colours of translated and real images, in both directions."""

    def generator_loss(self, images: StepImages) -> Tensor:
        return _distance(images.fake_target, images.target) + _distance(images.fake_source, images.source)


def _distance(image: Tensor, other: Tensor) -> Tensor:
    return (image.mean((0, 2, 3)) - other.mean((0, 2, 3))).abs().mean()
