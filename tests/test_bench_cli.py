"""``daf bench`` as a user meets it: what a plugin brings, what is refused before anything is run, small test sets."""

import json
from pathlib import Path

import pytest
from conftest import install, refused
from tiny_suite import RECIPES, finish, plan_of, scores_in, write_suite

STRANGER = '''
from pathlib import Path

from daframework import hookimpl

HERE = Path(__file__).parent


@hookimpl
def daf_generators():
    import torch

    from daframework.interfaces import Generator

    class Tinted(Generator):
        """Add the difference of the two domains' colours."""

        def __init__(self, *, strength: float = 1.0):
            super().__init__()
            self.strength = strength
            self.register_buffer("tint", torch.zeros(3, 1, 1))

        def forward(self, image):
            return (image + self.strength * self.tint).clamp(-1, 1)

        def prepare(self, source, target):
            first, second = (sum(one[i].image / 127.5 for i in range(len(one))) / len(one) for one in (source, target))
            self.tint.copy_(second.mean((1, 2), keepdim=True) - first.mean((1, 2), keepdim=True))

    return {"tinted": Tinted}


@hookimpl
def daf_recipes():
    return HERE / "stranger_recipes"


@hookimpl
def daf_suites():
    return HERE / "stranger_suites"
'''
TINTED = {key: table for key, table in RECIPES["one.toml"].items() if key not in ("discriminator", "losses")} | {
    "name": "tinted",
    "generator": {"name": "tinted"},
    "translation": {"steps": 0},
}


@pytest.fixture
def stranger(installed, monkeypatch):
    """A distribution that brings a generator, its recipe and a suite of both."""
    (installed / "daf_stranger.py").write_text(STRANGER, encoding="utf-8")
    install(installed, "daf-stranger", "0.3", {"stranger": "daf_stranger"})
    written = write_suite(
        installed / "stranger_recipes",
        {"tinted.toml": TINTED},
        name="tints",
        recipes=["tinted"],
        baseline="tinted",
        tasks=None,
    )
    (installed / "stranger_suites").mkdir()
    return written.rename(installed / "stranger_suites" / "tints.toml")


def test_a_suite_and_a_generator_of_a_plugin_are_run_by_name(daf, stranger):
    code, text, errors = daf("bench", "tints", "--set", "options.tinted.strength=0.5")
    assert code == 0, errors
    assert errors.startswith(f"suite {stranger}, into bench/tints\n") and "2 of 2 runs done" in errors
    for method in ("source_only", "oracle", "tinted"):
        assert f"│ {method} " in text
    recipe = Path("bench/tints/task/tinted/seed0/recipe.toml").read_text()
    assert 'name = "tinted"\nstrength = 0.5' in recipe
    (table,) = scores_in(Path("bench/tints"))
    assert [row["gap_closed"] is not None for row in table["rows"] if row["method"] == "tinted"] == [True]


def test_a_list_may_be_given_in_parts(daf, tmp_path):
    path = write_suite(tmp_path)
    plans = [
        daf("bench", path, "--dry-run", "--seeds", "0,1", "--only", "one,coloured")[1],
        daf("bench", path, "--dry-run", "--seeds", "0", "--seeds", "1", "--only", "one", "--only", "coloured")[1],
    ]
    assert plans[0] == plans[1] and "wide/coloured/seed1" in plans[0]


# --- what is refused ---


def test_an_unknown_suite_method_or_recipe_comes_with_the_nearest(daf, tmp_path):
    refused(daf("bench", "stretes"), r"stretes: not a file, and no suite named 'stretes'; did you mean 'streets'\?")
    path = write_suite(tmp_path)
    refused(daf("bench", path, "--only", "colored"), r"--only: no method named 'colored'; did you mean 'coloured'\?")
    for names in ("", "one,,coloured"):
        refused(daf("bench", path, "--only", names), r"--only: no method named ''")
    refused(daf("bench", path, "--set", 'recipes=["one.tml"]'), r"one\.tml: not a file, and no recipe named 'one'")
    refused(
        daf("bench", path, "--seeds", "0,9999999999"),
        "seeds must be a list of at least one whole number from 0 to 2147483647",
    )
    refused(daf("bench", path, "--set", "seeds=[]"), "seeds: must be a list of at least one whole number")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("key", ["score", "source_only"])
