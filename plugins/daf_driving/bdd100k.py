"""BDD100K, its part for semantic segmentation: 10,000 images from dashboard cameras in American cities."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Folder, list_folders
from daf_driving.space_files import labels_of
from daframework.data.walk import walk
from daframework.errors import warn

# From doc/source/download.rst and bdd100k/data/gen_lists.py of bdd100k/bdd100k; the last, of the archive bdd100k_seg of
# 2018, from README.md of AutoNUE/public-code and datasets/bdd100k.py of shachoi/RobustNet.
_LAYOUTS = {
    "sem_seg": ("images/10k", "labels/sem_seg/masks", ".png"),
    "seg_maps": ("images/10k", "seg_maps/labels", "_train_id.png"),
    "seg": ("images", "labels", "_train_id.png"),
}
"""Where images and labels lie in each release, and how the name of a label ends."""


class Bdd100k(FileDataset, space="cityscapes19"):
    """Streets by day and by night filmed through a windscreen, 1280 x 720, with the 19 classes of Cityscapes.

    Yu et al.: "BDD100K: a diverse driving dataset for heterogeneous multitask learning", CVPR 2020, arXiv 1805.04687.
    The image ``images/10k/train/NAME.jpg`` has its label in ``labels/sem_seg/masks/train/NAME.png``, which holds
    Cityscapes' train ids. The labels may be missing as long as nothing asks for one.

    Args:
        root: Folder that holds ``images`` and ``labels``, called bdd100k as distributed; by default ``bdd100k`` in the
            folder that the environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``. Other classes are ignored.
        train_folders: Folders below the images that make up the split ``train``. The 100,000 images, which have no
            labels, are ``../100k/train``; those with the name of an image of ``test_folders`` are left out.
        test_folders: Folders that make up the split ``test``; the labels of BDD100K's own ``test`` are not public.
        layout: Which release it is: ``sem_seg`` as above, or an older one: ``seg_maps`` with labels
            ``seg_maps/labels/train/NAME_train_id.png``, or ``seg`` with images ``images/train/NAME.jpg`` and labels
            ``labels/train/NAME_train_id.png``, whose root is the folder ``seg``.
        skip: Names of pairs to leave out, without folder and ending.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "cityscapes19",
        train_folders: Sequence[str] = ("train",),
        test_folders: Sequence[str] = ("val",),
        layout: Literal["sem_seg", "seg_maps", "seg"] = "sem_seg",
        skip: Sequence[str] = (),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these.
            DataError: a folder is missing or holds no images, or two images share a name.
        """
        names = train_folders if split == "train" else test_folders
        left_out = frozenset(skip)
        labels = labels_of("bdd100k", classes)
        base = find_root("bdd100k", root, "images/ and labels/")
        images, masks, ending = _LAYOUTS[layout]
        if split == "train":
            left_out |= _tested(base / images, train_folders, test_folders)
        hint = f"add NAME{ending}, download the images again (some from before June 2021 misfit), or name them in skip"
        places = [(base / images / name, base / masks / name) for name in names]
        folders = [Folder(*place, (".jpg",), ending, skip=left_out, hint=hint) for place in places]
        super().__init__(list_folders("bdd100k", folders), labels)


def _tested(images: Path, train: Sequence[str], test: Sequence[str]) -> frozenset[str]:
    """Names of images in both; a warning says that they are left out of training.

    The 10,000 images and the 100,000 overlap (doc/source/download.rst), and both call an image after its video.
    """
    shared = _stems(images / name for name in train) & _stems(images / name for name in test if name not in train)
    if shared:
        warn(
            f"bdd100k: {len(shared)} images of train_folders have the names of images of test_folders, {min(shared)} "
            "the first: they show the same videos, and are left out of training"
        )
    return shared


def _stems(folders: Iterable[Path]) -> frozenset[str]:
    return frozenset(Path(file).stem for one in folders if one.is_dir() for _, files in walk(one) for file in files)
