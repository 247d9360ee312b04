"""Cityscapes, and Foggy Cityscapes: streets of 50 cities filmed from a car."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.pairing import Folder, list_folders
from daf_driving.space_files import labels_of
from daframework.errors import DataError, unknown


class Cityscapes(FileDataset, space="cityscapes19"):
    """Streets filmed from a car, 2048 x 1024, with 19 classes.

    Cordts et al.: "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016, arXiv 1604.01685. The
    image ``leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png`` has its label in
    ``gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png``. ``gtFine`` may be missing as long as nothing asks
    for a label, as for the target's training images.

    Args:
        root: Folder that holds ``leftImg8bit`` and ``gtFine``; by default ``cityscapes`` in the folder that the
            environment variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        classes: Label space: ``cityscapes19``, ``synthia16`` or ``synthia13``. Other classes are ignored.
        train_folders: Folders below ``leftImg8bit`` that make up the split ``train``.
        test_folders: Folders that make up the split ``test``; the labels of Cityscapes' own ``test`` are not public.
        cities: Keep only these cities; all if empty. Both splits have the same option, and each needs a city.
        beta: Take the images of Foggy Cityscapes (arXiv 1708.07819) with this density of fog, from
            ``leftImg8bit_foggy``, instead of the clear ones.
    """

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        classes: str = "cityscapes19",
        train_folders: Sequence[str] = ("train",),
        test_folders: Sequence[str] = ("val",),
        cities: Sequence[str] = (),
        beta: Literal["0.005", "0.01", "0.02"] | None = None,
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` is no label space, or one with other classes than these.
            DataError: a folder is missing, a city unknown, or no image is left.
        """
        names = train_folders if split == "train" else test_folders
        labels = labels_of("cityscapes", classes)
        kind = "leftImg8bit" if beta is None else "leftImg8bit_foggy"
        base = find_root("cityscapes", root, f"{kind}/ and gtFine/")
        ending = "_leftImg8bit.png" if beta is None else f"_leftImg8bit_foggy_beta_{beta}.png"
        folders = []
        for name in names:
            images, masks = base / kind / name, base / "gtFine" / name
            within = tuple(city for city in cities if (images / city).is_dir())
            # A folder without any of the cities drops out; one that is not there stays, for its absence to be told.
            if within or not cities or not images.is_dir():
                folders.append(Folder(images, masks, (ending,), "_gtFine_labelIds.png", within=within))
        entries = list_folders("cityscapes", folders)
        # A misspelt city would keep nothing in silence; it may be in the folders of the other split.
        known = _cities([base / kind / name for name in (*train_folders, *test_folders)])
        for city in cities:
            if city not in known:
                raise DataError(f"cityscapes: {unknown('city', city, known)}")
        if not entries:
            there = ", ".join(_cities([base / kind / name for name in names])) or "none"
            raise DataError(
                f"cityscapes: no image of {base / kind} in {', '.join(names) or 'no folders'} is left for split "
                f"'{split}' with cities {list(cities)} (known there: {there}); change them"
            )
        super().__init__(entries, labels)


def _cities(folders: Sequence[Path]) -> list[str]:
    return sorted({path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir()})