def test_a_suite_without_what_it_compares_is_refused(daf, tmp_path, key):
    code, _, errors = daf("bench", write_suite(tmp_path), "--set", f"downstream.{key}=false")
    assert code == 1 and f"downstream.{key}: a suite compares" in errors and not list(Path().iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seeds", ""),
        ("--seeds", "0,0"),
        ("--seeds", "0;1"),
        ("--seeds", "-1"),
    ],
)
def test_a_list_that_cannot_be_read_ends_with_2(daf, tmp_path, arguments):
    code, _, errors = daf("bench", write_suite(tmp_path), *arguments)
    assert code == 2 and f"Invalid value for '{arguments[0]}': must be" in errors


def test_every_problem_of_every_recipe_is_told_once_before_anything_is_run(daf, tmp_path):
    path = write_suite(tmp_path, options={"painter": {"chanels": 3}}, data={"crop_size": [16, 26]})
    code, text, errors = daf("bench", path)
    lines = errors.splitlines()[1:]
    assert (code, text) == (1, "") and not list(Path().iterdir())
    assert len(lines) == 2, lines
    assert "26 (height x width) is larger than the images of target" in lines[0]
    assert "no option named 'chanels'; did you mean 'channels'" in lines[1] and "small: narrow: one: " in lines[1]


def test_data_that_is_missing_stops_a_suite_and_not_a_dry_run(daf, tmp_path, monkeypatch):
    monkeypatch.setenv("DAF_DATA", str(tmp_path / "nowhere"))
    camvid = {"name": "camvid"}
    path = write_suite(tmp_path, source=camvid, target=camvid, options=None)
    code, text, errors = daf("bench", path)
    assert (code, text) == (1, "") and "error: " in errors and "nowhere" in errors and not list(Path().iterdir())
    code, text, errors = daf("bench", path, "--dry-run")
    assert code == 0 and "6 of 6 runs to do" in text
    assert [line[:9] for line in errors.splitlines()[1:]] == ["warning: "]


# --- few test images ---

FEW = {"name": "blocks", "images": 19, "size": [16, 24]}


def test_fewer_test_images_than_the_bootstrap_needs_are_refused_before_anything_is_run(daf, tmp_path):
    path = write_suite(tmp_path, target=FEW)
    for arguments in ((), ("--dry-run",)):
        code, text, errors = daf("bench", path, *arguments)
        assert (code, text) == (1, "") and errors.splitlines()[1:] == [
            "error: small: intervals by bootstrap need 20 test images of the target, and it has 19; give more, or add "
            "--set bootstrap=0"
        ]
    assert not list(Path().iterdir())


def test_without_a_bootstrap_few_test_images_are_enough(daf, plugins, tmp_path, session):
    plan = plan_of(plugins, tmp_path, target=FEW)
    for cell in plan.cells:
        finish(plugins, plan, cell, session)
    arguments = ("bench", tmp_path / "suite.toml", "--out", plan.out)
    code, _, errors = daf(*arguments, "--collect")
    assert code == 1 and errors.splitlines()[-1] == (
        "error: no intervals for task 'narrow': an interval needs at least 20 test images (MIN_IMAGES), got 19; "
        "--set bootstrap=0 makes the table without"
    )
    assert daf(*arguments, "--dry-run", "--set", "bootstrap=0")[0] == 0
    code, text, _ = daf(*arguments, "--set", "bootstrap=0")
    assert code == 0 and "percent; vs one: difference of mIoU\n" in text
    rows = json.loads((plan.out / "table.json").read_text())["tables"][0]["rows"]
    assert {row["to_baseline_interval"] for row in rows} == {None}
    assert [row["method"] for row in rows if row["to_baseline"] is None] == ["one"]
