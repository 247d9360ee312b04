"""CamVid in the 11-class version of the SegNet tutorial: street scenes of four drives, three by day, one at dusk."""

from collections.abc import Sequence
from pathlib import Path

from daf_driving.file_dataset import FileDataset, find_root, folders_of_split, names_only
from daf_driving.pairing import Entry, Folder, check_unique, list_entries
from daframework.errors import DataError
from daframework.interfaces import IGNORE_INDEX


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
            ValueError: an option is no list.
            DataError: a folder is missing, a drive unknown, or no image is left.
        """
        train, test = names_only("train_folders", train_folders), names_only("test_folders", test_folders)
        kept, left_out = names_only("drives", drives), names_only("exclude_drives", exclude_drives)
        base = find_root("camvid", root, "train/ and trainannot/")
        names = folders_of_split(split, train=train, test=test)
        folders = [Folder(base / name, base / f"{name}annot") for name in names]
        entries = [entry for folder in folders for entry in list_entries(folder)]
        _check_drives((*kept, *left_out), base, (*train, *test))
        chosen = [
            entry
            for entry in entries
            if (not kept or entry.name.startswith(kept)) and not (left_out and entry.name.startswith(left_out))
        ]
        if not chosen:
            raise DataError(
                f"camvid: no image of {base} in {', '.join(names) or 'no folders'} is left for split '{split}' with "
                f"drives {list(kept)} and exclude_drives {list(left_out)} (known there: {_known(entries)}); change them"
            )
        check_unique("camvid", chosen)
        ids = {index: index for index in range(len(self.classes))}
        super().__init__(chosen, folders, {**ids, len(self.classes): IGNORE_INDEX})


def _check_drives(drives: Sequence[str], base: Path, names: Sequence[str]) -> None:
    """A misspelt drive would keep or leave out nothing in silence; it may be in the folders of the other split."""
    if not drives:
        return
    folders = [Folder(base / name, base) for name in dict.fromkeys(names) if (base / name).is_dir()]
    entries = [entry for folder in folders for entry in list_entries(folder)]
    for drive in drives:
        if not any(entry.name.startswith(drive) for entry in entries):
            raise DataError(f"camvid: no file in {base} begins with the drive '{drive}' (known: {_known(entries)})")


def _known(entries: Sequence[Entry]) -> str:
    return ", ".join(sorted({entry.name.split("_")[0] for entry in entries})) or "none"
