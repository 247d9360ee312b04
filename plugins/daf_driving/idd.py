"""IDD, the India Driving Dataset, and IDD-Lite: roads with unstructured traffic, filmed from a car."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Folder, list_entries, list_folders
from daf_driving.space_files import labels_of
from daframework.data.walk import walk
from daframework.errors import DataError

# Names and layout from README.md and preperation/createLabels.py of AutoNUE/public-code, and of IDD-Lite from viewer.py
# of Furqan7007/idd-lite-example-code. The archives unpack to IDD_Segmentation (PNG images) and idd20kII (JPEG images).
_DEFAULT = {"segmentation": "cityscapes19", "lite": "idd7"}
_LEVELS = {"idd26": ("idd_level3", "level3Id"), "idd7": ("idd_level1", "level1Id")}
"""Label space -> what the ids mean in it, and the ``--id-type`` of createLabels.py that draws them."""
_CITYSCAPES = ("idd", "csTrainId")
_IMAGES = {"segmentation": ("_leftImg8bit.png", "_leftImg8bit.jpg"), "lite": ("_image.jpg",)}
"""How images end in each version."""


class Idd(FileDataset, space="cityscapes19"):
    """Roads in India, most images 1920 x 1080, with 19, 26 or 7 classes; or the small set IDD-Lite, 320 x 227, with 7.

    Varma, Subramanian, Namboodiri, Chandraker, Jawahar: "IDD: a dataset for exploring problems of autonomous navigation
    in unconstrained environments", WACV 2019, arXiv 1811.10200. The image
    ``leftImg8bit/train/0/024541_leftImg8bit.png``, ``.jpg`` in part II, comes with polygons in
    ``gtFine/train/0/024541_gtFine_polygons.json``. The set's own tool draws the label from them: AutoNUE/public-code,
    ``python preperation/createLabels.py --datadir ROOT --id-type csTrainId``, with ``level3Id`` in place of
    ``csTrainId`` for the classes ``idd26``, and ``level1Id`` for ``idd7``. IDD-Lite needs no tool: the image
    ``leftImg8bit/train/0/024541_image.jpg`` has its label in ``gtFine/train/0/024541_label.png``. ``gtFine`` may be
    missing as long as nothing asks for a label.

    Args:
        root: Folder that holds ``leftImg8bit`` and ``gtFine``; by default ``idd`` in the folder that the environment
            variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        version: ``segmentation``, or ``lite`` for IDD-Lite.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``, where other classes are ignored, or
            IDD's own ``idd26`` or ``idd7``. IDD-Lite has ``idd7`` only.
        parts: Folders below ``root`` that hold ``leftImg8bit`` and ``gtFine``, where there are several: the two
            archives of IDD unpack to ``IDD_Segmentation`` and ``idd20kII``.
        train_folders: Folders below ``leftImg8bit`` that make up the split ``train``.
        test_folders: Folders that make up the split ``test``; the labels of IDD's own ``test`` are not public.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        version: Literal["segmentation", "lite"] = "segmentation",
        classes: str | None = None,
        parts: Sequence[str] = (".",),
        train_folders: Sequence[str] = ("train",),
        test_folders: Sequence[str] = ("val",),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these.
            DataError: a folder is missing or holds no images, or two images share a name.
        """
        space = _DEFAULT[version] if classes is None else classes
        ids, kind = _LEVELS["idd7"] if version == "lite" else _LEVELS.get(space, _CITYSCAPES)
        labels = labels_of(ids, space)
        base = find_root("idd", root, "leftImg8bit/ and gtFine/")
        names = train_folders if split == "train" else test_folders
        places = [(base / part, name) for part in parts for name in names]
        _check_version(version, [part / "leftImg8bit" / name for part, name in places])
        folders = [_folder(*place, version, kind) for place in places]
        super().__init__(list_folders("idd", folders), labels)


def _check_version(version: str, folders: Sequence[Path]) -> None:
    """Images of the other version are named with the key that reads them; that there are none is told later."""
    other = "segmentation" if version == "lite" else "lite"
    if not any(_holds(folder, _IMAGES[version]) for folder in folders):
        for folder in folders:
            if _holds(folder, _IMAGES[other]):
                wanted, found = ", ".join(_IMAGES[version]), _IMAGES[other][0]
                raise DataError(f'{folder}: holds no images ({wanted}) but NAME{found}; set version = "{other}"')


def _holds(folder: Path, endings: tuple[str, ...]) -> bool:
    return folder.is_dir() and any(file.endswith(endings) for _, files in walk(folder) for file in files)


def _folder(base: Path, name: str, version: str, kind: str) -> Folder:
    ending, hint = "_label.png", ""
    if version == "segmentation":
        ending = f"_gtFine_label{kind}s.png"  # as createLabels.py has it, so that level3Id gives labellevel3Ids
        hint = (
            f"make NAME{ending} from the polygons with the set's own tool, github.com/AutoNUE/public-code: "
            f"python preperation/createLabels.py --datadir {base} --id-type {kind}"
        )
    images, labels = base / "leftImg8bit" / name, base / "gtFine" / name
    folder = Folder(images, labels, image_endings=_IMAGES[version], label_ending=ending, hint=hint)
    if version == "segmentation":
        return folder
    # The instances of NAME are in NAME_inst_label.png, which ends like a label of NAME_inst.
    return attrs.evolve(folder, skip=frozenset(f"{entry.name}_inst" for entry in list_entries(folder)))
