"""Text files that name the images of a split, one a line, for datasets that are one folder of pairs.

A line names an image as lists of the field do: with its ending or without, with any folders before it as long as the
last of them is that of the images, and with the label or a comment behind it. Lines that begin with # are comments.
"""

import re
from collections.abc import Container, Iterator
from pathlib import Path

import attrs

from daf_driving.pairing import Entry, Folder, list_entries, some
from daframework.errors import DataError
from daframework.text_file import read_text


def list_split(folder: Folder, root: Path, split: str, *, train: str | None, test: str | None) -> list[Entry]:
    """The images of a split: those named in the file ``train`` or ``test`` below ``root``, all if neither is given.

    ``test`` is ``train`` if not given. The folder of the entries is narrowed to the names, so that files outside the
    list need no partner.

    Raises:
        DataError: a file is missing, names nothing, or names an image that is not there.
    """
    chosen = train if split == "train" or test is None else test
    if chosen is None:
        return list_entries(folder)
    path = root / Path(chosen).expanduser()
    lines = _read_lines(path)
    entries = list_entries(folder)
    known = frozenset(entry.name for entry in entries) | folder.skip
    names = frozenset(_name(line, folder, known) for line in lines) - folder.skip
    hint = f"write one name a line, such as {entries[0].name}, or leave the list out to take all images"
    if not names:
        raise DataError(f"{path}: names no image; {hint}")
    if missing := sorted(names - known):
        raise DataError(f"{path}: names {some(missing)}, not in {folder.images}; {hint}")
    return list_entries(attrs.evolve(folder, only=names))


def _read_lines(path: Path) -> list[str]:
    """The lines of a list, without those that are empty or a comment."""
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a text file, one image a line") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _name(line: str, folder: Folder, known: Container[str]) -> str:
    """The name among ``known`` that a line stands for, or what it would be called if there is none."""
    names = (name for text in _readings(line) for name in _below(text, folder))
    return next((name for name in names if name in known), next(_below(line, folder)))


def _readings(line: str) -> Iterator[str]:
    """What of a line may be the image: all of it, or what is before a comment or the label; names may hold spaces."""
    yield line
    places = [found.start() for found in re.finditer(r"[\s,;]+", line)]
    yield from (line[:place] for place in reversed(places))


def _below(text: str, folder: Folder) -> Iterator[str]:
    """``text`` without the ending and beginning of an image file; then only what stands behind the images' folder."""
    text = text.replace("\\", "/").removeprefix("./").lstrip("/")
    ending = next((one for one in folder.image_endings if text.lower().endswith(one.lower())), "")
    *parents, file = text[: len(text) - len(ending)].split("/")
    parts = [*parents, file.removeprefix(folder.image_beginning)]
    yield "/".join(parts)
    for place, part in enumerate(parents, start=1):
        if part == folder.images.name:
            yield "/".join(parts[place:])
