"""Find the images in folders, and pair them with their labels by name; nothing is decoded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from daframework.data.decode import IMAGE_SUFFIXES
from daframework.data.walk import walk
from daframework.errors import DataError

PREPARED = ("_color", "_instanceIds", "_instanceTrainIds", "_labelIds", "_labelTrainIds")
"""What the field's tools append to the name of a label for what they made of it and wrote beside it; no label."""


@frozen
class Folder:
    """A folder of images and the folder of their labels; files of one name belong together.

    A name is the path below the folder without the file's beginning and ending. Files with others are passed over,
    which is how several kinds of image or label can share a folder; so is what `PREPARED` names beside a label.

    Args:
        images: Folder of the images; sub-folders are searched too.
        labels: Folder of the labels.
        image_endings: How an image file's name may end; small and capital letters are the same here.
        label_ending: How a label file's name ends, to the letter.
        image_beginning: How an image file's name begins, to the letter.
        label_beginning: How a label file's name begins, to the letter.
        within: Search these sub-folders only; all if empty.
        only: These names only; all if None.
        skip: Pass these names over, in both folders.
        hint: What to do about an image without a label; to add the label or take the image away, if empty.
        renamed: What of an image's name is another in that of its label, and what it is there.
        called: What a sample's name begins with, where several folders hold files of one name.
    """

    images: Path
    labels: Path
    image_endings: tuple[str, ...] = IMAGE_SUFFIXES
    label_ending: str = ".png"
    image_beginning: str = ""
    label_beginning: str = ""
    within: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    skip: frozenset[str] = frozenset()
    hint: str = ""
    renamed: tuple[str, str] = ("", "")
    called: str = ""


@frozen
class Entry:
    """One image of a folder; its paths are made when asked for, which keeps 25,000 entries small."""

    folder: Folder
    name: str
    ending: str

    @property
    def full_name(self) -> str:
        """Its name in its dataset."""
        return self.folder.called + self.name

    @property
    def image(self) -> Path:
        """The image file."""
        return self.folder.images / self.image_name

    @property
    def image_name(self) -> str:
        """The path of the image file below its folder."""
        return _begun(self.name, self.folder.image_beginning) + self.ending

    @property
    def label(self) -> Path:
        """The file the label is expected in, which need not exist."""
        return self.folder.labels / self.label_name

    @property
    def label_name(self) -> str:
        """The path of the label file below its folder."""
        name = self.name.replace(*self.folder.renamed, 1)
        return _begun(name, self.folder.label_beginning) + self.folder.label_ending


def _begun(name: str, beginning: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{beginning}{file}"


def list_entries(folder: Folder) -> list[Entry]:
    """The images of a folder and its sub-folders, by name; labels are not looked for.

    Raises:
        DataError: the folder is missing or holds no images, or two files share a name.
    """
    images = _list_files(folder)
    if not images:
        kinds = ", ".join(folder.image_endings)
        raise DataError(f"{folder.images}: holds no images ({kinds}); check the dataset's folders")
    return [Entry(folder, name, ending) for name, ending in images.items()]


def _list_files(folder: Folder, *, labels: bool = False) -> dict[str, str]:
    """Name -> ending, as it is spelt, of the images or ``labels``; sorted; hidden files are passed over."""
    base, beginning = (folder.labels, folder.label_beginning) if labels else (folder.images, folder.image_beginning)
    endings, renamed = ((folder.label_ending,), folder.renamed[::-1]) if labels else (folder.image_endings, ("", ""))
    compared: Callable[[str], str] = str if labels else str.lower
    found: dict[str, str] = {}
    for start in folder.within or (".",):
        if not (base / start).is_dir():
            raise DataError(f"{base / start}: no such folder; check the dataset's root and folder names")
        for parent, files in walk(base / start):
            inside = parent.relative_to(base).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            for file in files:
                cut = max((len(one) for one in endings if compared(file).endswith(compared(one))), default=0)
                if not cut or file.startswith(".") or not file.startswith(beginning):
                    continue
                name, ending = (prefix + file[len(beginning) : -cut]).replace(*renamed, 1), file[-cut:]
                if name in folder.skip or (folder.only is not None and name not in folder.only):
                    continue
                if name in found:
                    other = Path(name).name + found[name]
                    raise DataError(f"{base / prefix / file}: has the same name as {other}; keep one of them")
                found[name] = ending
    return dict(sorted(found.items()))


def list_folders(dataset: str, folders: Iterable[Folder]) -> list[Entry]:
    """The images of several folders, in their order.

    Raises:
        DataError: a folder is missing or holds no images, or two images share a name.
    """
    entries = [entry for folder in folders for entry in list_entries(folder)]
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.full_name, entry)
        if first is not entry:
            raise DataError(f"{dataset}: {first.image} and {entry.image} share a name; name each folder once")
    return entries


def some(names: Sequence[str]) -> str:
    """The first three of many, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def unpaired(folder: Folder) -> list[tuple[list[str], str]]:
    """Images without a label, then labels without an image, each with what is to be said about them.

    Raises:
        DataError: one of the two folders is missing.
    """
    labels, images = _list_files(folder, labels=True), _list_files(folder)
    without = [str(Entry(folder, name, images[name]).image) for name in images if name not in labels]
    orphans = [str(Entry(folder, name, "").label) for name in labels if not _has_image(name, images, folder)]
    hint = folder.hint or f"add {folder.label_beginning}NAME{folder.label_ending}, or take it away"
    return [
        (without, f"without a label in {folder.labels}; {hint}"),
        (orphans, f"without an image in {folder.images}; add it, or take the label away"),
    ]


def _has_image(name: str, images: Mapping[str, str], folder: Folder) -> bool:
    """Whether a label is that of an image, or what a tool made of such a one, whose image need not be taken."""
    made_of = (name.removesuffix(ending) for ending in PREPARED if name.endswith(ending))
    return name in images or any(label in images or label in folder.skip for label in made_of)
