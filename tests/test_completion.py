"""What a shell is offered, and that it need not wait for torch; and output without colours."""

import os
import subprocess
import sys

import pytest

from daframework.scores import MetricValues
from daframework.storage.results import Results, Row, write_results

SCRIPT = """
import sys
from daframework.cli import main
sys.argv = ["daf"]
try:
    main()
finally:
    assert not {"torch", "numpy", "PIL"} & sys.modules.keys()
"""


def offered(words, shell="bash_complete"):
    """What is offered for the last of ``words``."""
    words = ["daf", *words]
    asked = {
        "_DAF_COMPLETE": shell,
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=os.environ | asked)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "words, some",
    [
        (["ben"], {"plain,bench"}),
        (["run", "semantic_cy"], {"plain,semantic_cyclegan", "file,semantic_cy"}),
        (["run", "source_o"], {"plain,source_only", "plain,source_only_augmented", "file,source_o"}),
        (["bench", "stree"], {"plain,streets", "plain,streets_depth", "plain,streets_to_camvid", "file,stree"}),
        (["translate", "ru"], {"plain,runs/cut/seed0", "dir,ru"}),
        (["export", "ru"], {"plain,runs/cut/seed0", "dir,ru"}),
        (["report", "runs", "runs/cut/"], {"plain,runs/cut/seed0", "dir,runs/cut/"}),
        (["run", "cut", "--set", "translation.st"], {"plain,translation.steps="}),
        (["run", "cut", "--set", "hardware.pre"], {"plain,hardware.precision="}),
    ],
    ids=[
        "command",
        "recipe",
        "recipes",
        "suite",
        "run folder",
        "of a plugin's command",
        "in a folder",
        "key",
        "key with a default",
    ],
)
def test_a_shell_is_offered_names_and_files_without_torch(words, some, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/cut/seed0").mkdir(parents=True)
    (tmp_path / "runs/cut/seed0/recipe.toml").touch()
    assert set(offered(words).split()) == some


@pytest.mark.parametrize(
    "line, inserted",
    [
        ("run semantic_cy", "semantic_cyclegan"),
        ("report ru", "runs/seed0"),
        ("plugins loss:vani", "vanilla"),
        ("run cut --set translation.st", "translation.steps= compopt:-o nospace"),
        ("export runs/seed0 --model ", "generator segmenter source_only tiny"),
        ("export runs/seed0 --model o", ""),
        ("predict runs/seed0 --row=ti", "tiny"),
    ],
)
def test_bash_inserts_what_is_offered(line, inserted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/seed0").mkdir(parents=True)
    (tmp_path / "runs/seed0/recipe.toml").touch()
    scores = MetricValues({"mIoU": 0.5, "pixel_accuracy": 0.5}, {"IoU": (0.5,)})
    rows = (Row("source_only", scores), Row("tiny", scores))
    write_results(tmp_path / "runs/seed0/results.json", Results("tiny", 0, ("road",), rows, {}, {}))
    daf = tmp_path / "daf"
    without_torch = "plugins" not in line  # which imports what plugins offer
    daf.write_text(f"#!{sys.executable}\n{SCRIPT if without_torch else SCRIPT.partition('try')[0] + 'main()'}")
    daf.chmod(0o755)
    asks = [
        "compopt() { [[ $2 == nospace ]] && told=compopt:$*; }",  # which bash has only while somebody types
        f"COMP_LINE='daf {line}' COMP_POINT={len(line) + 4}",
        f"_daf_completion {daf}; echo ${{COMPREPLY[@]}} $told",
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join([offered([], "bash_source"), *asks])], capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == (inserted, "")


def test_the_lines_of_the_docs_give_a_shell_its_function():
    assert "_daf_completion" in offered([], "bash_source") and "#compdef daf" in offered([], "zsh_source")


@pytest.mark.parametrize("set_to", [{"NO_COLOR": "1", "FORCE_COLOR": "1"}, {}], ids=["NO_COLOR", "pipe"])
def test_there_are_no_colours_where_they_are_not_wanted(set_to):
    script = """
from daframework.report.table import grid, make_console, show
rows = [{"method": "a", "mIoU": {"mean": 0.5, "standard_deviation": None}}]
show([grid("t", rows, [("method", "method"), ("mIoU", "mIoU")], best=frozenset({0}))])
make_console().print("[red]error[/]")
"""
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=kept | set_to, check=True)
    assert "error" in done.stdout and "\x1b[31m" not in done.stdout
    assert set_to or "\x1b" not in done.stdout
