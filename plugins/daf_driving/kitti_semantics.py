"""KITTI's benchmark for semantic segmentation: 400 street scenes around Karlsruhe, 200 of them with labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.lists import list_split
from daf_driving.pairing import Entry, Folder
from daf_driving.space_files import labels_of
from daframework.errors import DataError


class KittiSemantics(FileDataset, space="cityscapes19"):
    """Streets filmed from a car, about 1242 x 375, with the 19 classes of Cityscapes.

    Alhaija, Mustikovela, Mescheder, Geiger, Rother: "Augmented reality meets computer vision", IJCV 2018, arXiv
    1708.01566. The image ``training/image_2/000000_10.png`` has its label in ``training/semantic/000000_10.png``, which
    holds Cityscapes' label ids. The labels of ``testing`` are not public, and there is no official split of the 200
    images of ``training``: to be scored on, some of them have to be kept out of training, in one of two ways. Either
    ``list_file`` and ``test_list_file`` name those of each split, or ``train_folder = "testing"`` takes the 200 images
    without labels for training and all of ``training`` for scoring.

    Args:
        root: Folder that holds ``training`` and ``testing``, called data_semantics as distributed; by default
            ``kitti_semantics`` in the folder that the environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``. Other classes are ignored.
        train_folder: Folder of the split ``train``: ``training``, or ``testing``, which has no labels.
        list_file: Text file below ``root`` that names the images of the split ``train``, one a line; all of
            ``train_folder`` by default.
        test_list_file: The same for the split ``test``, which is taken from ``training``.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "cityscapes19",
        train_folder: Literal["training", "testing"] = "training",
        list_file: str | None = None,
        test_list_file: str | None = None,
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these.
            DataError: a folder or list is missing, a list names what is not there, or train and test share images.
        """
        labels = labels_of("kitti_semantics", classes)
        base = find_root("kitti_semantics", root, "training/ and testing/")
        parts = {"train": (train_folder, list_file), "test": ("training", test_list_file)}
        if train_folder == "training" and (split == "test" or test_list_file is not None):
            if list_file is None or test_list_file is None:
                raise DataError(
                    f"kitti_semantics: the labelled images are those of {base / 'training'}, and no others are left to "
                    "score on; name those to train on in list_file and those to score on in test_list_file, or train "
                    'without labels with train_folder = "testing"'
                )
            _check_apart(_listed(base, *parts["train"]), _listed(base, *parts["test"]), base / test_list_file)
        super().__init__(_listed(base, *parts[split]), labels)


# Folders and ids from the README of the benchmark's development kit; it writes test/ where the archive has testing/.
def _listed(base: Path, folder: str, list_file: str | None) -> list[Entry]:
    pairs = Folder(base / folder / "image_2", base / folder / "semantic", image_endings=(".png",))
    return list_split(pairs, base, "train", train=list_file, test=None)


def _check_apart(train: Sequence[Entry], test: Sequence[Entry], test_list: Path) -> None:
    if twice := sorted({entry.name for entry in train}.intersection(entry.name for entry in test)):
        some = f"{len(twice)} images, such as {twice[0]}, that"
        raise DataError(f"{test_list}: names {some} list_file names too; leave each in one of the two lists")
