"""`daf new plugin`: what it writes is installed into a fresh environment, tested there, and used by name."""

import json
import os
import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml
from conftest import BOUND, install, refused
from packaging.requirements import Requirement

from daframework.errors import PluginError
from daframework.registry import KINDS, load_plugins
from daframework.scaffold import SCAFFOLDS, scaffold, write_scaffold

WRITTEN = {"tiny": "generator", "soft_focus": "dataset", "ear": "listener"}
OTHERS = {f"a_{kind}": kind for kind in SCAFFOLDS if kind not in WRITTEN.values()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The programs of a new virtual environment with a plugin of each kind; everything else is this environment's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    _share_packages(folder)
    # daf is no program of the new environment, since daframework was not installed there.
    (programs / "daf").write_text(f"#!{programs}/python\nfrom daframework.cli import main\nmain()\n", encoding="utf-8")
    (programs / "daf").chmod(0o755)
    run(programs / "daf", "new", "plugin", "tiny", "--kind", "generator", cwd=folder)
    plugins = load_plugins()
    projects = {name: folder / f"daf-{name.replace('_', '-')}" for name in (WRITTEN | OTHERS)}
    for name, kind in list((WRITTEN | OTHERS).items())[1:]:
        write_scaffold(plugins, name, kind, projects[name], commands=())
    editable = [part for name in WRITTEN for part in ("-e", projects[name])]
    run(programs / "python", "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", *editable)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "others.pth").write_text("".join(f"{projects[name]}\n" for name in OTHERS))  # as pip does, and quicker
    for name in OTHERS:
        install(own, projects[name].name, "0.1.0", {name: f"daf_{name}"})
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
    done = subprocess.run(command, cwd=cwd or program.parent, env=kept, capture_output=True, text=True, timeout=BOUND)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_what_is_written_is_listed_and_its_own_tests_pass(environment):
    listed = dict(line.split(maxsplit=1) for line in run(environment / "daf", "plugins").splitlines())
    assert listed["generator:tiny"] == "daf-tiny 0.1.0 (tiny)"
    assert listed["dataset:soft_focus"] == "daf-soft-focus 0.1.0 (soft_focus)"
    projects = sorted(environment.parent.glob("daf-*"))
    assert len(projects) == len(SCAFFOLDS)
    # Projects have files of one name.
    told = run(environment / "python", "-m", "pytest", "-q", "--import-mode=importlib", "-c", os.devnull, *projects)
    assert re.search(r"^\d+ passed in", told, re.MULTILINE)


