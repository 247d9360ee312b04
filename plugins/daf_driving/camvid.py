"""CamVid in the 11-class version of the SegNet tutorial: street scenes of four drives, three by day, one at dusk."""

from collections.abc import Sequence
from pathlib import Path

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Entry, Folder, list_entries, list_folders
from daf_driving.space_files import Labels
from daframework.errors import DataError
from daframework.label_types import IGNORE_INDEX


class CamVid(FileDataset, space="camvid11"):
    """Frames filmed from a car, 480 x 360, with 11 classes; a file name begins with its drive, as ``0001TP_006690``.

    Brostow, Fauqueur, Cipolla: "Semantic object classes in video", Pattern Recognition Letters 30(2), 2009. A folder
    ``train`` of images has its labels in ``trainannot``. Drive 0001TP was filmed at dusk.

    Args:
        root: Folder that holds ``train``, ``trainannot`` and so on; by default ``camvid`` in the folder that the
            environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        train_folders: Folders of images that make up the split ``train``.
        test_folders: Folders of images that make up the split ``test``.
        drives: Keep only files whose names begin with one of these; all if empty.
        exclude_drives: Leave out files whose names begin with one of these.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        train_folders: Sequence[str] = ("train",),
        test_folders: Sequence[str] = ("test",),
        drives: Sequence[str] = (),
        exclude_drives: Sequence[str] = (),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            DataError: a folder is missing, a drive unknown, or no image is left.
        """
        kept, left_out = tuple(drives) or ("",), tuple(exclude_drives)  # every name begins with nothing
        base = find_root("camvid", root, "train/ and trainannot/")
        names = train_folders if split == "train" else test_folders
        entries = list_folders("camvid", [Folder(base / name, base / f"{name}annot") for name in names])
        _check_drives((*drives, *left_out), base, (*train_folders, *test_folders))
        chosen = [one for one in entries if one.name.startswith(kept) and not one.name.startswith(left_out)]
        if not chosen:
            raise DataError(
                f"camvid: no image of {base} in {', '.join(names) or 'no folders'} is left for split '{split}' with "
                f"drives {list(drives)} and exclude_drives {list(left_out)} (known: {_known(entries)}); change them"
            )
        table = dict(enumerate([*range(len(self.classes)), IGNORE_INDEX]))  # the id behind the classes is void
        super().__init__(chosen, Labels(self.classes, self.palette, table))


def _check_drives(drives: Sequence[str], base: Path, names: Sequence[str]) -> None:
    """A misspelt drive would keep or leave out nothing in silence; it may be in the folders of the other split."""
    folders = [Folder(base / name, base) for name in dict.fromkeys(names) if (base / name).is_dir()]
    entries = [entry for folder in folders for entry in list_entries(folder)]
    for drive in drives:
        if not any(entry.name.startswith(drive) for entry in entries):
            raise DataError(f"camvid: no file in {base} begins with the drive '{drive}' (known: {_known(entries)})")


def _known(entries: Sequence[Entry]) -> str:
    return ", ".join(sorted({entry.name.split("_")[0] for entry in entries})) or "none"
