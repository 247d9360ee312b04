"""The pictures of a run's page: before and after, samples by step, predictions on target images."""

import re
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from daf_report.attempts import Attempts
from daf_report.embedded import class_map, photo
from daframework.adapt.translated_set import open_translated
from daframework.api import Run
from daframework.build import make_task
from daframework.data.checked import Checked
from daframework.data.decode import read_image
from daframework.data.whole import evenly_spread
from daframework.interfaces import Sample, Task
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins
from daframework.runs.context import checked
from daframework.runs.datasets import Datasets, open_datasets
from daframework.storage.results import Results
from daframework.storage.run_folder import RunFolder

PAIRS = 6
OVERLAID = 4
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
        """Its datasets."""
        return open_datasets(self.plugins, self.recipe)

    @cached_property
    def source(self) -> Checked:
        """Its source, resized."""
        return checked(self.recipe, self.datasets.source)

    def task(self, num_classes: int) -> Task:
        """What its rows were trained for."""
        return make_task(self.plugins, self.recipe, num_classes)

    def pairs(self) -> list[dict[str, Any]] | None:
        """Source images with their translations; None where the run has translated nothing."""
        if not self.folder.translated.exists():
            return None
        translated = open_translated(self.folder.translated, self.source)[0]
        found = []
        for place in evenly_spread(min(len(translated), len(self.source)), PAIRS):
            before, after = self.source[place], translated[place]
            found.append(
                {
                    "name": before.name,
                    "before": photo(before.image, f"source image {before.name}"),
                    "after": photo(after.image, f"{before.name} translated by {self.recipe.name}"),
                }
            )
        return found

    def overlays(self, results: Results) -> dict[str, Any]:
        """A few images of the target's test set, with their labels and what the model of each row of ``results``
        predicts; of the training set, and without labels, where nothing was to be scored.
        """
        test, labelled = checked(self.recipe, self.datasets.target_test), self.recipe.downstream.score
        classes, palette = results.classes, self.datasets.target_test.palette
        images, seen = [], set[int]()
        for place in evenly_spread(len(test), OVERLAID):
            sample = test[place] if labelled else test.unlabelled(place)
            maps = self._maps(sample, results)
            seen |= {index for one in maps.values() for index in torch.unique(one).tolist()}
            layers = [
                {"row": row, "picture": class_map(one, palette, f"{sample.name}: classes by {row}")}
                for row, one in maps.items()
            ]
            images.append({"name": sample.name, "photo": photo(sample.image, sample.name), "layers": layers})
        legend = [
            {"name": name, "colour": f"rgb({red} {green} {blue})"}
            for index, (name, (red, green, blue)) in enumerate(zip(classes, palette, strict=True))
            if index in seen
        ]
        return {"images": images, "legend": legend, "labelled": labelled}

    def _maps(self, sample: Sample, results: Results) -> dict[str, Tensor]:
        """Class indices (H, W) by what tells them: the label, and each row's model."""
        maps = {} if sample.label is None else {"truth": sample.label}
        for row in results.rows:
            maps[row.method] = self.run.predict(sample.image, row=row.method)
        return maps


def step_pictures(recipe: Recipe | None, attempts: Attempts, folder: Path) -> dict[str, Any] | None:
    """The grids of samples in ``folder`` by their step, at most 24 of them, and what their columns show."""
    found = {}
    for path in folder.glob("step_*.png"):
        if number := re.fullmatch(r"step_(\d+)", path.stem):
            found[int(number[1])] = path
    steps, pictures, columns = sorted(found), [], None
    for place in evenly_spread(len(steps), _STEPS):
        step = steps[place]
        image = attempts.at(f"samples of step {step}", partial(read_image, found[step]))
        if image is not None:
            columns = _columns(image, recipe)
            alt = f"sample images after step {step}, a row an image; columns: {', '.join(columns)}"
            pictures.append({"step": step, "picture": photo(image, alt, width=1280, most=250_000)})
    return {"pictures": pictures, "columns": columns} if pictures else None


def _columns(grid: Tensor, recipe: Recipe | None) -> list[str]:
    """What the columns of a grid of samples show: told from its white gaps, and from which generators there are."""
    width = grid.shape[2]
    for count in (5, 4, 3):
        one, left = divmod(width - _GAP * (count - 1), count)
        gaps = [grid[:, :, place * (one + _GAP) - _GAP] for place in range(1, count)]
        if not left and all((gap == 255).all() for gap in gaps):
            break
    back = recipe is None or recipe.translation is None or "target_to_source" in recipe.translation.directions
    names = ["source", "translated", *(["translated back"] if count == 5 or (count == 4 and back) else []), "label"]
    return [*names, "the discriminator's segmentation"] if len(names) < count else names
