"""Rendered street scenes with exact classes and depth in two looks: domain adaptation that needs no download."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from daframework import hookimpl

if TYPE_CHECKING:
    from daframework.interfaces import ImageDataset


@hookimpl
def daf_datasets() -> "Mapping[str, Callable[..., ImageDataset]]":
    """Offer ``streets``."""
    from daf_streets.streets import Streets

    return {"streets": Streets}
