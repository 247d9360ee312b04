"""The pictures of a run's page: before and after, samples by step, predictions on target images."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import attrs
import torch
from torch import Tensor

from daf_report.attempts import Attempts
from daf_report.embedded import Picture, class_map, photo
from daframework.adapt.translated_set import open_translated
from daframework.api import Run
from daframework.build import make_task
from daframework.data.checked import Checked
from daframework.data.decode import read_image
from daframework.data.spread import evenly_spread
from daframework.dataset_interface import Array
from daframework.errors import DataError
from daframework.interfaces import SEMANTIC, LabelType, Sample, Task
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.context import checked
from daframework.runs.datasets import Datasets, open_datasets
from daframework.storage.run_folder import RunFolder

PAIRS = 6
OVERLAID = 4
_LAID = 2_500_000  # bytes of all class maps that are laid over target images
_STEPS = 24  # pictures of samples
_GAP = 2  # white pixels between the pictures of a grid of samples


@attrs.define(eq=False, slots=False)
class RunImages:
    """Opens the datasets and models of the run of ``recipe`` in ``folder``, each when it is asked for."""

    folder: RunFolder
    plugins: Plugins
    recipe: Recipe

    @cached_property
    def run(self) -> Run:
        """The run, as a script opens it."""
        return Run(self.folder, self.plugins, self.recipe)

    @cached_property
    def datasets(self) -> Datasets:
        """Its datasets.

        Raises:
            DataError: as `open_datasets` does; a page is made by commands that take no recipe's key.
        """
        try:
            return open_datasets(self.plugins, self.recipe)
        except DataError as error:
            if os.environ.get("DAF_DATA"):
                raise
            what = str(error).partition(";")[0]
            raise DataError(f"{what}; set the environment variable DAF_DATA to the folder that holds them") from error

    @cached_property
    def source(self) -> Checked:
        """Its source, resized, with its classes where it has them."""
        return checked(self.recipe, self.datasets.source)

    def task(self, num_classes: int) -> Task:
        """What its rows were trained for."""
        return make_task(self.plugins, self.recipe, num_classes)

    def pairs(self, attempts: Attempts) -> list[dict[str, Any]] | None:
        """Source images with their translations; None where the run has translated nothing."""
        if not self.folder.translated.exists():
            return None
        source = attempts.at("the datasets", lambda: self.source)
        if source is None:
            return None
        translated = open_translated(self.folder.translated, source)[0]
        found = []
        for place in evenly_spread(min(len(translated), len(source)), PAIRS):
            before = source[place]
            alt = f"{before.name} translated by {self.recipe.name}"
            after = attempts.at(alt, partial(translated.__getitem__, place))
            if after is not None:
                told = {"before": photo(before.image, f"source image {before.name}"), "after": photo(after.image, alt)}
                found.append({"name": before.name} | told)
        return found

    def overlays(
        self, classes: Sequence[str], rows: Iterable[tuple[str, Run]], attempts: Attempts
    ) -> dict[str, Any] | None:
        """A few images of the target's test set, with their labels and what the model of each of ``rows`` predicts, a
        name and the run that holds it; of the training set, and without labels, where nothing was to be scored. None
        where nothing is known of them. Those of classes are to be ``laid`` over the images.
        """
        datasets = attempts.at("the datasets", lambda: self.datasets)
        if datasets is None:
            return None
        task = attempts.at("the task", partial(self.task, len(classes)))
        shown: LabelType = SEMANTIC if task is None else task.label_type
        test, labelled = checked(self.recipe, datasets.target_test, [shown]), self.recipe.downstream.score
        palette = datasets.target_test.palette
        places = evenly_spread(len(test), OVERLAID)
        samples = [test[place] if labelled else test.unlabelled(place) for place in places]
        labels = [label for sample in samples if (label := sample.labelled(shown.name)) is not None]
        maps = {"truth": labels} if len(labels) == len(samples) else {}
        for name, run in rows:  # row by row: the models of one at a time are in memory
            predicted = attempts.at(f"predictions on target images by {name}", partial(_predicted, run, name, samples))
            if predicted is not None:
                maps[name] = predicted
        if not maps:
            return None
        most = min(60_000, _LAID // (len(maps) * len(samples)))
        images = []
        for place, sample in enumerate(samples):
            own = {row: found[place] for row, found in maps.items()}
            layers = _drawn(shown, own, palette, sample.name, most)
            images.append({"name": sample.name, "photo": photo(sample.image, sample.name), "layers": layers})
        legend = [{"name": name, "colour": _css(colour)} for name, colour in shown.key()]
        if shown.of_classes:
            legend = class_legend(classes, palette, [one for found in maps.values() for one in found])
        return {"images": images, "legend": legend, "laid": shown.of_classes, "labelled": labelled}


def class_legend(
    classes: Sequence[str], palette: Sequence[tuple[int, int, int]], maps: Iterable[Tensor]
) -> list[dict[str, str]]:
    """The name and colour of each class that occurs in ``maps``, each (H, W)."""
    # torch.unique would sort all pixels, which takes a second of a large image.
    seen = {index for one in maps for index in one.flatten().int().bincount().nonzero().flatten().tolist()}
    return [
        {"name": name, "colour": _css(colour)}
        for index, (name, colour) in enumerate(zip(classes, palette, strict=True))
        if index in seen
    ]


def _css(colour: tuple[int, int, int]) -> str:
    return "rgb({} {} {})".format(*colour)


def _drawn(
    shown: LabelType, labels: Mapping[str, Tensor], palette: Sequence[tuple[int, int, int]], image: str, most: int
) -> dict[str, Picture]:
    """The labels that each row gives an image, as pictures.

    Those that are no classes are drawn together: where colours go by the values, they mean the same in all.
    """
    alts = {row: f"{image} as {row} has it" for row in labels}
    if shown.of_classes:
        return {row: class_map(label, palette, alts[row], most=most) for row, label in labels.items()}
    pictures = shown.render(torch.stack(list(labels.values())), palette)
    return {row: photo(picture, alts[row], most=most) for row, picture in zip(labels, pictures, strict=True)}


def _predicted(run: Run, row: str, samples: Sequence[Sample]) -> list[Tensor]:
    """The label of each sample, by the model of ``row``."""
    return [run.predict(sample.image, row=row) for sample in samples]


def step_pictures(recipe: Recipe | None, attempts: Attempts, folder: RunFolder) -> dict[str, Any] | None:
    """The grids of samples in ``folder`` by their step, at most 24 of them, and what their columns show."""
    steps, pictures, columns = folder.sampled_steps(), [], None
    for place in evenly_spread(len(steps), _STEPS):
        step = steps[place]
        image = attempts.at(f"samples of step {step}", partial(read_image, folder.sample(step)))
        if image is not None:
            columns = _columns(image, recipe)
            alt = f"sample images after step {step}, a row an image; columns: {', '.join(columns)}"
            pictures.append({"step": step, "picture": photo(image, alt, width=1280, most=250_000)})
    return {"pictures": pictures, "columns": columns} if pictures else None


def _columns(grid: Array, recipe: Recipe | None) -> list[str]:
    """What the columns of a grid of samples show: told from its white gaps, and from which generators there are."""
    width = grid.shape[2]
    for count in (5, 4, 3, 2):
        one, left = divmod(width - _GAP * (count - 1), count)
        gaps = [grid[:, :, place * (one + _GAP) - _GAP] for place in range(1, count)]
        if not left and all((gap == 255).all() for gap in gaps):
            break
    table = None if recipe is None else recipe.translation
    back = "target_to_source" in table.directions if table is not None else count > 3
    label = count > 3 or (count == 3 and not back)  # which images without classes have not
    names = ["source", "translated"]
    names += ["translated back"] if count == 5 or (count > 2 and back) else []
    names += ["label"] if label else []
    return [*names, "the discriminator's segmentation"] if len(names) < count else names
