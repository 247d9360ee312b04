"""Downstream task: semantic segmentation with any architecture and encoder of segmentation-models-pytorch and timm."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from daframework import hookimpl

if TYPE_CHECKING:
    from daframework.interfaces import Task


@hookimpl
def daf_tasks() -> "Mapping[str, Callable[..., Task]]":
    """``segmentation``."""
    from daf_segmentation.task import Segmentation

    return {"segmentation": Segmentation}
