#!/usr/bin/env bash
# What surprises: torch's ONNX exporter leaves out avg_pool2d's divisor_override without a word. A sum over 2 x 2 pixels,
# written as F.avg_pool2d(x, 2, stride=1, divisor_override=1), comes out of ONNX Runtime as their mean: four times too small.
#
# Why it matters here: upsampling without a checkerboard, and whatever else folds a factor into the pooling, is written so.
# An instance norm behind it hides nearly all of the difference, so that images look right, and where nothing normalises,
# they are wrong. What helps is plain pooling, with the factor multiplied in where it is seen.
#
# Needs bash, python3 with venv, pip with access to PyPI, 6 GB below the temporary folder. Exits 1 once it is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
import warnings

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F


class Sums(nn.Module):
    def forward(self, x):
        return F.avg_pool2d(x, 2, stride=1, divisor_override=1)


warnings.simplefilter("ignore")
print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
x = torch.arange(16.0).reshape(1, 1, 4, 4)
program = torch.onnx.export(Sums().eval(), (x,), dynamo=True, verbose=False)
file = io.BytesIO()
program.save(file)
session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
(got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
ratio = Sums()(x).numpy() / got
print(f"torch over ONNX Runtime: {ratio.min():.3f} to {ratio.max():.3f}")
still = bool(np.allclose(ratio, 4))
print("\nstill so" if still else "\nno longer so")
sys.exit(not still)
PYTHON
