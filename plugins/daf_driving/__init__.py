"""Driving datasets, read from files: GTA5, SYNTHIA, Cityscapes, CamVid, and any folder of images with labels."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from daframework import hookimpl

if TYPE_CHECKING:
    from daframework.interfaces import ImageDataset


@hookimpl
def daf_datasets() -> "Mapping[str, Callable[..., ImageDataset]]":
    """``gta5``, ``synthia``, ``cityscapes``, ``camvid`` and ``image_folder``."""
    from daf_driving.camvid import CamVid
    from daf_driving.cityscapes import Cityscapes
    from daf_driving.gta5 import Gta5
    from daf_driving.image_folder import ImageFolder
    from daf_driving.synthia import Synthia

    return {
        "gta5": Gta5,
        "synthia": Synthia,
        "cityscapes": Cityscapes,
        "camvid": CamVid,
        "image_folder": ImageFolder,
    }


@hookimpl
def daf_label_spaces() -> Path:
    """The folder of label spaces."""
    return Path(__file__).parent / "label_spaces"
