"""Open what a command was asked to look at: the domains of a recipe, or the splits of one dataset."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from attrs import frozen

from daframework.build import make, make_dataset, make_task
from daframework.cli.data.options import Request
from daframework.dataset_interface import ImageDataset
from daframework.errors import DataError, RecipeError, unknown
from daframework.label_types import SEMANTIC, LabelType
from daframework.recipes.read import apply_override, locate, read
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, components, find
from daframework.runs.datasets import open_datasets, source_types

if TYPE_CHECKING:
    from daframework.interfaces import Task

SPLITS = ("train", "test")
_PARTS = (("source", "train"), ("target", "train"), ("target", "test"))


@frozen(eq=False)
class DomainPart:
    """One split of a recipe's domain, or of the dataset ``domain``; ``labelled`` if its labels are of use.

    ``crop_size`` is the height and width that each image must have at least, as crops of it are trained on. ``learner``
    makes the recipe's task, where there are labels other than classes.
    """

    domain: str
    split: str
    dataset: ImageDataset
    labelled: bool
    crop_size: tuple[int, ...] = (0, 0)
    learner: "Callable[[], Task] | None" = None

    @property
    def task(self) -> "Task | None":
        """The recipe's task, where there are labels other than classes; its network takes seconds to import."""
        return None if self.learner is None else self.learner()

    @property
    def types(self) -> Sequence[LabelType]:
        """The labels that the recipe wants of it, or of a dataset its classes: what others are, a task knows."""
        if self.task is None:
            return [SEMANTIC]
        learned = self.task.label_type
        return source_types(self.dataset, learned) if self.domain == "source" else [learned]

    @property
    def types_read(self) -> Sequence[LabelType]:
        """Those of ``types`` that may be read."""
        return self.types if self.labelled else ()

    @property
    def title(self) -> str:
        """``source train``."""
        return f"{self.domain} {self.split}"


def find_recipe(plugins: Plugins, request: Request) -> Recipe | None:
    """The recipe that is asked for; None where it is a dataset.

    Raises:
        RecipeError: it is neither, or the recipe is wrong.
    """
    if request.root is not None:
        return None
    try:
        path = locate(plugins, request.what)
    except RecipeError as error:
        datasets = components(plugins, "dataset")
        if request.what in datasets:
            return None
        raise RecipeError(f"{error}; and {unknown('dataset', request.what, datasets)}") from error
    return read(path, request.overrides)


def open_parts(plugins: Plugins, request: Request, splits: Sequence[str] = SPLITS) -> list[DomainPart]:
    """The domains of a recipe, or these ``splits`` of a dataset.

    Raises:
        RecipeError: an option is wrong, or there is no such recipe or dataset.
        DataError: one cannot be opened.
    """
    recipe = find_recipe(plugins, request)
    if recipe is None:
        return [open_dataset(plugins, request, split) for split in splits]
    return open_all(plugins, recipe)


def open_all(plugins: Plugins, recipe: Recipe) -> list[DomainPart]:
    """The domains of a recipe, see `open_domains`.

    Raises:
        RecipeError: an option is wrong, or the domains do not fit together.
        DataError: some cannot be opened, a line for each.
    """
    parts, problems = open_domains(plugins, recipe)
    if problems:
        raise DataError("\n".join(problems))
    return parts


def open_domains(plugins: Plugins, recipe: Recipe) -> tuple[list[DomainPart], list[str]]:
    """The domains of a recipe as a run opens them; and a line for each that cannot be opened.

    There is no test set where nothing is scored. The target's training images have labels of use only where an oracle
    is trained on them.

    Raises:
        RecipeError: an option is wrong, or the domains do not fit together.
    """
    wanted = _PARTS if recipe.downstream.score else _PARTS[:2]
    parts: list[DomainPart] = []
    problems: list[str] = []
    made = cache(partial(make_task, plugins, recipe))

    def part(domain: str, split: str, dataset: ImageDataset) -> DomainPart:
        labelled = recipe.downstream.oracle if (domain, split) == ("target", "train") else True
        cropped = split == "train" and recipe.data.resize is None
        learner = None if {*dataset.labels} <= {SEMANTIC.name} else partial(made, len(dataset.classes))
        return DomainPart(domain, split, dataset, labelled, recipe.data.crop_size if cropped else (0, 0), learner)

    try:
        found = open_datasets(plugins, recipe)
    except DataError:
        for domain, split in wanted:
            try:
                parts.append(part(domain, split, make_dataset(plugins, recipe, domain, split)))
            except DataError as error:
                problems.append(f"{domain} {split}: {error}")
        return parts, problems
    opened = (found.source, found.target, found.target_test)
    return [part(*which, dataset) for which, dataset in zip(wanted, opened, strict=False)], problems


def open_dataset(plugins: Plugins, request: Request, split: str) -> DomainPart:
    """One split of the dataset that is asked for.

    Raises:
        RecipeError: an option is wrong.
        PluginError: there is no such dataset.
        DataError: its files are missing.
    """
    name, options = request.what, dict[str, object]()
    for text in request.overrides:
        apply_override(options, text)
    if request.root is not None:
        options["root"] = request.root
    try:
        dataset: ImageDataset = make(find(plugins, "dataset", name), options, name, split=split)
    except DataError as error:
        hint = "" if "root" in options else f"; or write the folder after the name: {name} FOLDER"
        raise DataError(f"{name} {split}: {error}{hint}") from error
    return DomainPart(name, split, dataset, labelled=True)


def no_labels(dataset: ImageDataset, types: Sequence[LabelType] = (SEMANTIC,)) -> str | None:
    """Why the first image comes without its labels of ``types``; None if it has them."""
    for one in types:
        if one.name not in dataset.labels:
            kind = "classes" if one.of_classes else one.name
            return f"the dataset has {' and '.join(dataset.labels) or 'no label'}, and no {kind}"
    try:
        found = dataset[0].as_arrays().labels
    except DataError as error:
        return str(error)
    missing = [one.name for one in types if one.name not in found]
    return f"the dataset gives none of the type '{missing[0]}'" if missing else None
