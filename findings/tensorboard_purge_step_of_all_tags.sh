#!/usr/bin/env bash
# What surprises: the purge_step of torch's SummaryWriter removes later steps of every tag in the folder, also of tags that
# the new writer never writes. TensorBoard's reader then shows a finished curve without its last values, or none of them.
#
# Why it matters here: a run has stages, each with steps of its own: 100 of translation, then the task model's. When the
# second is resumed at its step 20, the first loses all beyond its step 20. What helps is a folder for each stage.
#
# Needs bash, python3 with venv, pip with access to PyPI, 6 GB below the temporary folder. Exits 1 once it is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 tensorboard==2.21.0 numpy==2.4.6 setuptools==80.9.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import tempfile

import tensorboard
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

print(f"torch {torch.__version__}, tensorboard {tensorboard.__version__}")


def steps(folder):
    read = EventAccumulator(folder)
    read.Reload()
    return {tag: [one.step for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


with tempfile.TemporaryDirectory() as folder:
    with SummaryWriter(folder) as writer:  # one stage, finished at its step 100
        for step in (50, 100):
            writer.add_scalar("translation/loss", 1.0, step)
    with SummaryWriter(folder, purge_step=20) as writer:  # another stage, with steps of its own, goes on from 20
        writer.add_scalar("task/loss", 1.0, 30)
    found = steps(folder)
print(found)
still = found == {"translation/loss": [], "task/loss": [30]}
print("\nstill so" if still else "\nno longer so")
sys.exit(not still)
PYTHON
