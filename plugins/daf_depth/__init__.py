"""Downstream task: depth in metres from one image, with any architecture and encoder that ``segmentation`` has."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from daframework import hookimpl

if TYPE_CHECKING:
    from daframework.interfaces import Task


@hookimpl
def daf_tasks() -> "Mapping[str, Callable[..., Task]]":
    """``depth``."""
    from daf_depth.depth_task import Depth

    return {"depth": Depth}