def test_a_run_uses_the_new_generator_dataset_and_listener(environment, tmp_path):
    domains = {"name": "soft_focus", "images": 4}
    few = [f"{domain}.{key}={value}" for domain in ("source", "target") for key, value in domains.items()]
    short = ["translation.steps=2", "downstream.steps=2", "data.batch_size=2", "hardware.accelerator=cpu"]
    looks = ["source.look=bright", "target.look=dark", "log.every=1"]
    overrides = [argument for setting in few + short + looks for argument in ("--set", setting)]
    run(environment / "daf", "run", "tiny", *overrides, cwd=tmp_path)
    folder = tmp_path / "runs/tiny/seed0"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in results["rows"]] == ["source_only", "tiny", "oracle"]
    assert results["classes"] == ["ground", "disc"]
    assert len(list((folder / "translated/images").iterdir())) == 4
    assert "translation,2,generator/cycle," in (folder / "ear.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_what_is_written_of_each_kind_is_sound_python_without_a_word_left_to_replace(kind, tmp_path):
    project = tmp_path / "project"
    write_scaffold(load_plugins(), "soft_focus", kind, project, commands=["run"])
    texts = {str(path.relative_to(project)): path.read_text() for path in project.rglob("*") if path.is_file()}
    assert texts == scaffold("soft_focus", kind)
    assert {"pyproject.toml", "README.md", ".github/workflows/test.yml", "daf_soft_focus/__init__.py"} < texts.keys()
    assert [name for name, text in texts.items() if re.search(r"plugin[_-]name|plugin_|Plugin|PLUGIN", text)] == []
    ruff = [Path(sys.executable).with_name("ruff"), *("--isolated", "--line-length", "120")]
    for check in (["check", "--select", "E,F,I,B,UP,SIM"], ["format", "--check"]):
        command = [ruff[0], check[0], *ruff[1:], *check[1:], "."]
        assert subprocess.run(command, cwd=project, capture_output=True, text=True).returncode == 0
    if kind in KINDS:
        assert 'name = "soft_focus"\n' in texts["daf_soft_focus/recipes/soft_focus.toml"].partition("[source]")[2]


def test_its_ci_file_gets_daframework_from_where_the_author_says():
    job = yaml.safe_load(scaffold("soft_focus", "loss")[".github/workflows/test.yml"])
    (install, *checks) = [step["run"] for step in job["jobs"]["test"]["steps"] if "run" in step]
    pip, _, wanted, *own = (part.replace("$DAFRAMEWORK", job["env"]["DAFRAMEWORK"]) for part in shlex.split(install))
    assert (pip, own) == ("pip", ["-e", ".[test]"]) and checks == ["pytest", "daf plugins --check soft_focus"]
    assert Requirement(wanted).name == "daframework" and "/OWNER/" in Requirement(wanted).url


@pytest.mark.parametrize(
    "name, kind, says",
    [
        ("soft-focus", "loss", "'soft-focus' cannot be a plugin's name: it must be small letters a-z"),
        ("Tint", "loss", "'Tint' cannot be a plugin's name"),
        ("class", "loss", "'class' cannot be a plugin's name"),
        ("../up", "loss", "cannot be a plugin's name"),
        ("", "loss", "cannot be a plugin's name"),
        ("a" * 65, "loss", "at most 64 letters"),
        ("json", "loss", "'json' would shadow the module json"),
        ("torch", "listener", "'torch' would shadow the module torch"),
        ("segmentation", "command", "'segmentation' would shadow the module daf_segmentation"),
        ("tiny", "listener", "would shadow the module tiny|taken by the plugin tiny"),
        ("resnet", "generator", r"'resnet' is taken by the generator of cyclegan \(daframework"),
        ("fda", "loss", "'fda' is taken by the recipe .*fda.toml"),
        ("run", "command", "'run' is taken by the command daf run"),
    ],
)
def test_a_name_that_cannot_be_or_is_taken_is_refused(name, kind, says, daf):
    refused(daf("new", "plugin", name, "--kind", kind), says)
    assert list(Path().iterdir()) == []


def test_a_plugin_that_is_blocked_keeps_its_name(installed, monkeypatch):
    install(installed, "daf-odd", "0.3", {"odd": "daf_odd"})
    monkeypatch.setenv("DAF_BLOCK", "odd")
    with pytest.raises(PluginError, match=r"'odd' is taken by the plugin odd \(daf-odd 0.3\)"):
        write_scaffold(load_plugins(), "odd", "loss", Path("odd"), commands=())


def test_nothing_is_written_over_and_nothing_half(daf):
    Path("kept").mkdir()
    Path("gone").symlink_to("nowhere")
    Path("file").write_text("mine")
    for out in ("kept", "gone", "file"):
        refused(daf("new", "plugin", "tint", "--kind", "loss", "--out", out), f"{out} exists; nothing was written")
    refused(
        daf("new", "plugin", "tint", "--kind", "loss", "--out", "file/tint"),
        "file/tint cannot be written: a file lies in",
    )
    refused(daf("new", "plugin", "tint", "--kind", "loss", "--out", "x" * 256), "cannot be written: File name too long")
    assert sorted(path.name for path in Path().iterdir()) == ["file", "gone", "kept"]
    code, out, _ = daf("new", "plugin", "soft_focus", "--kind", "loss", "--out", "deep/er/project")
    assert code == 0 and "cd deep/er/project && pip install" in out
    assert [path.name for path in Path("deep/er").iterdir()] == ["project"]
    assert daf("new", "plugin", "tint", "--kind", "los")[0] == 2
