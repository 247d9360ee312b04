"""Look at a folder of the user's: which files are images, which are their labels, and what is in those."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from attrs import frozen
from numpy.typing import NDArray

from daframework.data.decode import IMAGE_SUFFIXES, image_size, read_label
from daframework.data.label_files import CHANNELS, TRANSPARENT, count_values, read_colours, value_name
from daframework.data.spread import evenly_spread
from daframework.data.walk import walk
from daframework.errors import DataError

_LABEL_FOLDERS = {"labels", "label", "annotations", "masks", "mask", "seg", "segmentation", "semantic", "ids"}
_LABEL_FOLDERS |= {"gt", "gtfine"}
_IMAGE_FOLDERS = {"images", "image", "img", "rgb", "leftimg8bit"}
_READ = 200  # label files, spread over all
_TRIED = 20  # labels that may be the first image's
_MOST_VALUES = 255  # classes that a recipe can have


@frozen
class LabelFiles:
    """The label files of images: how they are named and what ``values`` are in them, with the pixels of each.

    ``kind`` is "ids", "colours", or the channel that holds ids; ``read`` of the files were looked at.
    """

    folder: Path
    endings: tuple[str, str]
    beginnings: tuple[str, str]
    kind: str
    values: dict[int, int]
    read: int

    def written(self) -> list[str]:
        """The values as a recipe writes them."""
        return [value_name(value, colours=self.kind == "colours") for value in sorted(self.values)]


@frozen
class Found:
    """A folder of ``images``: how many, the size (height, width) of the commonest, and their labels, if any."""

    images: Path
    count: int
    size: tuple[int, int]
    labels: LabelFiles | None


def look(folder: Path, labels: Path | None = None) -> Found:
    """The images in ``folder``, or in a folder in it beside one of labels, and their labels, which ``labels`` may name.

    Raises:
        DataError: there are no images, no telling which folder holds them, or labels that belong to none of them.
    """
    images, labels = find_folders(folder, labels)
    files = _files(images, IMAGE_SUFFIXES)
    if mixed := next((one for one in files if _LABEL_FOLDERS & {*one.lower().split("/")[:-1]}), None):
        raise DataError(f"{images}: holds labels among its images, such as {mixed}; name both folders, with --labels")
    if labels is not None and labels.resolve() in (images.resolve(), *images.resolve().parents):
        raise DataError(f"{labels}: holds the images too; give images and labels folders of their own")
    sizes = Counter(image_size(images / files[place]) for place in evenly_spread(len(files), _READ))
    found = None if labels is None else _look_at_labels(images, files, labels)
    return Found(images, len(files), sizes.most_common(1)[0][0], found)


def find_folders(folder: Path, labels: Path | None = None) -> tuple[Path, Path | None]:
    """The folder of the images in ``folder``, and that of their labels, if any, which ``labels`` may name.

    Raises:
        DataError: there are no images, or no telling which folder holds them.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    flat = any(file.suffix.lower() in IMAGE_SUFFIXES and file.is_file() for file in folder.iterdir())
    images, beside = (folder, None) if flat else _inside(folder, labels and labels.resolve())
    return images, labels or beside


def _inside(folder: Path, given: Path | None) -> tuple[Path, Path | None]:
    """The folder of images and that of labels in ``folder``, which itself holds neither; ``given`` are labels."""
    inner = sorted(one for one in folder.iterdir() if one.is_dir() and any(_files(one, IMAGE_SUFFIXES)))
    labels = [one for one in inner if one.name.lower() in _LABEL_FOLDERS or one.resolve() == given]
    images = [one for one in inner if one not in labels]
    named = [one for one in images if one.name.lower() in _IMAGE_FOLDERS]
    names = ", ".join(one.name for one in inner)
    if not inner:
        raise DataError(f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)})")
    if not labels and not named:
        return folder, None  # images in sub-folders, as one a city
    if len(named or images) != 1 or (given is None and len(labels) > 1):
        raise DataError(f"{folder}: which of {names} are images, which are labels? name both folders, with --labels")
    return (named or images)[0], labels[0] if labels else None


