"""Driving datasets, read from files as they are distributed, and any folder of images with labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_datasets() -> Mapping[str, Any]:
    """The datasets by name; each is imported only now, with torch."""
    from daf_driving.acdc import Acdc
    from daf_driving.bdd100k import Bdd100k
    from daf_driving.camvid import CamVid
    from daf_driving.cityscapes import Cityscapes
    from daf_driving.gta5 import Gta5
    from daf_driving.idd import Idd
    from daf_driving.image_folder import ImageFolder
    from daf_driving.kitti_depth import KittiDepth
    from daf_driving.kitti_semantics import KittiSemantics
    from daf_driving.mapillary_vistas import MapillaryVistas
    from daf_driving.synthia import Synthia
    from daf_driving.virtual_kitti2 import VirtualKitti2

    return {
        "gta5": Gta5,
        "synthia": Synthia,
        "cityscapes": Cityscapes,
        "camvid": CamVid,
        "idd": Idd,
        "bdd100k": Bdd100k,
        "acdc": Acdc,
        "mapillary_vistas": MapillaryVistas,
        "kitti_semantics": KittiSemantics,
        "virtual_kitti2": VirtualKitti2,
        "kitti_depth": KittiDepth,
        "image_folder": ImageFolder,
    }


@hookimpl
def daf_label_spaces() -> Path:
    """The folder of label spaces."""
    return Path(__file__).parent / "label_spaces"
