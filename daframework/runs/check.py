"""Check a recipe before anything is spent: its data, and its networks on the meta device, which computes nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError

from daframework.build import make_task
from daframework.data.checked import check_sample, labels_of
from daframework.data.checks.audit import turned_differently
from daframework.data.checks.sizes import Sizes, survey_sizes
from daframework.data.spaces import label_space
from daframework.errors import DafError, DataError, PluginError, RecipeError, lines, unknown, warn
from daframework.extras import requirements, state
from daframework.interfaces import ImageDataset, LabelType, Task
from daframework.recipes.tables import Recipe
from daframework.registry import Origin, Plugins, components, left_out
from daframework.runs.check_networks import network_problems
from daframework.runs.datasets import Datasets, label_problems, open_datasets, source_types
from daframework.runs.trial import Tell

_SECONDS = 1.0  # for the headers of a set's images: some 10,000 files, where the disk is awake
_NAMED = 3  # files of a set that cannot be read


def check(plugins: Plugins, recipe: Recipe, where: str, tell: Tell = warn) -> list[str]:
    """Build everything the recipe names, and try it at every size that a run has; nothing is computed.

    Return warnings about data that is not there. ``where`` names the recipe. ``tell`` is told in a line what could not
    be looked at.

    Raises:
        RecipeError: with every problem found.
    """
    problems = _listener_problems(plugins, recipe)
    warnings: list[str] = []
    classes: Sequence[str] | None = None
    sizes: Mapping[str, Sizes] = {}
    try:
        datasets = open_datasets(plugins, recipe)
        classes = datasets.source.classes
        task: Task | None = None
        with suppress(DafError):  # that it cannot be built is told where its model is tried
            task = make_task(plugins, recipe, len(classes))
        if task is not None:
            unlike = label_problems(recipe, task.label_type, datasets)
            problems += unlike or _label_problems(recipe, task, datasets, tell)
        sizes = _survey(recipe, datasets)
        problems += _size_problems(recipe, sizes, tell)
    except DataError as error:
        warnings.append(str(error))
    except (RecipeError, PluginError) as error:
        problems += lines(error)
    if classes is None:
        classes = _promised_classes(plugins, recipe)
    # With classes unknown, a number stands in for them, so that everything else is still checked.
    problems += network_problems(plugins, recipe, 2 if classes is None else len(classes), sizes, tell)
    if problems:
        raise RecipeError([f"{where}: {problem}" for problem in problems])
    return warnings


def _listener_problems(plugins: Plugins, recipe: Recipe) -> list[str]:
    listening = plugins.manager.hook.daf_listener.get_hookimpls()
    known = {origin.plugin: origin for origin in (plugins.origins[one.plugin_name] for one in listening)}
    notes = "".join(f"; note: {line}" for line in left_out(plugins))
    problems = list[str]()
    for name in recipe.log.to:
        if name not in known:
            problems.append(f"log.to: {unknown('listener', name, known)}{notes}")
        elif lacking := _lacking(known[name]):
            problems.append(f"log.to: '{name}' lacks its extra: {lacking}")
    return problems


def _lacking(origin: Origin) -> str:
    """What an extra of the plugin's own name asks for and is not there, and how to install it."""
    with suppress(PackageNotFoundError):  # a plugin given in Python
        states = [state(one) for one in requirements(origin.distribution, extra=origin.plugin)]
        if lacking := ", ".join(said for fits, said in states if not fits):
            return f"{lacking}; install it with: pip install '{origin.distribution}[{origin.plugin}]'"
    return ""


def _promised_classes(plugins: Plugins, recipe: Recipe) -> Sequence[str] | None:
    """The classes that the recipe names, or that a dataset's factory knows without any file."""
    if recipe.data.classes is not None:
        with suppress(RecipeError, PluginError):  # reported where the datasets are opened
            return label_space(plugins, recipe.data.classes).classes
    known = components(plugins, "dataset").get(recipe.source.name)
    return None if known is None else getattr(known.factory, "classes", None)


def _label_problems(recipe: Recipe, task: Task, datasets: Datasets, tell: Tell) -> list[str]:
    """What is wrong with the first image and label of each set whose labels are read; others are seen when read.

    ``tell`` is told where EXIF turns that image and not its label.

    Raises:
        DataError: an image or label is not there.
    """
    own = [task.label_type]
    problems = _sample_problems("source", datasets.source, source_types(datasets.source, own[0]), task, tell)
    if recipe.downstream.score:
        problems += _sample_problems("target test", datasets.target_test, own, task, tell)
    if recipe.downstream.oracle:
        try:
            problems += _sample_problems("target", datasets.target, own, task, tell)
        except DataError as error:
            hint = "if the target's training images have no labels, add --set downstream.oracle=false"
            raise DataError(f"{error}; {hint}") from error
    return list(dict.fromkeys(problems))


def _sample_problems(
    title: str, dataset: ImageDataset, types: Sequence[LabelType], task: Task, tell: Tell
) -> list[str]:
    found = dataset.inspect(0, labelled=True)
    if found is not None and found.turned:
        tell(turned_differently(title, [str(dataset.file(0))]))
    if found is not None and found.doubt:
        tell(f"{title}: {found.doubt}")
    if found is not None and found.problems:
        return list(found.problems)
    sample = dataset[0]
    try:
        check_sample(sample, len(dataset.classes), types)
    except DataError as error:
        if len(labels_of(sample, types)) < len(types):
            raise
        return [str(error)]
    label = sample.labelled(task.label_type.name)
    if label is not None and (doubt := task.doubt(label)):
        tell(f"{title}: {sample.name}: {doubt}")
    return []


def _survey(recipe: Recipe, datasets: Datasets) -> dict[str, Sizes]:
    """The sizes of the images of "source", "target" and, if it is scored on, "target test", as networks see them."""
    sets = {"source": datasets.source, "target": datasets.target}
    sets |= {"target test": datasets.target_test} if recipe.downstream.score else {}
    if recipe.data.resize is not None:
        size = (recipe.data.resize[0], recipe.data.resize[1])
        return {name: Sizes(len(dataset), {size: len(dataset)}, {size: "as resized"}) for name, dataset in sets.items()}
    return {name: survey_sizes(dataset, seconds=_SECONDS) for name, dataset in sets.items()}


def _size_problems(recipe: Recipe, sizes: Mapping[str, Sizes], tell: Tell) -> list[str]:
    """The files whose size cannot be read, and that the crop must fit into all that are cropped."""
    crop, problems = recipe.data.crop_size, list[str]()
    for name, found in sizes.items():
        problems += found.unreadable[:_NAMED]
        if len(found.unreadable) > _NAMED:
            problems.append(f"{name}: {len(found.unreadable) - _NAMED} more images cannot be read")
        if found.cut_short:
            seen = f"{found.seen:,} of its {found.total:,} images"
            tell(f"{name}: the sizes of {seen} were looked at; daf data check looks at all")
        small = [size for size in found.counts if size[0] < crop[0] or size[1] < crop[1]]
        if small and name != "target test":
            count = sum(found.counts[size] for size in small)
            which = "the" if len(small) == len(found.counts) else f"{count:,} of the {found.seen:,}"
            larger = "data.crop_size: {} x {} (height x width) is larger than".format(*crop)
            example = "{} x {} ({})".format(*small[0], found.examples[small[0]])
            problems.append(f"{larger} {which} images of {name}, {example}; lower it, or set data.resize")
    return problems
