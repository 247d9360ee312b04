"""ACDC: streets in fog, at night, in rain and in snow, and the same places under normal conditions."""

from collections.abc import Sequence
from typing import Literal

import attrs

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Folder, list_entries
from daf_driving.space_files import labels_of

# Layout of the archives rgb_anon_trainvaltest.zip, gt_trainval.zip and gt_trainval_ref.zip ("annotations for half of
# train_ref and val_ref", says the download page), as configs/_base_/datasets/*acdc* of w1oves/Rein read it.
_Condition = Literal["fog", "night", "rain", "snow"]
_CONDITIONS: Sequence[_Condition] = ("fog", "night", "rain", "snow")


class Acdc(FileDataset, space="cityscapes19"):
    """Streets under four adverse conditions filmed from a car, 1920 x 1080, with the 19 classes of Cityscapes.

    Sakaridis, Dai, Van Gool: "ACDC: the adverse conditions dataset with correspondences for semantic driving scene
    understanding", ICCV 2021, arXiv 2104.13395. The image
    ``rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png`` has its label in
    ``gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png``. ``gt`` may be missing as long as nothing asks
    for a label. An image's name begins with its condition.

    Args:
        root: Folder that holds ``rgb_anon`` and ``gt``; by default ``acdc`` in the folder that the environment variable
            DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``. Other classes are ignored.
        conditions: Take the images of these conditions: ``fog``, ``night``, ``rain`` and ``snow``.
        reference: Take the images of the same places under normal conditions, from the folders ``train_ref`` and
            ``val_ref``, instead of the adverse ones: ``all``, of which about half have a label, or ``labelled``.
        train_folders: Folders below each condition that make up the split ``train``.
        test_folders: Folders that make up the split ``test``; the labels of ACDC's own ``test`` are not public.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "cityscapes19",
        conditions: Sequence[_Condition] = _CONDITIONS,
        reference: Literal["all", "labelled"] | None = None,
        train_folders: Sequence[str] = ("train",),
        test_folders: Sequence[str] = ("val",),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these; no condition or folder.
            DataError: a folder is missing, or no image is left.
        """
        names = train_folders if split == "train" else test_folders
        if not conditions or not names:
            raise ValueError(f"conditions and {split}_folders must name at least one each, got {conditions}, {names}")
        labels = labels_of("acdc", classes)
        base = find_root("acdc", root, "rgb_anon/ and gt/")
        ref = "" if reference is None else "_ref"
        endings = (f"_rgb{ref}_anon.png",), f"_gt{ref}_labelTrainIds.png"
        within = tuple(f"{condition}/{name}{ref}" for condition in conditions for name in names)
        hint = 'set reference = "labelled" to take those with a label only' if reference == "all" else ""
        folder = Folder(base / "rgb_anon", base / "gt", *endings, within=within, hint=hint)
        if reference == "labelled":
            as_images = attrs.evolve(folder, images=folder.labels, image_endings=(folder.label_ending,))
            folder = attrs.evolve(folder, only=frozenset(entry.name for entry in list_entries(as_images)))
        super().__init__(list_entries(folder), labels)
