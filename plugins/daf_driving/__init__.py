"""Driving datasets, read from files: CamVid, and any folder of images with labels of the same names."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from daframework import hookimpl

if TYPE_CHECKING:
    from daframework.interfaces import ImageDataset


@hookimpl
def daf_datasets() -> "Mapping[str, Callable[..., ImageDataset]]":
    """``camvid`` and ``image_folder``."""
    from daf_driving.camvid import CamVid
    from daf_driving.image_folder import ImageFolder

    return {"camvid": CamVid, "image_folder": ImageFolder}
