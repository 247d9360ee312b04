"""Write a result beside a user's files: the same names in another folder, and nothing lost on the way."""

from collections.abc import Callable, Sequence
from pathlib import Path

from daframework.data.decode import IMAGE_SUFFIXES
from daframework.data.walk import walk
from daframework.errors import DataError


def planned_outputs(
    folder: Path,
    out: Path,
    renamed: Callable[[Path], Path],
    *,
    overwrite: bool,
    what: str = "image",
    endings: Sequence[str] = IMAGE_SUFFIXES,
) -> list[tuple[Path, Path]]:
    """Every file below ``folder`` with one of ``endings``, sorted, with the file below ``out`` that its result goes to.

    A result keeps its file's path below the folder, but for what ``renamed`` does to it. Nothing is written. ``what``
    the files are is for messages.

    Raises:
        DataError: there is no file, two would become one, a result would lie among or replace what is read, a file
            stands where a folder must be or the other way round, or is there already and ``overwrite`` is off.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder of {what}s")
    files, read = [], set()
    for parent, names in walk(folder):
        read.add(parent.resolve())
        files += [parent / name for name in names if name.lower().endswith(tuple(endings))]
    if not files:
        raise DataError(f"{folder}: holds no {what} ({', '.join(endings)})")
    planned = [(path, renamed(out / path.relative_to(folder))) for path in sorted(files)]
    from_file: dict[Path, Path] = {}
    for path, output in planned:
        if from_file.setdefault(output, path) != path:
            raise DataError(f"{from_file[output]} and {path} would both become {output}; rename one of them")
    places = dict.fromkeys((out, *(output.parent for output in from_file)))
    inside = [place for place in places if not read.isdisjoint((place.resolve(), *place.resolve().parents))]
    taken = [output for output in from_file if _there(output)]
    originals = {path.resolve() for path in files} if taken else set()
    clash = next((output for output in taken if output.resolve() in originals), None)
    if clash is not None and out not in inside:
        raise DataError(f"{clash}: is one of the {what}s to be read; write to another folder")
    if inside:
        raise DataError(f"{inside[0]}: lies in {folder}, whose {what}s are to be read; write to a folder beside it")
    for place in places:
        there = next(one for one in (place, *place.parents) if _there(one))
        if not there.is_dir():
            raise DataError(f"{there}: is a file, not a folder to write into; write to another one")
    for output in taken:
        if output.is_dir():
            raise DataError(f"{output}: is a folder, where a file is to be written; write to another one")
    if taken and not overwrite:
        raise DataError(f"{taken[0]} is there already ({len(taken)} such files); add --overwrite to replace them")
    return planned


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise DataError(f"{path}: cannot be looked at ({error.strerror}); write to another folder") from error


def raise_it(error: DataError) -> None:
    """What is done about a file that cannot be read, unless told."""
    raise error
