"""The short form of two torture rigs; the long ones are ``python tests/torture/kills.py`` and ``sound.py``."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from torture import sound

KILLS = Path(__file__).parent / "torture" / "kills.py"
RECIPES = Path(__file__).parents[1] / "benchmarks" / "recipes"


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        # Another task model, as each process would import segmentation-models-pytorch for longer than it trains.
        ("semantic_cyclegan", {"task": {"name": "pixels"}}),
        ("depth_semantic_cyclegan", {}),
    ],
)
def test_a_run_killed_at_random_moments_ends_as_if_nobody_had_disturbed_it(installed, write, name, changes):
    recipe = write(tomllib.loads((RECIPES / f"{name}.toml").read_text()) | changes)
    rig = [sys.executable, str(KILLS), "--kills", "2", "--recipe", str(recipe)]
    done = subprocess.run(rig, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 kills: all as if nobody had disturbed them"


def test_what_check_calls_sound_runs_and_what_it_refuses_does_not(monkeypatch, capsys):
    short = ["--crops", "32", "--archs", "deeplabv3plus", "--encoders", "resnet18", "--judges", "resnet18"]
    monkeypatch.setattr(sys, "argv", ["sound.py", *short])
    with pytest.raises(SystemExit) as ended:
        sound.main()
    out = capsys.readouterr().out
    assert ended.value.code == 0, out
    assert out.splitlines()[-1] == (
        "8 recipes: 4 sound and ran, 4 refused and did not, 0 sound and died, 0 refused and ran"
    )
