"""Write a result beside a user's files: the same names in another folder, and nothing lost on the way."""

from collections.abc import Callable, Sequence
from pathlib import Path

from daframework.data.decode import IMAGE_SUFFIXES
from daframework.errors import DataError


def planned_outputs(
    images: Path, out: Path, renamed: Callable[[Path], Path], *, overwrite: bool
) -> list[tuple[Path, Path]]:
    """Every image below ``images``, sorted, with the file below ``out`` that its result goes to.

    A result keeps its image's path below the folder, but for what ``renamed`` does to it. Nothing is written.

    Raises:
        DataError: there is no image, two would become one file, or a file is there already and ``overwrite`` is off.
    """
    if not images.is_dir():
        raise DataError(f"{images}: not a folder of images")
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{images}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    planned = [(path, renamed(out / path.relative_to(images))) for path in files]
    from_file: dict[Path, Path] = {}
    for path, output in planned:
        if from_file.setdefault(output, path) != path:
            raise DataError(f"{from_file[output]} and {path} would both become {output}; rename one of them")
    refuse_taken([output for _, output in planned], overwrite=overwrite)
    return planned


def refuse_taken(outputs: Sequence[Path], *, overwrite: bool) -> None:
    """Nothing of the user's is replaced unless ``overwrite``.

    Raises:
        DataError: a file is there already.
    """
    taken = [output for output in outputs if output.exists()]
    if taken and not overwrite:
        raise DataError(f"{taken[0]} is there already ({len(taken)} such files); add --overwrite to replace them")
