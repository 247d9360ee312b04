"""KITTI's benchmark for depth: streets around Karlsruhe, measured by laser from the car that filmed them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs

from daf_driving.depth_files import DepthFiles, make_coding
from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Entry, Folder, list_entries, some
from daframework.errors import DataError

_CODING = make_coding("png16", 1 / 256, 0, None)  # the README of the benchmark's development kit
_SELECTION = "depth_selection/val_selection_cropped"
_Camera = Literal["image_02", "image_03"]


class KittiDepth(FileDataset):
    """Streets filmed from a car, about 1242 x 375, with sparse depth; no classes.

    Uhrig, Schneider, Schneider, Franke, Brox, Geiger: "Sparsity invariant CNNs", 3DV 2017, arXiv 1708.06500. Depth is
    distributed without its images, which are those of KITTI's raw data:
    ``train/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png`` belongs to
    ``2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000005.png``. The 1,000 images chosen for validation lie
    beside theirs, cropped to 1216 x 352, in ``depth_selection/val_selection_cropped``. A value / 256 is metres, 0 is
    invalid: some five pixels of six. Images without depth are passed over.

    Args:
        root: Folder that holds ``train``, ``val`` and ``depth_selection``; by default ``kitti_depth`` in the folder
            that the environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        raw_folder: Folder below ``root`` that holds the raw data, ``2011_09_26`` and so on.
        test_folder: What makes up the split ``test``: ``val_selection_cropped``, or ``val``, which needs raw data too.
        cameras: Take the images of the left colour camera, ``image_02``, of the right one, ``image_03``, or both.
        drives: Keep only drives whose names begin with one of these, as ``2011_09_26_drive_0001``; all if empty.
    """

    classes = ()
    palette = ()
    labels = ("depth",)

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        raw_folder: str = ".",
        test_folder: Literal["val_selection_cropped", "val"] = "val_selection_cropped",
        cameras: Sequence[_Camera] = ("image_02", "image_03"),
        drives: Sequence[str] = (),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: no camera is named.
            DataError: a folder is missing, or no image is left.
        """
        kept = tuple(drives) or ("",)  # every name begins with nothing
        if not cameras:
            raise ValueError("cameras must name at least one of image_02, image_03")
        base = find_root("kitti_depth", root, "train/, val/ and depth_selection/, with the raw data in 2011_09_26/ ...")
        if split == "test" and test_folder == "val_selection_cropped":
            entries = _selected(base / _SELECTION, kept, cameras)
        else:
            part = base / ("train" if split == "train" else test_folder)
            entries = _of_drives(part, base / raw_folder, kept, cameras)
        super().__init__(entries, None, DepthFiles(entries, _CODING))


def _selected(base: Path, drives: tuple[str, ...], cameras: Sequence[str]) -> list[Entry]:
    """The images chosen for validation, each with its depth as the label."""
    middles = ("_sync_image_", "_sync_groundtruth_depth_")
    folder = Folder(base / "image", base / "groundtruth_depth", image_endings=(".png",), renamed=middles)
    entries = list_entries(folder)
    kept = [one for one in entries if one.name.endswith(tuple(cameras)) and one.name.startswith(drives)]
    _check_any([one.name for one in kept], folder.images, drives, [one.name.split("_image_")[0] for one in entries])
    if len(kept) == len(entries):
        return entries
    return list_entries(attrs.evolve(folder, only=frozenset(one.name for one in kept)))


def _of_drives(part: Path, raw: Path, drives: tuple[str, ...], cameras: Sequence[str]) -> list[Entry]:
    """The images of the raw data that have a depth in ``train`` or ``val``, with that as the label."""
    if not part.is_dir():
        raise DataError(f"{part}: no such folder; check the dataset's root: it holds depth as distributed, by drives")
    known = sorted(one.name for one in part.iterdir() if one.is_dir() and not one.name.startswith("."))
    kept = [drive for drive in known if drive.startswith(drives)]
    _check_any(kept, part, drives, known)
    return [entry for drive in kept for camera in cameras for entry in _of_camera(part / drive, raw, camera)]


def _of_camera(drive: Path, raw: Path, camera: str) -> list[Entry]:
    depth = drive / "proj_depth" / "groundtruth" / camera
    images = raw / drive.name[: len("2011_09_26")] / drive.name / camera / "data"
    if not images.is_dir():
        raise DataError(
            f"{images}: no such folder, but {depth} has depth: fetch the raw data of this drive too, say with "
            "raw_folder where they are, or name the drives to take in drives"
        )
    measured = frozenset(entry.name for entry in list_entries(Folder(depth, depth, image_endings=(".png",))))
    return list_entries(Folder(images, depth, only=measured, called=f"{drive.name}/{camera}/"))


def _check_any(found: Sequence[str], where: Path, drives: Sequence[str], known: Sequence[str]) -> None:
    if not found:
        there = some(sorted({*known})) or "none"
        raise DataError(f"{where}: nothing is left with drives = {list(drives)} (known there: {there}); change it")
