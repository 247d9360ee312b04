"""Downstream task: depth in metres from one image, with any architecture and encoder that ``segmentation`` has."""

from collections.abc import Mapping
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_tasks() -> Mapping[str, Any]:
    """``depth``."""
    from daf_depth.depth_task import Depth

    return {"depth": Depth}
