"""SYNTHIA-RAND-CITYSCAPES: 9,400 rendered street scenes from many points of view."""

from pathlib import Path

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.lists import list_split
from daf_driving.pairing import Folder
from daf_driving.space_files import labels_of
from daframework.data.label_files import read_first_channel
from daframework.dataset_interface import Array


class Synthia(FileDataset, space="synthia16"):
    """Rendered street scenes, 1280 x 760, with 16 of the 19 classes of Cityscapes; the set SYNTHIA-RAND-CITYSCAPES.

    Ros, Sellart, Materzynska, Vazquez, Lopez: "The SYNTHIA dataset", CVPR 2016. The image ``RGB/0000000.png`` has its
    label in ``GT/LABELS/0000000.png``: class ids in the first channel of a 16-bit PNG, or in its only one.

    Args:
        root: Folder that holds ``RGB`` and ``GT``, called RAND_CITYSCAPES as distributed; by default ``synthia`` in the
            folder that the environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``synthia16`` or ``synthia13``. Other classes are ignored. The target takes the same.
        list_file: Text file below ``root`` that names the images of the split ``train``, one a line; all by default.
        test_list_file: The same for the split ``test``; the default is the list of ``train``.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "synthia16",
        list_file: str | None = None,
        test_list_file: str | None = None,
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with terrain, truck or train, which SYNTHIA lacks.
            DataError: a folder or list is missing, or a list names what is not there.
        """
        labels = labels_of("synthia", classes)
        base = find_root("synthia", root, "RGB/ and GT/")
        folder = Folder(base / "RGB", base / "GT" / "LABELS", image_endings=(".png",))
        super().__init__(list_split(folder, base, split, train=list_file, test=test_list_file), labels)

    def _read_ids(self, path: Path) -> Array:
        return read_first_channel(path)
