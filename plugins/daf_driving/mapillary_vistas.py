"""Mapillary Vistas: 25,000 street scenes from all over the world, by many cameras."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Folder, list_folders
from daf_driving.space_files import labels_of

# Layout of version 2.0's archive, which holds both versions of the labels, from tools/convert_datasets of w1oves/Rein
# and plugins/data_formats/mapillary_vistas of datumaro; of the older ones from PREPARE_DATASETS.md of
# NVIDIA/semantic-segmentation.


class MapillaryVistas(FileDataset, space="cityscapes19"):
    """Streets on six continents, of many sizes, most above 1920 x 1080, with the 19 classes of Cityscapes.

    Neuhold, Ollmann, Rota Bulò, Kontschieder: "The Mapillary Vistas dataset for semantic understanding of street
    scenes", ICCV 2017. The image ``training/images/NAME.jpg`` has its labels in ``training/v1.2/labels/NAME.png`` and
    ``training/v2.0/labels/NAME.png``, palette PNGs whose indices are 66 classes in version 1.2 and 124 in 2.0. Archives
    of version 1 alone have ``training/labels/NAME.png``. Labels may be missing as long as nothing asks for one. Which
    classes become which of the 19 is no official matter: see the files ``id_maps/mapillary_vistas_*.toml``.

    Args:
        root: Folder that holds ``training`` and ``validation``; by default ``mapillary_vistas`` in the folder that the
            environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``. Other classes are ignored.
        version: Of the labels: ``v1.2`` or ``v2.0``.
        train_folders: Folders below ``root`` that make up the split ``train``.
        test_folders: Folders that make up the split ``test``; the labels of ``testing`` are not public.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "cityscapes19",
        version: Literal["v1.2", "v2.0"] = "v1.2",
        train_folders: Sequence[str] = ("training",),
        test_folders: Sequence[str] = ("validation",),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these.
            DataError: a folder is missing or holds no images, or two images share a name.
        """
        names = train_folders if split == "train" else test_folders
        labels = labels_of(f"mapillary_vistas_{version}", classes)
        parts = [find_root("mapillary_vistas", root, "training/ and validation/") / name for name in names]
        folders = [Folder(part / "images", _labels(part, version), image_endings=(".jpg",)) for part in parts]
        super().__init__(list_folders("mapillary_vistas", folders), labels)


def _labels(folder: Path, version: str) -> Path:
    """Ids of 1.2 are ids of 2.0 too, with other meanings: labels without a folder of their version are 1.2's."""
    own, only = folder / version / "labels", folder / "labels"
    return only if version == "v1.2" and not own.is_dir() and only.is_dir() else own
