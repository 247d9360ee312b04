"""The learning rate of the translation."""


def lr_factor(step: int, steps: int, constant_fraction: float) -> float:
    """Factor on the learning rate at ``step`` (from 0): 1 at first, then linear to 0, reached after the last step."""
    decay_from = round(steps * constant_fraction)
    return min(1.0, (steps - step) / max(1, steps - decay_from))
