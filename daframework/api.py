"""The door for scripts and notebooks: ``import daframework as daf``; docs/python.md shows it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from daframework.adapt.translate import in_precision, translate_folder
from daframework.build import make_task
from daframework.compute.device import SINGLE, make_fabric
from daframework.compute.randomness import start_global
from daframework.compute.session import Session
from daframework.data.conversion.outputs import raise_it
from daframework.data.pictures import to_network
from daframework.data.scaling import scaling_of
from daframework.data.stream import to_bytes
from daframework.data.whole import apply_padded, weights_dtype
from daframework.downstream.predict import predict_folder, predicted
from daframework.errors import DataError, warn
from daframework.interfaces import Generator, Task
from daframework.listener import Listener
from daframework.recipes.read import locate, read
from daframework.recipes.tables import Recipe
from daframework.registry import Plugins, load_plugins
from daframework.runs import check as checks
from daframework.runs.begin import begin
from daframework.runs.precision import open_device
from daframework.runs.prediction import class_colours, load_models, what_is_written
from daframework.runs.translation import load_generator
from daframework.storage.results import Results, read_results
from daframework.storage.run_folder import RunFolder, read_recipe
from daframework.suites.bench import compare, finish, open_suite
from daframework.suites.outcome import Bench as Bench

_NOBODY = Listener()


def recipe(name_or_path: str | Path, **overrides: Any) -> Recipe:
    """The recipe in a file, or the one that a plugin offers under this name, with keys set anew.

    ``recipe("semantic_cyclegan", seed=1, translation={"steps": 1000}, losses={"lsgan": {"weight": 2.0}})``: a table
    sets the keys it holds and leaves the others.

    Raises:
        RecipeError: with everything that is wrong with it.
    """
    return read(locate(load_plugins(warn=warn), str(name_or_path)), overrides)


def check(recipe: Recipe) -> list[str]:
    """Check a recipe without computing anything, as ``daf check`` does; a line for what data is not there.

    Raises:
        RecipeError: with every problem found.
    """
    return checks.check(load_plugins(warn=warn), recipe, recipe.name)


def run(recipe: Recipe, out: str | Path | None = None, *, listeners: Iterable[Listener] = ()) -> "Run":
    """Run a recipe as ``daf run`` does, in this process; what is there already of the same recipe is not done again.

    The folder is ``runs/<name>/seed<seed>`` unless ``out`` is given. Ctrl-C leaves what was saved: the same call goes
    on from there.

    Raises:
        DafError: something that can be mended stopped it.
    """
    plugins = load_plugins(warn=warn)
    folder, _ = begin(plugins, recipe, recipe.name, None if out is None else Path(out), lambda *_: listeners)
    return Run(folder, plugins, recipe)


def bench(
    suite: str | Path,
    out: str | Path | None = None,
    *,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
    set: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    on: str | None = None,
) -> Bench:
    """Run what is missing of a suite as ``daf bench`` does, each run in a process of its own, and compare all of it.

    The suite is a file, or one that a plugin offers; its folder is ``bench/<name>`` unless ``out`` is given. ``seeds``
    take the place of the suite's, ``only`` names the methods beside source_only and oracle, ``set`` sets keys of the
    suite anew, ``jobs`` runs go on at a time, and ``on="ray"`` runs them on a cluster.

    Raises:
        DafError: a recipe is wrong, data is missing, the folder is in use, or no run could be finished.
    """
    plugins = load_plugins(warn=warn)
    folder = None if out is None else Path(out)
    plan = open_suite(plugins, str(suite), out=folder, seeds=seeds, only=only, overrides=set or {})
    return compare(plugins, plan, finish(plugins, plan, jobs=jobs, on=on))


def open(folder: str | Path, *, device: str | None = None) -> "Run":
    """The run in a folder, finished or not, to look at and to use; nothing in it is changed.

    ``device`` is "cpu", "cuda" or "mps", and the recipe's unless given.

    Raises:
        RunError: the folder holds no run, or its recipe was changed.
    """
    found = RunFolder(Path(folder))
    loaded = read_recipe(found, as_written=True)
    if device is not None:
        hardware: Any = loaded.hardware
        loaded = attrs.evolve(loaded, hardware=attrs.evolve(hardware, accelerator=device))
    return Run(found, load_plugins(warn=warn), loaded)


class Run:
    """A run: its ``folder``, its ``recipe``, what came out, and its trained networks."""

    def __init__(self, folder: RunFolder, plugins: Plugins, recipe: Recipe) -> None:
        """See `run` and `open`."""
        self.folder, self.recipe = folder.path, recipe
        self._folder, self._plugins = folder, plugins
        self._models: dict[str | None, nn.Module] = {}

    @property
    def results(self) -> Results:
        """What came out; ``results.table()`` gives plain rows, as pandas takes them.

        Raises:
            RunError: the run is not finished.
        """
        return read_results(self._folder.results)

    @cached_property  # the dataset, which knows it, lists all of its files to be opened
    def palette(self) -> list[tuple[int, ...]]:
        """An RGB colour (0 to 255) for each of ``results.classes``: of their dataset or label space, or far apart."""
        return class_colours(self._plugins, self.recipe, self.results.classes)

    def generator(self) -> Generator:
        """The trained generator from source to target, in eval mode: (N, 3, H, W) in [-1, 1] -> the same.

        Height and width must be multiples of its ``multiple`` and at least ``smallest``; `translate` takes any size.

        Raises:
            RunError: the run has none, or not yet.
        """
        return self._generator

    def model(self, row: str | None = None) -> nn.Module:
        """The task model of a row, the recipe's own unless given, in eval mode: (N, 3, H, W) in [-1, 1] -> logits.

        Raises:
            RunError: there is no such row, or it is not finished.
        """
        if row not in self._models:  # read once, as a script may predict image by image
            self._models[row] = load_models(self._session, self.task, self.recipe, self._folder, row)
        return self._models[row]

    @cached_property
    def task(self) -> Task:
        """The recipe's task; the sizes of a finished run's models' input are its ``multiple`` and ``smallest``."""
        return make_task(self._plugins, self.recipe, len(self.results.classes))

    @torch.no_grad()
    def translate(self, images: Any) -> Any:
        """Images as the target would show them, of any size, each of the kind it was given as; a list gives a list.

        PIL images, numpy arrays (H, W, 3) or (N, H, W, 3) of uint8 or of floats in [0, 1], and tensors (3, H, W) or
        (N, 3, H, W) of uint8 or of floats in [-1, 1]. What the generator draws follows from the recipe's seed.

        Raises:
            DataError: it is no such image.
            RunError: the run has no generator, or not yet.
        """
        if isinstance(images, list | tuple):
            return [self.translate(one) for one in images]
        shown, back = to_network(images)
        generator, session = self._generator, self._in_its_precision
        device = session.fabric.device
        shown = shown.to(device, weights_dtype(generator))
        start_global(device, self.recipe.seed, "translating")
        with in_precision(session, generator):
            return back(apply_padded(generator, shown, generator.multiple, generator.smallest).float())

    def translate_folder(
        self,
        images: str | Path,
        out: str | Path,
        *,
        overwrite: bool = False,
        tile: tuple[int, int] | None = None,
        listener: Listener = _NOBODY,
        stopping: Callable[[], bool] = lambda: False,
        failed: Callable[[DataError], None] = raise_it,
    ) -> int:
        """Translate every image below a folder into another, as ``daf translate`` does; how many there are.

        Names and sub-folders are kept. With ``tile`` larger images go through the generator in blended tiles of that
        height and width. What is wrong with an image that cannot be read is raised, or handed to ``failed``.

        Raises:
            DataError: an image cannot be read, or a file not be written; a file that is there is kept.
            RunError: the run has no generator, or not yet.
            StoppedError: ``stopping``, asked between images, said so.
        """
        return translate_folder(
            attrs.evolve(self._in_its_precision, log=listener, stopping=stopping),
            self._generator,
            Path(images),
            Path(out),
            overwrite=overwrite,
            seed=self.recipe.seed,
            tile=tile,
            scaling=scaling_of(self.recipe.source.options),
            failed=failed,
        )

    def predict_folder(
        self,
        images: str | Path,
        out: str | Path,
        *,
        row: str | None = None,
        write: str = "index",
        overwrite: bool = False,
        listener: Listener = _NOBODY,
        stopping: Callable[[], bool] = lambda: False,
        failed: Callable[[DataError], None] = raise_it,
    ) -> int:
        """Predict every image below a folder into files below another, as ``daf predict`` does; how many there are.

        They hold the "index" of the class, the "id" or the "colour" that the label space gives it, as ``write`` says;
        for a task of other labels their numbers (.npy) or a picture of them. The rest is as in `translate_folder`.

        Raises:
            DataError: an image cannot be read, or a file not be written; a file that is there is kept.
            RunError: there is no such row, it is not finished, or its classes have no such ids or colours.
            StoppedError: ``stopping``, asked between images, said so.
        """
        return predict_folder(
            attrs.evolve(self._session, log=listener, stopping=stopping),
            self.task,
            self.model(row),
            Path(images),
            Path(out),
            written=what_is_written(self._plugins, self.recipe, self._folder, self.task, write),
            resize=self.recipe.data.resize,
            overwrite=overwrite,
            scaling=scaling_of(self.recipe.target.options),
            failed=failed,
        )

    def predict(self, images: Any, row: str | None = None) -> Any:
        """The task's label of images as `translate` takes them, on the CPU: of classes (H, W) or (N, H, W) int64.

        ``row`` says whose model, the recipe's own unless given; ``results.classes`` names the classes.

        Raises:
            DataError: it is no such image.
            RunError: there is no such row, or it is not finished.
        """
        model, task, resize = self.model(row), self.task, self.recipe.data.resize

        def one(picture: Any) -> Any:
            if isinstance(picture, list | tuple):
                return [one(inner) for inner in picture]
            shown = to_bytes(to_network(picture)[0]).to(self._session.fabric.device)
            found = [predicted(task, model, image, resize=resize).cpu() for image in shown]
            return torch.stack(found) if getattr(picture, "ndim", 3) == 4 else found[0]

        return one(images)

    def __repr__(self) -> str:
        return f"<Run of {self.recipe.name}, seed {self.recipe.seed}, in {self.folder}>"

    @cached_property
    def _session(self) -> Session:
        return Session(make_fabric(self.recipe, SINGLE), _NOBODY)

    @cached_property
    def _in_its_precision(self) -> Session:
        """That of the generator: of translation, on this device, which need not be the one that trained it."""
        return Session(open_device(self._plugins, self.recipe)[0], _NOBODY)

    @cached_property
    def _generator(self) -> Generator:
        return load_generator(self._in_its_precision, self._plugins, self.recipe, self._folder)
