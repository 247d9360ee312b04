"""Label spaces: which classes labels are written in, and what each class of one space becomes in another.

A space is a TOML file: ``classes``, a list of ``{ name, colour = [red, green, blue], id }`` in the order of their
indices, ``id`` being what stands for the class in label files and left out where there is no such number;
``ignored_id`` for all other pixels; and a table ``[maps.OTHER]`` for each other space whose labels can be read in this
one, with what its classes become here. A class that both spaces name alike needs no line there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from numpy.typing import NDArray

from daframework.data.checked import DerivedDataset
from daframework.data.label_files import colour_code, map_ids, value_name
from daframework.dataset_interface import ImageDataset, Inspection, Sample
from daframework.errors import DataError, RecipeError, unknown
from daframework.fingerprint import digest
from daframework.label_types import IGNORE_INDEX
from daframework.recipes.read import locate, offered_files, read_tables
from daframework.recipes.strict import structure
from daframework.registry import Plugins

IGNORE = "ignore"
"""What a class becomes whose pixels are to be ignored."""
_HOOK = "daf_label_spaces"


@frozen
class ClassEntry:
    """A class as a space's file writes it: its name, its RGB colour (0 to 255), and its id in label files."""

    name: str
    colour: tuple[int, ...]
    id: int | None = None


@frozen
class SpaceTable:
    """A space's file."""

    classes: tuple[ClassEntry, ...]
    ignored_id: int = IGNORE_INDEX
    maps: dict[str, dict[str, str]] = field(factory=dict)


