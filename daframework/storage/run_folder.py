"""A run's folder: where each stage leaves its files, and whose run it is."""

import tomllib
from pathlib import Path

import attrs
import tomli_w

from daframework.errors import RecipeError, RunError, one_line
from daframework.fingerprint import digest
from daframework.recipes.read import differing, dump, flat, parse, without_gone
from daframework.recipes.tables import HardwareTable, LogTable, Recipe
from daframework.storage.files import write_text
from daframework.storage.lock import HOLDER, LOCK
from daframework.text_file import read_text

_DIGEST = "# digest "


class _Part:
    """A file or folder of a run, by the name it has there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: "RunFolder", owner: type) -> Path:
        return folder.path / self._name


@attrs.frozen
class RunFolder:
    """The files of a run, by what they hold."""

    path: Path
    recipe = _Part("recipe.toml")
    """The recipe as run, defaults written out."""
    environment = _Part("environment.json")
    """Versions, commit and machine, as JSON."""
    log = _Part("log.jsonl")
    """A JSON line for every time a stage logged."""
    progress = _Part(".progress.json")
    """The stage that goes on, as a line of the log with its ``total`` steps; gone when the run ends."""
    seconds = _Part("seconds.json")
    """Seconds spent in each stage so far, over all sessions."""
    matched_crops = _Part("matched_crops.pt")
    """Pairs of source and target crops with similar layouts, where the translation is trained on such."""
    samples = _Part("samples")
    """Grids of sample images."""
    translated = _Part("translated")
    """The translated set."""
    results = _Part("results.json")
    """What came out."""
    report = _Part("report.html")
    """A page of all this, where a plugin writes one; in a bench's folder too."""

    def sample(self, step: int) -> Path:
        """The grid of sample images that was drawn after ``step``."""
        return self.samples / f"step_{step:06d}.png"

    def sampled_steps(self) -> list[int]:
        """The steps after which there is such a grid, rising."""
        found = (path.stem.removeprefix("step_") for path in self.samples.glob("step_*.png"))
        return sorted(int(step) for step in found if step.isdecimal())

    def class_counts(self, domain: str) -> Path:
        """Pixels of each class in each image of a domain, where crops are drawn by class."""
        return self.path / "class_counts" / f"{domain}.pt"

    def checkpoint(self, name: str) -> Path:
        """The checkpoint of the translation, or of a row's task model."""
        return self.path / "checkpoints" / f"{name}.pt"

    def scores(self, name: str) -> Path:
        """A row's scores."""
        return self.path / "scores" / f"{name}.json"

    def statistics(self, name: str) -> Path:
        """What a row's scores were computed from, for each image."""
        return self.path / "scores" / f"{name}.pt"


class SideFolder(RunFolder):
    """A run's folder for a process that trains rows beside the run's own: what both would write lies apart."""

    log = _Part(".beside/log.jsonl")
    seconds = _Part(".beside/seconds.json")


def open_folder(path: Path, recipe: Recipe) -> RunFolder:
    """The folder of a run of ``recipe``: a new one, or one in which the same recipe was run before.

    Call it inside `daframework.storage.lock.held`, or another process may write its own recipe there in the meantime.

    Raises:
        RunError: it belongs to another recipe, holds other files, or cannot be written.
    """
    folder = find_folder(path, recipe)
    if not folder.recipe.exists() or read_recipe(folder) != recipe:  # which says also where and how the run goes on
        write_text(folder.recipe, recipe_text(recipe))
    return folder


def find_folder(path: Path, recipe: Recipe) -> RunFolder:
    """The folder at ``path``, which may not be there yet, if a run of ``recipe`` may use it; nothing is written.

    Raises:
        RunError: it belongs to another recipe, or holds other files.
    """
    folder = RunFolder(path)
    if folder.recipe.exists():
        changed = difference_in(folder, recipe)
        if changed is not None:
            raise RunError(f"{path} holds a run of another recipe ({changed}); give another with --out, or delete it")
        return folder
    if holds_other_files(path):
        raise RunError(f"{path} is not empty and holds no run; give another folder with --out")
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; give a folder with --out")
    return folder


def holds_other_files(path: Path) -> bool:
    """Whether ``path`` is a folder with more in it than a run leaves that was killed before it began."""
    begun = {LOCK, HOLDER, f".{HOLDER}.partial", f".{RunFolder(path).recipe.name}.partial"}
    return path.is_dir() and any(inside.name not in begun for inside in path.iterdir())


def recipe_text(recipe: Recipe) -> str:
    """``recipe`` as TOML with its defaults written out, behind a line that tells whether it was changed since."""
    text = tomli_w.dumps(dump(recipe))
    return f"{_DIGEST}{digest(text)}\n{text}"


def is_as_written(text: str) -> bool:
    """Whether ``text`` is what `recipe_text` gave."""
    first, _, rest = text.partition("\n")
    return first == _DIGEST + digest(rest)


def read_recipe(folder: RunFolder, *, as_written: bool = False) -> Recipe:
    """The recipe that was run in ``folder``; ``as_written`` refuses a changed one: where there is none to compare.

    Raises:
        RunError: the folder holds no run, or its recipe is damaged.
    """
    try:
        text = read_text(folder.recipe)
        if as_written and text.startswith(_DIGEST) and not is_as_written(text):
            raise ValueError("its content is not what was written")
        return parse(without_gone(tomllib.loads(text)), str(folder.recipe))
    except OSError as error:
        raise RunError(f"{folder.path} holds no run: {folder.recipe.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError, RecipeError) as error:
        raise RunError(f"{folder.recipe} is damaged: {one_line(error)}") from error


def _identity(recipe: Recipe) -> Recipe:
    """The recipe without what may differ when a run goes on: when to log, where to compute, whether to cache; and
    without the translation's batch size where nothing is translated.
    """
    hardware, data = HardwareTable(precision=recipe.hardware.precision), attrs.evolve(recipe.data, cache=False)
    if recipe.generator is None:
        data = attrs.evolve(data, batch_size=1)
    return attrs.evolve(recipe, log=LogTable(), hardware=hardware, data=data)


def difference_in(folder: RunFolder, recipe: Recipe) -> str | None:
    """`difference` of the run in ``folder`` to ``recipe``, whose precision may be another while results are wanting.

    Raises:
        RunError: as `read_recipe`.
    """
    was = read_recipe(folder)
    if not folder.results.exists():
        # Where a host computes the one it began in slowly, the rest may be computed in another; results.json says so.
        was = attrs.evolve(was, hardware=recipe.hardware)
    return difference(was, recipe)


def difference(was: Recipe, now: Recipe) -> str | None:
    """The first key in which two recipes give different runs, as ``key was 1, now 2``; None where they do not."""
    if _identity(was) == _identity(now):
        return None
    found = differing(flat(dump(_identity(was))), flat(dump(_identity(now))))
    if not found:
        return "the order of its losses"
    key = min(found)
    return "{} was {}, now {}".format(key, *found[key])
