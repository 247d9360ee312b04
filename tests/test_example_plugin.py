"""The example of docs/write_a_plugin.md, built, installed into a fresh environment and used there by name."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "daf-tiny"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The programs of a new virtual environment with daf-tiny in it; everything else is this environment's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    _share_packages(folder)
    # daf is no program of the new environment, since daframework was not installed there.
    (programs / "daf").write_text(f"#!{programs}/python\nfrom daframework.cli import main\nmain()\n", encoding="utf-8")
    (programs / "daf").chmod(0o755)
    # Built in a copy, since a build leaves folders beside what it builds.
    project = shutil.copytree(EXAMPLE, folder / "daf-tiny", ignore=shutil.ignore_patterns("__pycache__"))
    run(programs / "python", "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", project)
    return programs


def _share_packages(folder):
    """Let an environment see what is installed here, through ``.pth`` files, as editable installs need it."""
    (own,) = folder.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in shared)
    (own / "shared.pth").write_text(lines, encoding="utf-8")


def run(program, *arguments, cwd=None):
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(part) for part in (program, *arguments)]
    done = subprocess.run(command, cwd=cwd or program.parent, env=kept, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_components_are_listed_beside_those_that_ship(environment):
    rows = [line.split(maxsplit=1) for line in run(environment / "daf", "plugins").splitlines()]
    listed = dict(rows)
    assert listed["generator:tiny"] == listed["loss:mean_colour"] == "daf-tiny 0.1.0 (tiny)"
    assert listed["dataset:streets"].startswith("daframework ")


def test_generator_is_explained_by_name(environment):
    explained = run(environment / "daf", "plugins", "generator:tiny")
    assert "generator 'tiny' of tiny (daf-tiny 0.1.0)" in explained
    assert "margin: float = 0.01" in explained
    assert "One learnt 3 x 3 matrix" in explained


def test_own_tests_pass(environment):
    run(environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", environment.parent / "daf-tiny")


def test_recipe_runs_by_name(environment, tmp_path):
    few = [f"{domain}.{split}_images=4" for domain in ("source", "target") for split in ("train", "test")]
    short = ["translation.steps=2", "downstream.steps=2", "data.batch_size=2", "hardware.accelerator=cpu"]
    overrides = [argument for setting in few + short for argument in ("--set", setting)]
    run(environment / "daf", "run", "tiny", *overrides, cwd=tmp_path)
    results = json.loads((tmp_path / "runs/tiny/seed0/results.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in results["rows"]] == ["source_only", "tiny", "oracle"]
    translated = tmp_path / "runs/tiny/seed0/translated/images"
    assert len(list(translated.iterdir())) == 4
