"""Read and write image and label files; everything that can be wrong with a file is a `DataError` that names it."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from daframework.data.open_image import IMAGE_FORMATS, MOST_PIXELS, opened, orientation_of, raw_mode
from daframework.data.png import png_levels
from daframework.data.scaling import Scaling
from daframework.errors import DataError, one_line
from daframework.storage.files import write_whole

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""File name endings of images, in lower case. A label is always a PNG."""


def read_image(path: Path, *, scaling: Scaling | None = None, most: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """Decode an image file to (3, H, W) uint8 RGB, turned upright as its EXIF orientation says.

    Grey and palette images become RGB. An alpha channel is dropped if it hides nothing. Values of 16 bits become 8 by
    ``scaling``. Colour profiles and gamma are ignored: the values are those in the file.

    Raises:
        DataError: the file cannot be read, is no image, has transparent pixels, several frames, more than ``most``
            pixels, another colour mode, or 16 bits a channel and there is no ``scaling``.
    """
    with opened(path, IMAGE_FORMATS, most=most) as image:
        turned = orientation_of(image)
        pixels = _from_16_bits(image, path, scaling) if _has_16_bits(image) else np.array(_as_rgb(image, path))
    return _planes(_upright(pixels, turned))


def read_label(path: Path) -> NDArray[Any]:
    """Decode a PNG of ids to (H, W): uint8, or int32 for a 16-bit file. A palette PNG gives its indices.

    Raises:
        DataError: the file cannot be read, is no PNG, or holds colours instead of ids.
    """
    with opened(path, ("PNG",)) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16"):
            must = f"must hold class ids, this one holds colours (mode {image.mode})"
            channel = 'take an image_folder with channel = "red", or --channel red of daf data convert'
            convert = f"daf data convert {shlex.quote(str(path.parent))} OUT --from-colours SPACE --to SPACE"
            remedy = f"if one channel holds the ids, {channel}, else turn them into ids with: {convert}"
            raise DataError(f"{path}: a label image {must}; {remedy}")
        turned, stretch = orientation_of(image), _stretch(image)
        ids = _upright(np.array(image), turned)
    if stretch > 1:
        ids //= stretch
    return ids.astype(np.uint8 if ids.dtype in (np.bool_, np.uint8) else np.int32)


def read_rgba(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to (4, H, W) uint8 RGB and alpha, for labels whose colours stand for something.

    Raises:
        DataError: the file cannot be read, is no image, has several frames, 16 bits a channel, or another colour mode.
    """
    with opened(path, IMAGE_FORMATS) as image:
        if _has_16_bits(image):
            raise DataError(f"{path}: colours of 16 bits a channel are not supported; save it with 8")
        pixels = _upright(np.array(_as_rgba(image, path)), orientation_of(image))
    return _planes(pixels)


def read_channels(path: Path) -> NDArray[np.int32] | None:
    """Decode a PNG of several channels of 16 bits to (H, W, channels) int32; None if it is another PNG.

    Raises:
        DataError: the file cannot be read, is no PNG, or is such a one and interlaced.
    """
    with opened(path, ("PNG",)) as image:
        if not _has_16_bits(image) or image.mode == "I;16":
            return None
        return _upright(_levels(image, path), orientation_of(image)).astype(np.int32)


def is_grey(path: Path) -> bool:
    """Whether a PNG has one value a pixel, and no palette; only its header is read.

    Raises:
        DataError: the file cannot be read or is no PNG.
    """
    with opened(path, ("PNG",), head=True) as image:
        return image.mode in ("1", "L", "I", "I;16")


def image_size(path: Path, *, most: int = MOST_PIXELS) -> tuple[int, int]:
    """Height and width of an image or label file in pixels, as read here; only its header is read.

    Raises:
        DataError: the file cannot be read, is no image, or has more than ``most`` pixels.
    """
    with opened(path, IMAGE_FORMATS, most=most, head=True) as image:
        turned = orientation_of(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def orientation(path: Path) -> int:
    """How an image or label file is turned on reading, as EXIF counts it: 1 as it is, 5 to 8 by a quarter.

    Raises:
        DataError: the file cannot be read or is no image.
    """
    with opened(path, IMAGE_FORMATS, head=True) as image:
        return orientation_of(image)


def write_image(path: Path, image: ArrayLike) -> None:
    """Write (3, H, W) uint8 RGB as .png, or as .jpg with quality 95 and full colour resolution (4:4:4).

    An array, or a tensor of the CPU. The file appears whole or not at all; missing folders are made.

    Raises:
        DataError: the file cannot be written.
        ValueError: the array or the file name's ending is another.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[0] != 3:
        raise ValueError(f"an image to write must be (3, H, W) uint8, got {pixels.shape} {pixels.dtype}")
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    suffix = path.suffix.lower()
    if suffix == ".png":
        # Level 1 writes several times faster than the default and costs little space on photographs.
        _write(path, lambda file: picture.save(file, "PNG", compress_level=1))
    elif suffix in (".jpg", ".jpeg"):
        _write(path, lambda file: picture.save(file, "JPEG", quality=95, subsampling=0))
    else:
        raise ValueError(f"an image is written as .png or .jpg, got '{path.name}'")


def write_label(path: Path, label: ArrayLike) -> None:
    """Write (H, W) uint8 ids, an array or a tensor of the CPU, as a one-channel .png; whole or not at all.

    Raises:
        DataError: the file cannot be written.
        ValueError: the array or the file name's ending is another.
    """
    ids = np.asarray(label)
    if ids.dtype != np.uint8 or ids.ndim != 2:
        raise ValueError(f"a label to write must be (H, W) uint8, got {ids.shape} {ids.dtype}")
    if path.suffix.lower() != ".png":
        raise ValueError(f"a label is written as .png, which loses nothing, got '{path.name}'")
    picture = Image.fromarray(np.ascontiguousarray(ids))
    _write(path, lambda file: picture.save(file, "PNG"))


def write_numbers(path: Path, values: ArrayLike) -> None:
    """Write numbers of any shape, an array or a tensor of the CPU, as .npy; whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    _write(path, lambda file: np.save(file, np.asarray(values)))


def write_any(path: Path, written: ArrayLike) -> None:
    """`write_numbers` to a .npy, else `write_label` of (H, W) and `write_image` of (3, H, W). Raises what they do."""
    write = write_numbers if path.suffix == ".npy" else write_label if np.ndim(written) == 2 else write_image
    write(path, written)


def read_numbers(path: Path) -> NDArray[Any]:
    """The numbers in a .npy file.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        if values.dtype.kind not in "biuf":
            raise TypeError(f"it holds {values.dtype}")
        return values
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or one_line(error)}") from error
    except (ValueError, TypeError, EOFError) as error:
        raise DataError(f"{path}: no .npy file of numbers ({one_line(error)})") from error


def _planes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, channels) -> (channels, H, W)."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _upright(pixels: NDArray[Any], turned: int) -> NDArray[Any]:
    """(H, W, ...) as it is stored -> as it is to be seen, where EXIF says ``turned``."""
    if turned >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turned in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turned in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels if turned == 1 else pixels.copy()


