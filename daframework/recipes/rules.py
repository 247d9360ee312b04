"""What a key of a recipe may hold: validators that say ``must be <allowed>, got ...``."""

from collections.abc import Callable
from typing import Any

from attrs import Attribute
from attrs.validators import and_

from daframework.recipes.strict import shown

_MOST_PIXELS = 89_478_485  # what an image file may have
_LONGEST_NAME = 100  # bytes: files and folders are called by it, with something before and after


def rule(allowed: str, holds: Callable[[Any], bool]) -> Callable[[Any, "Attribute[Any]", Any], None]:
    """A validator of a table's field: ``must be <allowed>, got ...`` where a value does not hold."""

    def check(_: Any, attribute: "Attribute[Any]", value: Any) -> None:
        if not holds(value):
            raise ValueError(f"must be {allowed}, got {shown(value)}")

    return check


def at_least(low: float) -> Any:
    """A validator: ``low`` or more."""
    return rule(f"at least {low}", lambda value: value >= low)


def within(low: float, high: float) -> Any:
    """A validator: from ``low`` to ``high``, both included."""
    return rule(f"between {low} and {high}", lambda value: low <= value <= high)


def without_labels(_: Any, attribute: "Attribute[Any]", value: Any) -> None:
    """A validator of random changes of images whose labels are guessed."""
    if value.class_colors:
        raise ValueError(f"class_colors must be 0, since these images have no true labels, got {value.class_colors}")


positive = rule("greater than 0", lambda value: value > 0)
size = and_(
    rule("[height, width], two positive whole numbers of pixels", lambda value: len(value) == 2 and min(value) > 0),
    rule(f"at most {_MOST_PIXELS} pixels together", lambda value: value[0] * value[1] <= _MOST_PIXELS),
)
factors = rule("[low, high] with 0 < low <= high", lambda value: len(value) == 2 and 0 < value[0] <= value[1])
shares = rule(
    "[low, high] with 0 <= low <= high <= 1", lambda value: len(value) == 2 and 0 <= value[0] <= value[1] <= 1
)
directions = rule(
    '["source_to_target"] or ["source_to_target", "target_to_source"]',
    lambda value: value in (("source_to_target",), ("source_to_target", "target_to_source")),
)
betas = rule("two numbers in [0, 1)", lambda value: len(value) == 2 and all(0 <= beta < 1 for beta in value))
plain_name = and_(
    rule(
        "made of letters, digits, '_', '-' and '.', beginning with a letter or digit",
        lambda value: value[:1].isalnum() and all(character.isalnum() or character in "_-." for character in value),
    ),
    rule(f"at most {_LONGEST_NAME} bytes long", lambda value: len(value.encode()) <= _LONGEST_NAME),
)
