"""The short form of the torture rig; the long one is ``python tests/torture/kills.py``."""

import subprocess
import sys
from pathlib import Path


def test_a_run_killed_at_random_moments_ends_as_if_nobody_had_disturbed_it():
    rig = Path(__file__).parent / "torture" / "kills.py"
    done = subprocess.run([sys.executable, str(rig), "--kills", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 kills: all as if nobody had disturbed them"
