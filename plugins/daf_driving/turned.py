"""Images that EXIF turns and whose labels it does not: an editor that turns photographs leaves labels as they are."""

from pathlib import Path

from daframework.data.decode import IMAGE_SUFFIXES, orientation
from daframework.dataset_interface import Array


def one_is_turned(image_file: Path, image: Array, label_file: Path) -> bool:
    """Whether EXIF turns an image, (3, H, W), otherwise than its label, where their sizes do not tell.

    A label of the same size as an image that EXIF turns by a quarter was drawn on the upright one, unless it is square.
    """
    first, second = orientation(image_file), orientation(label_file)
    sizes_tell = (first >= 5) != (second >= 5) and image.shape[1] != image.shape[2]
    return first != second and not sizes_tell


def other_size(image_file: Path, image: Array, label_file: Path, ids: Array) -> str:
    """That a label, (H, W), has not the size of its image, (3, H, W); and whether EXIF is why."""
    can_turn = label_file.suffix.lower() in IMAGE_SUFFIXES  # an array of numbers cannot
    by_exif = can_turn and (orientation(image_file) >= 5) != (orientation(label_file) >= 5)
    why = " (EXIF turns one of the two by a quarter; save both turned, without EXIF)" if by_exif else ""
    return (
        f"{label_file}: {ids.shape[0]} x {ids.shape[1]} pixels (height x width), but its image {image_file} "
        f"has {image.shape[1]} x {image.shape[2]}{why}; a label must cover its image pixel by pixel"
    )
