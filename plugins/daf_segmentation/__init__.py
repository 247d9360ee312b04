"""Downstream task: semantic segmentation with any architecture and encoder of segmentation-models-pytorch and timm."""

from collections.abc import Mapping
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_tasks() -> Mapping[str, Any]:
    """``segmentation``."""
    from daf_segmentation.task import Segmentation

    return {"segmentation": Segmentation}