@frozen
class LabelSpace:
    """Class names in the order of their indices, one RGB colour (0 to 255) a class, and how others map here.

    ``ids`` stand for the classes in label files, None where the space has no such numbers; ``ignored_id`` for all else.
    ``maps`` hold for another space's name what its classes become: a class of this one, or ``ignore``.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ids: tuple[int, ...] | None
    ignored_id: int
    maps: Mapping[str, Mapping[str, str]]


def label_space(plugins: Plugins, name: str) -> LabelSpace:
    """The label space of a plugin called ``name``, or the one in the file ``name``.

    Raises:
        RecipeError: there is none, or its file is wrong.
    """
    return read_space(locate(plugins, name, _HOOK))


def label_spaces(plugins: Plugins) -> list[LabelSpace]:
    """All label spaces that plugins offer, by name.

    Raises:
        RecipeError: a file is wrong.
    """
    return [read_space(file) for _, file, _ in sorted(offered_files(plugins, _HOOK))]


def colours_of(space: LabelSpace) -> dict[str, int]:
    """The colour of each class, as a number.

    Raises:
        DataError: two classes have one colour.
    """
    codes = {name: colour_code(*colour) for name, colour in zip(space.classes, space.palette, strict=True)}
    first: dict[int, str] = {}
    for name, code in codes.items():
        if (other := first.setdefault(code, name)) != name:
            both = f"label space '{space.name}': {other} and {name} share the colour {value_name(code, colours=True)}"
            raise DataError(f"{both}, so labels do not say which is meant; give each class a colour of its own")
    return codes


def read_space(file: Path) -> LabelSpace:
    """The label space in a TOML file; its name is the file's.

    Raises:
        RecipeError: the file cannot be read, or is wrong; every problem is in it.
    """
    table, problems = structure(read_tables(file), SpaceTable)
    if table is not None:
        problems = _faults(table)
    if table is None or problems:
        raise RecipeError([f"{file}: {problem}" for problem in problems])
    ids = [entry.id for entry in table.classes if entry.id is not None]
    return LabelSpace(
        file.name.removesuffix(".toml"),
        tuple(entry.name for entry in table.classes),
        tuple((entry.colour[0], entry.colour[1], entry.colour[2]) for entry in table.classes),
        tuple(ids) if len(ids) == len(table.classes) else None,
        table.ignored_id,
        table.maps,
    )


def _faults(table: SpaceTable) -> list[str]:
    names = [entry.name for entry in table.classes]
    ids = [entry.id for entry in table.classes if entry.id is not None]
    faults = []
    if not 1 <= len(names) <= IGNORE_INDEX:
        faults.append(f"classes: must be 1 to {IGNORE_INDEX}, got {len(names)}")
    faults += [f"classes: '{name}' is named twice" for name in sorted({one for one in names if names.count(one) > 1})]
    if IGNORE in names:
        faults.append(f"classes: '{IGNORE}' is no class; it is what a class becomes that is left out")
    for entry in table.classes:
        if len(entry.colour) != 3 or not all(0 <= value <= 255 for value in entry.colour):
            colour = f"classes.{entry.name}.colour"
            faults.append(f"{colour}: must be [red, green, blue], 0 to 255, got {list(entry.colour)}")
    if ids and (len(ids) < len(names) or len(set(ids)) < len(ids) or not all(0 <= one <= IGNORE_INDEX for one in ids)):
        faults.append(f"classes: either no class has an id, or each has one of its own, 0 to {IGNORE_INDEX}")
    if not 0 <= table.ignored_id <= IGNORE_INDEX or table.ignored_id in ids:
        faults.append(f"ignored_id: must be 0 to {IGNORE_INDEX} and no class's id, got {table.ignored_id}")
    for other, meanings in table.maps.items():
        faults += _unknown_meanings(f"maps.{other}", meanings, names)
    return faults


def _unknown_meanings(where: str, meanings: Mapping[str, str], classes: Sequence[str]) -> list[str]:
    allowed = [*classes, IGNORE]
    return [f"{where}.{name}: {unknown('class', to, allowed)}" for name, to in meanings.items() if to not in allowed]


def class_table(
    classes: Sequence[str], space: LabelSpace, known: Iterable[LabelSpace], own: Mapping[str, str], where: str
) -> dict[str, str]:
    """Each of ``classes`` -> the class of ``space`` that it becomes, or ``ignore``.

    What ``own`` says comes first, then the map that ``space`` has for those of the ``known`` spaces with exactly these
    classes, then a class of the same name.

    Raises:
        RecipeError: a class has no place in ``space``, or ``own`` names what is not there; ``where`` is its key.
    """
    problems = [f"{where}: {unknown('class', name, classes)}" for name in own if name not in classes]
    problems += _unknown_meanings(where, own, space.classes)
    offered = (space.maps[one.name] for one in known if one.classes == tuple(classes) and one.name in space.maps)
    given = {name: name for name in classes if name in space.classes} | dict(next(offered, {})) | dict(own)
    if lost := [name for name in classes if name not in given]:
        lines = ", ".join(f'"{name}" = "..."' for name in lost)
        no_place = f"{where}: {', '.join(lost)} have no place in the label space '{space.name}'"
        problems.append(f"{no_place}; say what they become, a class or {IGNORE}: {{ {lines} }}")
    if problems:
        raise RecipeError(problems)
    return {name: given[name] for name in classes}


class Mapped(DerivedDataset):
    """A dataset whose labels are read in another label space."""

    def __init__(self, dataset: ImageDataset, space: LabelSpace, table: Mapping[str, str]) -> None:
        """``table`` says what each class of ``dataset`` becomes, as `class_table` gives it."""
        super().__init__(dataset)
        self.classes, self.palette = space.classes, space.palette
        index = {name: place for place, name in enumerate(space.classes)} | {IGNORE: IGNORE_INDEX}
        self._table = {place: index[table[name]] for place, name in enumerate(dataset.classes)}

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        label = sample.as_arrays().label
        return sample if label is None else evolve(sample, label=self._mapped(label, sample.name))

    def fingerprint(self, *, labels: bool) -> str | None:
        """The dataset's own, with what its classes become if ``labels``."""
        found = self.dataset.fingerprint(labels=labels)
        return digest(found, sorted(self._table.items())) if labels and found is not None else found

    def file(self, index: int) -> Path | None:
        """The image's file."""
        return self.dataset.file(index)

    def problems(self, *, labelled: bool) -> list[str]:
        """Those of the dataset."""
        return self.dataset.problems(labelled=labelled)

    def inspect(self, index: int, *, labelled: bool) -> Inspection | None:
        """As the dataset does, with the label in the other space."""
        found = self.dataset.inspect(index, labelled=labelled)
        if found is None or found.label is None:
            return found
        try:
            return evolve(found, label=self._mapped(found.label, found.name))
        except DataError as error:
            return evolve(found, label=None, problems=[*found.problems, str(error)])

    def _mapped(self, label: NDArray[Any], name: str) -> NDArray[Any]:
        return map_ids(label, self._table | {IGNORE_INDEX: IGNORE_INDEX}, where=f"label of {name}")
