"""Depth in files, one value a pixel, read as metres along the optical axis whatever a file's format and unit."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from daf_driving.pairing import Entry, Folder
from daframework.data.decode import is_grey, read_label, read_rgba
from daframework.data.open_image import opened
from daframework.errors import DataError, one_line

DepthFormat = Literal["png16", "npy", "tiff", "carla"]
ENDINGS: dict[DepthFormat, str] = {"png16": ".png", "npy": ".npy", "tiff": ".tiff", "carla": ".png"}
"""How the name of a file of each format ends, unless a dataset says otherwise."""

_MOST = {"png16": 2**16 - 1, "carla": 2**24 - 1}  # the largest value of a format of whole numbers
_FAR_PLANE = 1000.0  # metres; what CARLA's largest value stands for
_SLACK = 2  # a median this many times beyond the declared range is told


@frozen
class DepthCoding:
    """How depth is written: the files' format, the metres that 1 stands for, and the value of no measurement.

    ``limits`` are the metres between which most of it is said to lie, None where nothing is said.
    """

    format: DepthFormat
    scale: float
    invalid: float
    limits: Sequence[float] | None = None

    def doubt(self, depth: NDArray[np.float32]) -> str | None:
        """What to say of a depth (H, W) whose median is far outside ``limits``; its unit may be another."""
        if self.limits is None:
            return None
        low, high = self.limits
        median = float(np.median(depth[depth > 0]))
        if low / _SLACK <= median <= high * _SLACK:
            return None
        return (
            f"its median is {median:.4g} m, far outside depth_range = [{low:g}, {high:g}]; check the files' unit: with "
            f"depth_scale = {self.scale:g} a value of 1 stands for {self.scale:g} m"
        )


@frozen(eq=False)
class DepthFiles:
    """A dataset's depth files: its images in their order, each with its depth file as the label; and their coding."""

    entries: Sequence[Entry]
    coding: DepthCoding

    @classmethod
    def beside(
        cls, entries: Sequence[Entry], coding: DepthCoding, place: Callable[[Folder], Path], beginning: str, ending: str
    ) -> "DepthFiles":
        """Those of the images ``entries``: ``place`` leads from a folder of images to the one of their depth files."""
        hint = f"add {beginning}NAME{ending}, or take it away"
        folders = {
            one: attrs.evolve(one, labels=place(one), label_ending=ending, label_beginning=beginning, hint=hint)
            for one in dict.fromkeys(entry.folder for entry in entries)
        }
        return cls(tuple(attrs.evolve(entry, folder=folders[entry.folder]) for entry in entries), coding)


def make_coding(
    format: DepthFormat, scale: float | None, invalid: float | None, limits: Sequence[float] | None
) -> DepthCoding:
    """The coding that a dataset's options ``depth_...`` ask for.

    Raises:
        ValueError: a value is not allowed, or the scale of 16-bit files is not given: they come in every unit.
    """
    if scale is None and format == "png16":
        raise ValueError(
            "depth_scale must be given with depth_format = 'png16': the metres that a value of 1 stands for, such as "
            "0.001 for millimetres, 0.01 for centimetres, 0.00390625 (1 / 256) as KITTI has it"
        )
    scale = (_FAR_PLANE / _MOST["carla"] if format == "carla" else 1.0) if scale is None else scale
    if not 0 < scale < math.inf:
        raise ValueError(f"depth_scale must be the metres that a value of 1 stands for, more than 0, got {scale}")
    invalid = (_MOST["carla"] if format == "carla" else 0) if invalid is None else invalid
    if format in _MOST and not (0 <= invalid <= _MOST[format] and invalid == int(invalid)):
        raise ValueError(f"depth_invalid must be a whole number from 0 to {_MOST[format]} in {format}, got {invalid}")
    if limits is not None and (len(limits) != 2 or not 0 <= limits[0] < limits[1] < math.inf):
        raise ValueError(f"depth_range must be [low, high] in metres with 0 <= low < high, got {list(limits)}")
    return DepthCoding(format, scale, invalid, limits)


def read_depth(path: Path, coding: DepthCoding) -> NDArray[np.float32]:
    """Decode a depth file to (H, W) float32, metres along the optical axis; 0 is invalid.

    Raises:
        DataError: the file cannot be read, is of another format, has 8 bits where 16 are meant, holds negative or
            infinite values or NaN, or no valid one at all.
    """
    if path.suffix.lower() == ".exr":
        raise DataError(f"{path}: OpenEXR is not read; convert it to .npy or to .tiff of 32-bit floats")
    values = _READERS[coding.format](path)
    # Compared as it is stored: 655.35 is another number in 32 bits than in 64.
    with np.errstate(over="ignore"):  # what is too large for 32 bits is infinite, and told
        stands = np.array(coding.invalid).astype(values.dtype)
        invalid = np.isnan(values) if np.isnan(stands) else values == stands
        metres: NDArray[np.float32] = np.where(invalid, 0, values.astype(np.float64) * coding.scale).astype(np.float32)
    for wrong, what in ((~np.isfinite(metres), "NaN or infinite"), (metres < 0, "negative")):
        if wrong.any():
            raise DataError(
                f"{path}: {int(wrong.sum())} pixels are {what}, the first {values[wrong][0]:g}; correct them, or say "
                "with depth_invalid which value stands for no measurement"
            )
    if not metres.any():
        all_is = f"{coding.invalid:g} or 0" if coding.invalid else "0"
        raise DataError(f"{path}: no depth, all is {all_is}; take it away, or correct depth_invalid")
    return metres


def _read_png16(path: Path) -> NDArray[Any]:
    if not is_grey(path):
        raise DataError(
            f"{path}: holds colours, where one channel of 16 bits is meant; depth that CARLA wrote into red, green and "
            'blue is read with depth_format = "carla", and a picture of a depth cannot be turned back into one'
        )
    values = read_label(path)
    if values.dtype == np.uint8:
        raise DataError(f"{path}: 8 bits where 16 are meant: a program cut its values; fetch the original file again")
    return values


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        # Mapped, because that compares the size that a file claims with its own before any memory is asked for.
        values = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the dataset's folders, or fetch the file again") from error
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
        raise DataError(f"{path}: no array of numpy's ({one_line(error)}); copy it again, or save it anew") from error
    if values.dtype.kind != "f" or values.dtype.itemsize > 8 or values.ndim != 2:
        raise DataError(f"{path}: must hold (H, W) float16, float32 or float64, got {values.dtype} {values.shape}")
    return np.array(values, dtype=values.dtype.newbyteorder("="))


def _read_tiff(path: Path) -> NDArray[Any]:
    with opened(path, ("TIFF",)) as image:
        if image.mode != "F":
            raise DataError(f"{path}: must hold one channel of 32-bit floats, got mode {image.mode} of Pillow")
        return np.array(image)


def _read_carla(path: Path) -> NDArray[Any]:
    if is_grey(path):
        raise DataError(
            f"{path}: holds one channel, where CARLA's depth is 24 bits over red, green and blue; save the sensor's "
            "raw image, not one converted by a ColorConverter"
        )
    red, green, blue, _ = read_rgba(path).astype(np.int32)
    values: NDArray[Any] = red + green * 256 + blue * 65536
    return values


_READERS = {"png16": _read_png16, "npy": _read_npy, "tiff": _read_tiff, "carla": _read_carla}
