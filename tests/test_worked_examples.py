"""docs/worked_examples.md is a package that works: its files, as the page has them, are installed, tested and run."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from conftest import install

from daframework.data.decode import write_image, write_label
from daframework.registry import KINDS, components, load_plugins
from daframework.testing import check_dataset

PAGE = (Path(__file__).parents[1] / "docs" / "worked_examples.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def site(installed):
    """The page's package beside the others that are installed."""
    for name, text in FILES.items():
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text(text, encoding="utf-8")
    install(installed, "daf-each", "1", {"each": "daf_each"})
    return installed


@pytest.fixture
def domains(daf):
    """Images of two domains in the working directory."""
    label = torch.arange(2, dtype=torch.uint8).repeat_interleave(16).expand(16, 32)
    for domain, split, grey in (("game", "train", 80), ("camera", "train", 160), ("camera", "test", 160)):
        folder = Path(domain, split)
        folder.mkdir(parents=True)
        for index in range(3):
            write_image(folder / f"{index}.jpg", (grey + 40 * label).expand(3, 16, 32))
            write_label(folder / f"{index}.png", label)


def test_the_page_shows_one_of_each_kind(site):
    plugins = load_plugins()
    offered = {kind for kind in KINDS for one in components(plugins, kind).values() if one.origin.plugin == "each"}
    assert offered == set(KINDS) and plugins.broken == []
    assert {"daf_each/listener.py", "daf_each/recipes/each.toml"} < set(FILES)


def test_its_recipe_runs_and_its_listener_hears_of_it(daf, site, domains, tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_CACHE", str(tmp_path / "cache"))
    check_dataset(components(load_plugins(), "dataset")["pairs"].factory(root="game", split="train", classes="ab"))
    steps = [f"--set={table}.steps=2" for table in ("translation", "downstream")]
    code, _, errors = daf("run", "each", *steps, "--set", "log.every=1", "--set", "data.cache=true")
    assert (code, errors.count("warning")) == (0, 0), errors
    rows = json.loads(Path("runs/each/seed0/results.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["source_only", "each", "oracle"]
    heard = list(csv.reader(Path("runs/each/seed0/curves.csv").read_text().splitlines()))
    assert ["translation", "2"] in [line[:2] for line in heard]
    assert {"generator/smooth_lsgan", "discriminator_target/smooth_lsgan"} <= {line[2] for line in heard}


def test_its_tests_pass(site):
    names = dict[str, object]()
    exec(compile(FILES["test_each.py"], "test_each.py", "exec"), names)
    tests = [names[name] for name in names if name.startswith("test_")]
    assert len(tests) == 4
    for one in tests:
        one()
