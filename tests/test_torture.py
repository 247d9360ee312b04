"""The short form of two torture rigs; the long ones are ``python tests/torture/kills.py`` and ``sound.py``."""

import subprocess
import sys
from pathlib import Path

TORTURE = Path(__file__).parent / "torture"


def test_a_run_killed_at_random_moments_ends_as_if_nobody_had_disturbed_it():
    rig = [sys.executable, str(TORTURE / "kills.py"), "--kills", "2"]
    done = subprocess.run(rig, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 kills: all as if nobody had disturbed them"


def test_what_check_calls_sound_runs_and_what_it_refuses_does_not():
    rig = [sys.executable, str(TORTURE / "sound.py"), "--crops", "32", "--archs", "deeplabv3plus"]
    rig += ["--encoders", "resnet18", "--judges", "resnet18"]
    done = subprocess.run(rig, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == (
        "8 recipes: 4 sound and ran, 4 refused and did not, 0 sound and died, 0 refused and ran"
    )
