import copy
import gc
import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import tiny
import tomli_w
import torch
from attrs import evolve
from lightning_fabric import Fabric
from PIL import Image

from daframework.cli import main
from daframework.compute.session import Session
from daframework.cores import given_cores
from daframework.listener import Listener
from daframework.recipes.read import parse
from daframework.registry import load_plugins

TABLES = {
    "name": "tiny",
    "seed": 0,
    "source": {"name": "blocks", "look": "bright"},
    "target": {"name": "blocks", "look": "dark"},
    "data": {"crop_size": [16, 24], "batch_size": 2},
    "generator": {"name": "painter"},
    "discriminator": {"name": "judge"},
    "losses": [{"name": "least_squares"}, {"name": "tiny_cycle", "weight": 10.0}],
    "translation": {"steps": 4, "pool_size": 3, "lr": 0.01},
    "task": {"name": "pixels"},
    "downstream": {"steps": 4, "batch_size": 2, "lr": 0.01},
    "log": {"every": 2, "checkpoint_every": 2},
    "hardware": {"accelerator": "cpu"},
}

SIZES = {"a.png": (32, 48), "sub/b.jpg": (17, 5), "sub/deep/c d.PNG": (1, 1), "ü.jpeg": (41, 64)}
"""The images of the fixture ``images``: their heights and widths."""

BOUND = 600
"""Seconds in which what must happen has happened, however busy the machine is."""
LONG = ("torture", "bench_run", "bench_stop", "bench_ray", "ranks", "acceleration", "corruption", "speed", "bench")
"""Files of minutes, by what their names begin with: the others then fill up the processes, and none waits for one."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One more than there are cores: a third of the tests' time they wait for processes of their own."""
    return given_cores() + 1


def pytest_collection_modifyitems(items):
    """The longest files first, as they stand in `LONG`."""

    def place(item):
        name = item.path.stem.removeprefix("test_")
        return next((place for place, long in enumerate(LONG) if name.startswith(long)), len(LONG))

    items.sort(key=place)


def pytest_collection_finish():
    """Keep what is imported by now from each search for garbage, which would take half a second of looking at it."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def without_reports():
    """Runs of tests write no report.html, which would take a minute of them all; tests/test_html_report.py has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAF_BLOCK", "report")
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tensors this small only lose by more threads, and sums come out in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tables():
    """A sound recipe of tiny parts, to change at will."""
    return copy.deepcopy(TABLES)


@pytest.fixture
def source_only(tables):
    """The same without a translation."""
    return {
        key: table
        for key, table in tables.items()
        if key not in ("generator", "discriminator", "losses", "translation")
    }


@pytest.fixture(scope="session")
def plugins():
    return load_plugins(extra={"tiny": tiny})


@pytest.fixture
def recipe(tables):
    return parse(tables, "tiny.toml")


@pytest.fixture
def write(tmp_path):
    """Write tables as a recipe file and return its path."""

    def write_tables(tables, name="tiny.toml"):
        path = tmp_path / name
        path.write_text(tomli_w.dumps(tables), encoding="utf-8")
        return path

    return write_tables


@pytest.fixture
def images(tmp_path):
    """A folder of noise, and a file that is no image."""
    folder = tmp_path / "images"
    for name, (height, width) in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((width, height), 60).convert("RGB").save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def search_path(*folders):
    """PYTHONPATH of a process that finds ``folders`` and these tests first, then what this one was told to find."""
    return os.pathsep.join(map(str, filter(None, (*folders, Path(__file__).parent, os.environ.get("PYTHONPATH")))))


@pytest.fixture
def installed(tmp_path, tmp_path_factory, monkeypatch):
    """The tiny parts as an installed distribution that offers them through its entry point; for subprocesses too."""
    site = tmp_path / "site"
    install(site, "daf-tiny", "1.2", {"tiny": "tiny"})
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", search_path(site))
    yield site
    # Or another test's module of the same name would be this one's; text, as thousands of paths take 0.1 s as objects.
    folder = f"{tmp_path_factory.getbasetemp()}{os.sep}"
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__dict__", {}).get("__file__")).startswith(folder):
            del sys.modules[name]


def install(site, distribution, version, entries):
    """What pip leaves of a distribution with entry points."""
    folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    lines = "".join(f"{name} = {module}\n" for name, module in entries.items())
    (folder / "entry_points.txt").write_text(f"[daframework]\n{lines}")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where real processes find the parts of `tiny_suite.install_parts`."""
    from tiny_suite import install_parts

    return install_parts(tmp_path_factory.mktemp("site"))


@pytest.fixture
def daf(monkeypatch, capsys, tmp_path, installed):
    """Run a command in this process, in an empty folder: exit code, output, errors."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["daf", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def speed(monkeypatch):
    """The folder of the speed benchmarks, from which their scripts import."""
    folder = Path(__file__).parents[1] / "benchmarks" / "speed"
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def script(monkeypatch, capsys, speed):
    """Run a speed benchmark in this process: exit code, output, errors."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        capsys.readouterr()
        try:
            runpy.run_path(str(speed / name), run_name="__main__")
        except SystemExit as ended:  # what Python prints of one that has a text
            code, said = (1, f"{ended}\n") if isinstance(ended.code, str) else (ended.code or 0, "")
            print(said, end="", file=sys.stderr)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def refused(result, *says):
    """Exit code 1 and nothing but a line of error, for each of ``says`` one."""
    code, _, errors = result
    lines = errors.splitlines()
    assert code == 1 and len(lines) == len(says), errors
    for line, text in zip(lines, says, strict=True):
        assert line.startswith("error: ") and re.search(text, line), line


class Recorder(Listener):
    """A listener that keeps what it was told; with ``stop_after`` it asks to stop once that many steps are finished."""

    def __init__(self, stop_after=None):
        self.stages, self.lines, self.steps, self.stop_after = [], [], 0, stop_after

    def begin(self, stage, total, done):
        self.stages.append((stage, total, done))

    def advance(self, done):
        self.steps += 1

    def values(self, step, values):
        self.lines.append((self.stages[-1][0], step, dict(values)))

    def stopping(self):
        return self.stop_after is not None and self.steps >= self.stop_after


def cpu(precision):
    """The CPU in ``precision``; "auto" computes in single precision, as the tiny networks are narrow."""
    return Fabric(accelerator="cpu", devices=1, precision="32-true" if precision == "auto" else precision)


@pytest.fixture
def session():
    """Make a session on the CPU: ``session(stop_after=3)`` asks to stop after three steps of any stage."""

    def make(stop_after=None, precision="32-true", log=None):
        log = log or Recorder(stop_after)
        stopping = getattr(log, "stopping", lambda: False)
        return Session(cpu(precision), log, stopping)

    return make


@pytest.fixture
def looked_at(monkeypatch):
    """The shift of the tiny set, 0 of the source, for each label that is read from now on."""
    looks, labelled = [], tiny.Blocks.__getitem__

    def spied(dataset, index):
        looks.append(dataset.shift)
        return labelled(dataset, index)

    monkeypatch.setattr(tiny.Blocks, "__getitem__", spied)
    monkeypatch.setattr(tiny.Blocks, "unlabelled", lambda set, index: evolve(labelled(set, index), label=None))
    return looks


@pytest.fixture(scope="session")
def module_session():
    """The same for fixtures that outlive a test: it never asks to stop."""

    def make(log, precision="32-true"):
        return Session(cpu(precision), log, lambda: False)

    return make
