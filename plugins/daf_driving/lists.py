"""Text files that name the images of a split, one a line, for datasets that are one folder of pairs."""

from pathlib import Path

import attrs

from daf_driving.files import Entry, Folder, check_split, list_entries
from daframework.errors import DataError
from daframework.text_file import read_text


def list_split(folder: Folder, root: Path, split: str, *, train: str | None, test: str | None) -> list[Entry]:
    """The images of a split: those named in the file ``train`` or ``test`` below ``root``, all if neither is given.

    ``test`` is ``train`` if not given. The folder of the entries is narrowed to the names, so that files outside the
    list need no partner.

    Raises:
        ValueError: the split is neither "train" nor "test".
        DataError: a file is missing, names nothing, or names an image that is not there.
    """
    check_split(split)
    chosen = train if split == "train" or test is None else test
    if chosen is None:
        return list_entries(folder)
    path = root / Path(chosen).expanduser()
    names = _read_names(path) - folder.skip
    entries = list_entries(folder)
    hint = f"write one name a line, such as {entries[0].name}, or leave the list out to take all images"
    if not names:
        raise DataError(f"{path}: names no image; {hint}")
    if missing := sorted(names.difference(entry.name for entry in entries)):
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DataError(f"{path}: names {', '.join(missing[:3])}{more}, not in {folder.images}; {hint}")
    narrowed = attrs.evolve(folder, only=names)
    return [attrs.evolve(entry, folder=narrowed) for entry in entries if entry.name in names]


def _read_names(path: Path) -> frozenset[str]:
    """The names in a list, without the ending ``.png`` that some lists write."""
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a text file, one image a line") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text; name a text file, one image a line") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return frozenset(line.strip().removesuffix(".png") for line in lines if line.strip())
