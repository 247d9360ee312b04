"""A suite of tiny parts, small enough to be run in a test: two methods, two tasks, one seed."""

import json

import pytest
import tomli_w
from conftest import TABLES, Recorder, install, search_path
from forked import Forked

from daframework.runs.log import Listeners, LogFile
from daframework.runs.stages import execute
from daframework.suites.plan import make_plan
from daframework.suites.share import receive
from daframework.suites.suite import read_suite

SUITE = {
    "name": "small",
    "seeds": [0],
    "baseline": "one",
    "bootstrap": 100,
    "target": {"name": "blocks", "images": 20, "size": [16, 24]},
    "downstream": {"steps": 16, "lr": 0.1},  # few enough to be quick, and far enough for rows to differ
    "tasks": [{"label": "narrow", "name": "pixels"}, {"label": "wide", "name": "pixels", "channels": 6}],
}
TRANSLATION = ("generator", "discriminator", "losses", "translation")
RECIPES = {
    "one.toml": TABLES | {"name": "one"},
    "coloured.toml": {key: table for key, table in TABLES.items() if key not in TRANSLATION}
    | {"name": "coloured", "augment": {"hue": 0.1}},
}


def write_suite(folder, files=RECIPES, /, **changes):
    """Leave recipes and a suite of them, with ``changes`` to its tables, in ``folder``; the suite's file.

    A change to None leaves the table out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, tables in files.items():
        (folder / name).write_text(tomli_w.dumps(tables), encoding="utf-8")
    suite = {key: table for key, table in (SUITE | {"recipes": list(files)} | changes).items() if table is not None}
    path = folder / "suite.toml"
    path.write_text(tomli_w.dumps(suite), encoding="utf-8")
    return path


def plan_of(plugins, folder, files=RECIPES, /, *, seeds=None, only=None, **changes):
    """The plan of the suite that `write_suite` leaves in ``folder``; its runs lie in ``folder/bench``."""
    path = write_suite(folder, files, **changes)
    return make_plan(plugins, read_suite(path), path, folder / "bench", seeds=seeds, only=only)


def finish(plugins, plan, cell, session, stop_after=None):
    """Run a cell in this process, on what others have left for it; what it told while it ran."""
    receive(plan, cell)
    recorder = Recorder(stop_after)
    made = session(log=recorder)
    log = Listeners([LogFile(cell.folder.log), recorder])
    execute(type(made)(made.fabric, log, recorder.stopping), plugins, cell.recipe, cell.folder)
    return recorder


def undrawn(patch):
    """Have suites in this process save no figures, which takes longer than all else; test_bench_run.py has them."""
    patch.setattr("daframework.suites.drawings.save_figure", lambda figure, folder, name: [])


def undisturbed_scores(plugins, folder, session, daf, files, *, only=None, **changes):
    """`scores_in` a suite whose runs were made one after another in this process."""
    plan = plan_of(plugins, folder, files, only=only, **changes)
    for cell in plan.cells:
        finish(plugins, plan, cell, session)
    chosen = ["--only", ",".join(only)] if only else []
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        assert daf("bench", folder / "suite.toml", "--out", plan.out, "--collect", *chosen)[0] == 0
    return scores_in(plan.out)


# --- by real processes ---

BRAKE = """
import os
import signal
from pathlib import Path

from daframework import hookimpl


@hookimpl
def daf_listener():
    from daframework.listener import Listener

    class Brake(Listener):
        def begin(self, stage, total, done):
            self.stage = stage

        def values(self, step, values):
            if os.environ.get("BRAKE") != f"{self.stage} {step}":
                return
            # It goes on with the first signal, whenever that comes, and never without one.
            woken, waking = os.pipe()
            os.set_blocking(waking, False)
            signal.set_wakeup_fd(waking)
            Path(os.environ["BRAKE_FILE"]).touch()
            os.read(woken, 1)

    return Brake()
"""
FAULTY = """
import os
import signal

import torch

from daframework import hookimpl
from daframework.interfaces import Generator


class Raises(Generator):
    def forward(self, image):
        return image

    def prepare(self, source, target):
        raise RuntimeError("no [red]licence")


class Dies(Raises):
    def prepare(self, source, target):
        os.kill(os.getpid(), signal.SIGKILL)


@hookimpl
def daf_generators():
    return {"raises": Raises, "dies": Dies}
"""


def install_parts(site):
    """Distributions that real processes find: the tiny parts, a hook that holds a run still, generators that fail."""
    install(site, "daf-tiny", "1.2", {"tiny": "tiny"})
    for name, code in (("brake", BRAKE), ("faulty", FAULTY)):
        install(site, f"daf-{name}", "1", {name: f"daf_{name}"})
        (site / f"daf_{name}.py").write_text(code, encoding="utf-8")
    return site


def start(site, *arguments, command="bench", **environment):
    """A ``command`` of daf as a group of processes of its own."""
    return Forked([command, *arguments], PYTHONPATH=search_path(site), **environment)


def scores_in(out):
    """table.json without times, and without who made it: somebody may commit between two runs."""
    tables = json.loads((out / "table.json").read_text())["tables"]
    for table in tables:
        del table["notes"]
        for row in table["rows"]:
            for name in ("minutes", "images_per_second", "notes"):
                del row[name]
            for seed in row["seeds"]:
                del seed["seconds"], seed["environment"]
    return tables


def log_of(out, name):
    return (out / "logs" / f"{name}.txt").read_text()
