"""The datasets of a recipe, their labels read in one label space."""

from attrs import frozen

from daframework.build import make_dataset
from daframework.data.spaces import Mapped, class_table, label_space, label_spaces
from daframework.dataset_interface import ImageDataset
from daframework.errors import DataError, RecipeError, collected
from daframework.label_types import SEMANTIC, LabelType
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins


@frozen(eq=False)
class Datasets:
    """The labelled source, the target to adapt to, and the target's test set to score on, if anything is scored."""

    source: ImageDataset
    target: ImageDataset
    target_test: ImageDataset


def open_datasets(plugins: Plugins, recipe: Recipe) -> Datasets:
    """The recipe's datasets, with the classes of ``data.classes`` where it names a label space.

    Raises:
        RecipeError: their options are wrong, their classes differ, or one has no place in the label space.
        DataError: files are missing, or there is no image.
    """
    parts = (("source", "train"), ("target", "train"), ("target", "test"))[: 2 + recipe.downstream.score]
    opened = [make_dataset(plugins, recipe, domain, split) for domain, split in parts]
    for (domain, _), dataset in zip(parts, opened, strict=True):
        if len(dataset) == 0:
            raise DataError(f"{domain}: the dataset '{getattr(recipe, domain).name}' holds no image")
    if not recipe.downstream.score:  # there need be no test set, and the training images stand in for it
        opened.append(opened[-1])
    if recipe.data.classes is not None:
        return Datasets(*_in_one_space(plugins, recipe, recipe.data.classes, opened))
    for domain in ("source", "target"):
        if getattr(recipe.data, f"{domain}_map"):
            raise RecipeError(f"data.{domain}_map: says what classes become, but data.classes names no label space")
    source, target, target_test = opened
    if SEMANTIC.name in target.labels and tuple(source.classes) != tuple(target.classes):
        rule = "source and target must have the same classes in the same order"
        got = f"[{', '.join(source.classes)}] and [{', '.join(target.classes)}]"
        raise RecipeError(f"{rule}, got {got}; name a label space for both in data.classes")
    return Datasets(source, target, target_test)


def source_types(dataset: ImageDataset, learned: LabelType) -> list[LabelType]:
    """The labels that a run wants of its source: classes, which the translation may go by, and what the task learns."""
    return [SEMANTIC, learned] if SEMANTIC.name in dataset.labels and not learned.of_classes else [learned]


def label_problems(recipe: Recipe, learned: LabelType, datasets: Datasets) -> list[str]:
    """What is wrong between the label that the task learns, those that the datasets have, and the recipe's keys."""
    own, problems = learned.name, []
    parts = {"source": datasets.source}
    parts |= {"target": datasets.target} if recipe.downstream.oracle else {}
    parts |= {"target test": datasets.target_test} if recipe.downstream.score else {}
    for title, dataset in parts.items():
        if own not in dataset.labels:
            has, table = ", ".join(dataset.labels) or "none", title.split()[0]
            problem = f"task '{recipe.task.name}' learns the label '{own}', which {title} does not have; it has {has}"
            problems.append(f"{problem}: say in [{table}] where its labels are")
    if not learned.of_classes:
        downstream, originals = recipe.downstream, recipe.translation and recipe.translation.originals
        of_classes = {
            "data.matched_crops": recipe.data.matched_crops,
            "downstream.class_balance": downstream.class_balance,
            "downstream.self_training": downstream.self_training is not None,
        }
        augments = {
            "downstream.augment": downstream.augment,
            "translation.originals.augment": originals and originals.augment,
            "augment": recipe.augment,
        }
        of_classes |= {f"{key}.class_colors": table.class_colors for key, table in augments.items() if table}
        problems += [
            f"{key}: is for a task of classes, and '{recipe.task.name}' learns {own}; leave it out"
            for key, asked in of_classes.items()
            if asked
        ]
    if recipe.data.rare_class_temperature and SEMANTIC.name not in datasets.source.labels:
        problems.append("data.rare_class_temperature: goes by classes, and the source has none; leave it out")
    return problems


def _in_one_space(plugins: Plugins, recipe: Recipe, name: str, opened: list[ImageDataset]) -> list[ImageDataset]:
    space, known = label_space(plugins, name), label_spaces(plugins)
    tables, problems = [], list[str]()
    for domain, dataset in zip(("source", "target"), opened[:2], strict=True):
        own = getattr(recipe.data, f"{domain}_map")
        with collected(problems):
            tables.append(class_table(dataset.classes, space, known, own, f"data.{domain}_map"))
    if problems:
        raise RecipeError(problems)
    # The target's need not be complete: a class that never occurs there is left out of the mean.
    if unfilled := [one for one in space.classes if one not in tables[0].values()]:
        lost = f"no class of the source becomes {', '.join(unfilled)} of '{space.name}', which would never be learned"
        remedy = "use a label space that the source fills, or a file of your own with the classes it has"
        raise RecipeError(f"data.classes: {lost}; {remedy}")
    as_it_is = {name: name for name in space.classes}
    return [
        dataset if tuple(dataset.classes) == space.classes and table == as_it_is else Mapped(dataset, space, table)
        for dataset, table in zip(opened, (tables[0], tables[1], tables[1]), strict=True)
    ]
