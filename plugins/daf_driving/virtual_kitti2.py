"""Virtual KITTI 2: five drives of KITTI rendered anew, in ten variants each, with depth and classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from daf_driving.depth_files import DepthFiles, make_coding
from daf_driving.file_dataset import FileDataset, find_root
from daf_driving.meanings import colours_as_classes
from daf_driving.pairing import Folder, list_folders
from daf_driving.space_files import Labels, colour_map, label_space, shipped_table
from daframework.data.label_files import read_colours
from daframework.dataset_interface import Array
from daframework.errors import DataError

_Weather = Literal["clone", "fog", "morning", "overcast", "rain", "sunset"]
_Turned = Literal["15-deg-left", "15-deg-right", "30-deg-left", "30-deg-right"]
_SCENES = ("Scene01", "Scene02", "Scene06", "Scene18", "Scene20")
_MEANINGS = colour_map("vkitti2")
_COLOURS = dict(zip(label_space("cityscapes19").classes, label_space("cityscapes19").palette, strict=True))
_CLASSES = tuple(name for name in _COLOURS if name in _MEANINGS.values())
# Values are centimetres in 16 bits, so that the sky and all beyond 655.35 m have the largest.
_CODING = make_coding("png16", 0.01, 65535, None)


class VirtualKitti2(FileDataset):
    """Rendered drives of KITTI, 1242 x 375, with depth and 10 of the classes of Cityscapes; the set Virtual KITTI 2.

    Cabon, Murray, Humenberger: "Virtual KITTI 2", arXiv 2001.10773. The image
    ``Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg`` has its depth in centimetres in
    ``Scene01/clone/frames/depth/Camera_0/depth_00000.png``, where 65535 (sky, and farther than 655.35 m) is invalid
    here, and its classes as colours in ``Scene01/clone/frames/classSegmentation/Camera_0/classgt_00000.png``.

    Args:
        root: Folder that holds ``Scene01`` and so on; by default ``virtual_kitti2`` in the folder that the environment
            variable DAF_DATA names.
        split: ``train`` or ``test``; filled in.
        labels: What to read: ``depth``, ``semantic``, or both; by default what there are folders of.
        classes: Names of classes, out of the set's 10, in order; all by default. Others are ignored.
        train_folders: Scenes that make up the split ``train``.
        test_folders: Scenes that make up the split ``test``; the set has no split of its own.
        variants: Take these variants of each scene: ``clone`` (as KITTI), ``fog``, ``morning``, ``overcast``, ``rain``,
            ``sunset``, or the camera turned, as ``15-deg-left``.
        cameras: Take the images of the left camera, ``Camera_0``, of the right one, ``Camera_1``, or both.
    """

    classes = _CLASSES
    palette = tuple(_COLOURS[name] for name in _CLASSES)
    labels = ("semantic", "depth")

    def __init__(
        self,
        *,
        split: str,
        root: str | None = None,
        labels: Sequence[Literal["semantic", "depth"]] | None = None,
        classes: Sequence[str] | None = None,
        train_folders: Sequence[str] = _SCENES,
        test_folders: Sequence[str] = (),
        variants: Sequence[Literal[_Weather, _Turned]] = ("clone",),
        cameras: Sequence[Literal["Camera_0", "Camera_1"]] = ("Camera_0",),
    ) -> None:
        """List the images of the split; nothing is decoded.

        Raises:
            ValueError: ``classes`` names one that the set lacks; nothing is asked for.
            DataError: a folder is missing or holds no images, a scene is of both splits, or none is of the split.
        """
        named = _CLASSES if classes is None else tuple(classes)
        table = shipped_table(_MEANINGS, named, "virtual_kitti2")
        scenes = train_folders if split == "train" else test_folders
        if not (named and variants and cameras) or (labels is not None and not labels):
            raise ValueError("classes, variants, cameras and labels must name at least one each")
        base = find_root("virtual_kitti2", root, "Scene01/ and so on")
        if not scenes or (shared := sorted({*train_folders} & {*test_folders})):
            wrong = f"{', '.join(shared)} would be in both splits" if scenes else f"no scene is of the split '{split}'"
            raise DataError(
                f"virtual_kitti2: {wrong}; there is no official split, so name the scenes of each in train_folders and "
                f"test_folders (known: {', '.join(_SCENES)})"
            )
        frames = [f"{scene}/{kind}" for scene in scenes for kind in variants]
        folders = [_folder(base, one, camera) for one in frames for camera in cameras]
        entries = list_folders("virtual_kitti2", folders)
        places = {"semantic": folders[0].labels, "depth": _depth_of(folders[0])}
        read: Sequence[str] = labels or [name for name, place in places.items() if place.is_dir()] or ["depth"]
        depth = DepthFiles.beside(entries, _CODING, _depth_of, "depth_", ".png")
        semantic = Labels(named, tuple(_COLOURS[name] for name in named), table)
        super().__init__(entries, semantic if "semantic" in read else None, depth if "depth" in read else None)

    def _read_ids(self, path: Path) -> Array:
        return read_colours(path)

    def _as_classes(self, ids: Array, path: Path) -> Array:
        return colours_as_classes(ids, self._table, self.classes, where=str(path))


def _folder(base: Path, variant: str, camera: str) -> Folder:
    """The images and classes of one camera in ``Scene01/clone``."""
    images, masks = (base / variant / "frames" / kind / camera for kind in ("rgb", "classSegmentation"))
    return Folder(images, masks, (".jpg",), ".png", "rgb_", "classgt_", called=f"{variant}/{camera}/")


def _depth_of(folder: Folder) -> Path:
    return folder.images.parents[1] / "depth" / folder.images.name
