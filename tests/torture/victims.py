"""The files that are damaged, small and of every kind, the commands that read them, and what these must leave."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import attrs
import numpy as np
import tomli_w
import torch
from command import Ended, in_fork, run_daf
from conftest import TABLES, Recorder, cpu
from image_files import picture, write, write_palette
from tiny_suite import finish

from daframework.compute.session import Session
from daframework.errors import StoppedError
from daframework.recipes.read import read
from daframework.recipes.tables import Recipe
from daframework.registry import load_plugins
from daframework.runs.stages import execute
from daframework.storage import checkpoint
from daframework.storage.run_folder import open_folder
from daframework.suites.plan import make_plan
from daframework.suites.suite import read_suite

SPACE = {"classes": [{"name": one, "colour": [90 * place, 0, 0], "id": place} for place, one in enumerate("abc")]}
IDS = {"0": "a", "1": "b", "2": "c", "255": "ignore"}


@attrs.frozen(eq=False)
class Subject:
    """A command, the files that it reads, by pattern, and what it must leave for as long as they are sound.

    ``users`` marks files that a user made; all others are a run's own. ``may_lack`` says that any may be missing, and
    ``tells`` what is said where a result is left out.
    """

    name: str
    arguments: Sequence[str]
    victims: Sequence[str]
    outcome: Callable[[Path, Ended], object]
    users: bool = False
    may_lack: bool = False
    tells: Sequence[str] = ()


# --- what a command leaves ---


def printed(work: Path, ended: Ended) -> object:
    return ended.out


def written(folder: str) -> Callable[[Path, Ended], object]:
    """Every file below a folder, byte by byte."""

    def outcome(work: Path, ended: Ended) -> object:
        return {path.name: path.read_bytes() for path in sorted((work / folder).rglob("*")) if path.is_file()}

    return outcome


def of_run(folder: str) -> Callable[[Path, Ended], object]:
    """The results of a run, its translated images, and the weights of its own task model."""

    def outcome(work: Path, ended: Ended) -> object:
        run = work / folder
        content = json.loads((run / "results.json").read_text(encoding="utf-8"))
        kept = {key: content[key] for key in ("recipe", "seed", "classes", "images", "rows")}
        state = checkpoint.load(run / "checkpoints/tiny.pt", torch.device("cpu"))
        weights = None if state is None else {key: str(value) for key, value in state.items()}
        return kept, {path.name: path.read_bytes() for path in sorted((run / "translated").rglob("*.png"))}, weights

    return outcome


def of_suite(work: Path, ended: Ended) -> object:
    tables = json.loads((work / "suite/bench/table.json").read_text(encoding="utf-8"))["tables"]
    for table in tables:
        for row in table["rows"]:
            row["notes"] = None
    return tables


def nothing(work: Path, ended: Ended) -> object:
    return None


OWN = ["--set", 'classes=["a","b","c"]', "--set", 'ids={0="a",1="b",2="c",255="ignore"}']
LAYOUTS: dict[str, list[str]] = {"gta5": [], "cityscapes": [], "camvid": [], "image_folder": OWN}
RUN = ["finished/results.json", "finished/recipe.toml", "finished/checkpoints/*.pt"]
PREDICT = ["predict", "finished", "data/target/test/images", "new"]
TRANSLATE = ["translate", "finished", "data/source/images", "new"]
CACHED = ["run", "tiny.toml", "--out", "new", "--set", "data.cache=true"]
COLLECT = ["bench", "suite/suite.toml", "--collect", "--out", "suite/bench"]
CELLS = [f"suite/bench/**/{name}" for name in ("results.json", "scores/*", "recipe.toml", "seconds.json")]
LEFT_OUT = ("results.json is damaged", "stale and left out", ": to run", "holds other files", ": to go on with")
SUBJECTS = (
    *(
        Subject(
            f"layout {name}",
            ["data", "check", name, f"layouts/{name}", "--workers", "0", *options],
            [f"layouts/{name}/**/*.*"],
            nothing,
            users=True,
        )
        for name, options in LAYOUTS.items()
    ),
    Subject("recipe", ["check", "tiny.toml"], ["tiny.toml", "space.toml"], nothing, users=True),
    Subject("suite", COLLECT, ["suite/*.toml"], nothing, users=True),
    Subject("data of a run", ["run", "tiny.toml", "--out", "new"], ["data/**/*.*"], nothing, users=True),
    Subject("data to predict", PREDICT, ["data/target/test/images/*"], nothing, users=True, may_lack=True),
    Subject("runs of a suite", COLLECT, CELLS, of_suite, tells=LEFT_OUT),
    Subject("report", ["report", "finished"], ["finished/results.json"], printed),
    Subject("predict", PREDICT, RUN, written("new")),
    Subject("translate", TRANSLATE, RUN, written("new")),
    Subject("stopped run", ["run", "tiny.toml", "--out", "stopped"], ["stopped/**/*.*"], of_run("stopped")),
    Subject("half a run", ["run", "tiny.toml", "--out", "half"], ["half/**/*.*"], of_run("half")),
    Subject("cache", CACHED, ["cache/**/*.*"], of_run("new")),
)


# --- the set ---


def prepare(work: Path) -> None:
    """Data in several layouts, a recipe, a finished run, a stopped one and one with a translated set, cache, suite."""
    for place, (name, ending) in enumerate((("source", "png"), ("target/train", "jpg"), ("target/test", "bmp"))):
        _pairs(work / "data" / name / "images", work / "data" / name / "labels", ending, place)
    _layouts(work / "layouts")
    (work / "space.toml").write_text(tomli_w.dumps(SPACE), encoding="utf-8")
    domain = {"name": "image_folder", "classes": ["a", "b", "c"], "ids": IDS}
    tables = TABLES | {
        "source": domain | {"root": str(work / "data/source")},
        "target": domain | {"root": str(work / "data/target"), "train_folder": "train", "test_folder": "test"},
        "data": TABLES["data"] | {"classes": str(work / "space.toml"), "resize": [16, 24]},
    }
    recipe = work / "tiny.toml"
    recipe.write_text(tomli_w.dumps(tables), encoding="utf-8")
    sound(run_daf(work, ["run", "tiny.toml", "--out", "finished"]))
    sound(run_daf(work, ["run", "tiny.toml", "--out", "new", "--set", "data.cache=true"]))
    shutil.rmtree(work / "new")
    for name in ("half", "stopped"):
        shutil.copytree(work / "finished", work / name)
        for kind in ("results.json", "scores/tiny.*", "scores/semantic_preservation.*", "checkpoints/tiny.pt"):
            for path in (work / name).glob(kind):
                path.unlink()
    _stop(work, read(recipe))
    _suite(work / "suite", tables)


def sound(ended: Ended) -> None:
    if ended.code != 0:
        raise SystemExit(f"the undamaged set fails: {ended.errors}")


def _pairs(images: Path, labels: Path, ending: str, seed: int, names: Sequence[str] = "123") -> None:
    for place, name in enumerate(names):
        write(images / f"{name}.{ending}", picture(10 * seed + place, (20, 30, 3)))
        ids = np.random.default_rng(place).integers(0, 3, (20, 30))
        if ending == "png" and place == 0:
            write_palette(labels / f"{name}.png", ids)
        else:
            write(labels / f"{name}.png", ids)


def _layouts(folder: Path) -> None:
    _pairs(folder / "gta5/images", folder / "gta5/labels", "png", 1)
    for split in ("train", "val"):
        names = [f"aachen/{split}_00000{number}_000019" for number in range(2)]
        base = folder / "cityscapes"
        images, labels = base / "leftImg8bit" / split, base / "gtFine" / split
        _pairs(images, labels, "png", len(split), [f"{name}_leftImg8bit" for name in names])
        for name in names:
            (labels / f"{name}_leftImg8bit.png").rename(labels / f"{name}_gtFine_labelIds.png")
    for split in ("train", "test"):
        _pairs(folder / "camvid" / split, folder / "camvid" / f"{split}annot", "png", len(split), [f"0001TP_{split}1"])
    _pairs(folder / "image_folder/images", folder / "image_folder/labels", "png", 4)


def _stop(work: Path, recipe: Recipe) -> None:
    """Stop a run in its translation, with two checkpoints of it."""
    shutil.rmtree(work / "stopped/translated")
    (work / "stopped/checkpoints/generator.pt").unlink()
    (work / "stopped/checkpoints/translation.pt").unlink(missing_ok=True)

    def stopped() -> None:
        recorder = Recorder(3)
        session = Session(cpu("32-true"), recorder, recorder.stopping)
        with suppress(StoppedError):
            execute(session, load_plugins(), recipe, open_folder(work / "stopped", recipe))

    in_fork(stopped)
    if not (work / "stopped/checkpoints/translation.previous.pt").exists():
        raise SystemExit("the run that was to be stopped was not")


def _suite(folder: Path, tables: dict[str, object]) -> None:
    folder.mkdir()
    small = tables | {"name": "one", "downstream": {"steps": 2, "batch_size": 2}, "translation": {"steps": 1}}
    (folder / "one.toml").write_text(tomli_w.dumps(small), encoding="utf-8")
    suite = {"name": "small", "recipes": ["one.toml"], "seeds": [0, 1], "baseline": "source_only", "bootstrap": 0}
    (folder / "suite.toml").write_text(tomli_w.dumps(suite), encoding="utf-8")
    plugins = load_plugins()
    plan = make_plan(plugins, read_suite(folder / "suite.toml"), folder / "suite.toml", folder / "bench")

    def run_all() -> None:
        for cell in plan.cells:
            finish(plugins, plan, cell, lambda log: Session(cpu("32-true"), log, lambda: False))

    in_fork(run_all)