def _has_16_bits(image: Image.Image) -> bool:
    return raw_mode(image).endswith(";16B")


def _stretch(image: Image.Image) -> int:
    """By what Pillow multiplies 2- and 4-bit grey to reach 255, which would turn id 1 into 85 or 17."""
    return {"L;2": 85, "L;4": 17}.get(raw_mode(image), 1)


def _as_rgb(image: Image.Image, path: Path) -> Image.Image:
    _check_mode(image, path)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = _as_rgba(image, path)
    if rgba.getchannel("A").getextrema() != (255, 255):
        raise DataError(_transparent(path))
    return rgba.convert("RGB")


def _as_rgba(image: Image.Image, path: Path) -> Image.Image:
    _check_mode(image, path)
    if isinstance(grey := image.info.get("transparency"), int) and image.mode == "L":
        image.info["transparency"] = grey * _stretch(image)  # Pillow leaves this one as it is in the file
    return image.convert("RGBA")


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"{path}: colour mode {image.mode} is not supported; convert it to 8-bit RGB first")
    if image.mode == "P" and image.palette is None:
        raise DataError(f"{path}: truncated or damaged (its palette is missing); copy or download it again")


def _levels(image: Image.Image, path: Path) -> NDArray[np.uint16]:
    """The values (H, W, channels) of a PNG of 16 bits a channel, which Pillow has only opened."""
    if image.mode != "I;16" and image.info.get("interlace"):
        raise DataError(f"{path}: an interlaced PNG of several channels is not supported; save it without interlacing")
    with path.open("rb") as file:
        return png_levels(file)


def _from_16_bits(image: Image.Image, path: Path, scaling: Scaling | None) -> NDArray[np.uint8]:
    """The RGB (H, W, 3) of a PNG of 16 bits a channel."""
    if scaling is None:
        remedy = "an image_folder with value_range = [0, 65535], or value_percentiles = [1, 99], reads it"
        raise DataError(f"{path}: holds 16 bits a channel, and nothing says what is black and what white; {remedy}")
    levels = _levels(image, path)
    hidden = image.info.get("transparency")  # a colour that is transparent
    colours = levels[..., : 1 if levels.shape[-1] < 3 else 3]
    alpha = levels[..., colours.shape[-1] :]
    if (alpha < 65535).any() or (hidden is not None and (colours == np.array(hidden)).all(-1).any()):
        raise DataError(_transparent(path))
    return np.broadcast_to(scaling.apply(colours), (*levels.shape[:2], 3)).copy()


def _transparent(path: Path) -> str:
    return f"{path}: has transparent pixels; flatten it onto a background first"


def _write(path: Path, save: Callable[[BinaryIO], object]) -> None:
    try:
        write_whole(path, save, shared=True, synced=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({one_line(error)}); check the disk's space and rights") from error
