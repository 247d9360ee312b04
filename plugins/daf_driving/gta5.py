"""GTA5: 24,966 frames of a computer game, with labels that share their classes with Cityscapes."""

from collections.abc import Sequence

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.lists import list_split
from daf_driving.pairing import Folder
from daf_driving.space_files import labels_of

FAULTY = ("15188", "17705", *(str(number) for number in range(20801, 20861)))
"""Pairs that are no use: 15188 and 17705 show nothing, and of 20801 to 20860 image and label differ in size."""


class Gta5(FileDataset, space="cityscapes19"):
    """Frames of the game Grand Theft Auto V, most 1914 x 1052, with 19 classes; the dataset "Playing for Data".

    Richter, Vineet, Roth, Koltun: "Playing for data: ground truth from computer games", ECCV 2016, arXiv 1608.02192.
    The image ``images/00001.png`` has its label in ``labels/00001.png``, a palette PNG whose indices are Cityscapes'
    label ids. Copies whose labels hold colours instead are refused.

    Args:
        root: Folder that holds ``images`` and ``labels``; by default ``gta5`` in the folder that the environment
            variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``. Other classes are ignored.
        list_file: Text file below ``root`` that names the images of the split ``train``, one a line, as the set's own
            ``split.mat`` does in Matlab's format; all images by default.
        test_list_file: The same for the split ``test``; the default is the list of ``train``.
        skip: Names of pairs to leave out; by default those known to be faulty, 15188, 17705 and 20801 to 20860.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "cityscapes19",
        list_file: str | None = None,
        test_list_file: str | None = None,
        skip: Sequence[str] | None = None,
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these.
            DataError: a folder or list is missing, or a list names what is not there.
        """
        labels = labels_of("gta5", classes)
        left_out = FAULTY if skip is None else skip
        base = find_root("gta5", root, "images/ and labels/")
        names = frozenset(name.removesuffix(".png") for name in left_out)
        folder = Folder(base / "images", base / "labels", image_endings=(".png",), skip=names)
        super().__init__(list_split(folder, base, split, train=list_file, test=test_list_file), labels)
