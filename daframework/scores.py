"""What a model reached; apart from `daframework.interfaces`, as tables of finished runs are shown without torch."""

from attrs import frozen


@frozen
class Scores:
    """Fractions in [0, 1]; None for a class that occurs neither in the labels nor in the predictions.

    ``miou`` is the mean over the classes that occur; None if none does.
    """

    miou: float | None
    pixel_accuracy: float | None
    iou: tuple[float | None, ...]