def _files(folder: Path, endings: Sequence[str]) -> list[str]:
    """The paths below ``folder`` of files with these endings, sorted."""
    paths = (parent / name for parent, names in walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in paths if path.suffix.lower() in endings)


def _look_at_labels(images: Path, files: Sequence[str], labels: Path) -> LabelFiles:
    if not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels")
    there = _files(labels, (".png",))
    if not there:
        raise DataError(f"{labels}: holds no labels; a label is a PNG of class ids or colours")
    endings, beginnings, paired = _pairing(files, there)
    if not paired:
        raise DataError(f"{labels}: no label belongs to an image of {images}, such as {there[0]} to {files[0]}")
    if lacking := len(files) - len(paired):
        raise DataError(f"{labels}: {lacking} of {len(files)} images of {images} have no label; add or remove them")
    chosen = [labels / paired[place] for place in evenly_spread(len(paired), _READ)]
    kind, values = _values(chosen)
    if len(values) > _MOST_VALUES + 1:
        many = f"{len(values)} different {kind} in {len(chosen)} labels, more than the {_MOST_VALUES} classes allowed"
        raise DataError(f"{labels}: {many}; they may be photographs, or were smeared by another format")
    return LabelFiles(labels, endings, beginnings, kind, values, len(chosen))


def _pairing(files: Sequence[str], labels: Sequence[str]) -> tuple[tuple[str, str], tuple[str, str], list[str]]:
    """Endings and beginnings of names of images and labels, by which most of them belong together, and those labels.

    Only the file's own name differs; the folders that it lies in are the same.
    """
    there = set(labels)
    best: tuple[tuple[str, str], tuple[str, str], list[str]] = ("", ""), ("", ""), []
    first = Path(files[0])
    beside = [Path(one) for one in labels if Path(one).parent == first.parent]
    for label in sorted(beside, key=lambda one: _likely(first.stem, one.stem))[:_TRIED]:
        same, same_end = _alike(first.stem, label.stem)
        if not same and not same_end:
            continue
        if same >= same_end:
            endings, beginnings = (first.name[same:], label.name[same:]), ("", "")
        else:
            endings, beginnings = (first.suffix, label.suffix), (first.stem[:-same_end], label.stem[:-same_end])
        paired = [one for file in files if (one := _label_of(Path(file), endings, beginnings)) in there]
        if len(paired) > len(best[2]):
            best = endings, beginnings, paired
        if len(paired) == len(files):
            break
    return best


def _likely(image: str, label: str) -> tuple[int, bool, bool]:
    """Lowest for the label most like the image; of several, that of classes, not of instances or in colours."""
    return -max(_alike(image, label)), "instance" in label.lower(), "label" not in label.lower()


def _alike(one: str, other: str) -> tuple[int, int]:
    """How many letters two names share at their beginnings, and at their ends."""

    def shared(first: str, second: str) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))

    return shared(one, other), shared(one[::-1], other[::-1])


def _label_of(image: Path, endings: tuple[str, str], beginnings: tuple[str, str]) -> str:
    """The path of an image's label; any ending of an image stands for another, unless more than that is in it."""
    ending = image.suffix if endings[0].lower() in IMAGE_SUFFIXES else endings[0]
    if not (image.name.endswith(ending) and image.name.startswith(beginnings[0])):
        return ""
    bare = image.name[len(beginnings[0]) : len(image.name) - len(ending)]
    return (image.parent / f"{beginnings[1]}{bare}{endings[1]}").as_posix()


def _values(files: Sequence[Path]) -> tuple[str, dict[int, int]]:
    """What the label files hold, and how many pixels have each value."""
    try:
        return "ids", _counted(read_label, files)
    except DataError:  # colours, or what the next line says of the file
        counts = _counted(read_colours, files)
    counts.pop(TRANSPARENT, None)
    for channel, shift in zip(CHANNELS, (16, 8, 0), strict=True):
        if all(code & ~(255 << shift) == 0 for code in counts):  # as CARLA writes ids
            return channel, {code >> shift: pixels for code, pixels in counts.items()}
    return "colours", counts


def _counted(read: Callable[[Path], NDArray[Any]], files: Sequence[Path]) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for file in files:
        counts.update(count_values(read(file)))
    return counts
