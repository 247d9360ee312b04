#!/usr/bin/env bash
# What surprises: np.ascontiguousarray, the usual remedy for torch.from_numpy's "negative strides are not supported",
# keeps the negative stride of an axis of length 1, since numpy calls such an array contiguous already. torch refuses it
# all the same. So code that mirrors images works for every picture but those one pixel wide or high.
#
# Why it matters here: an image turned by EXIF, or mirrored as augmentation, is such an array; a strip or a single pixel
# then ends a loader that was tested on ordinary pictures. A copy does what ascontiguousarray does not.
#
# Needs bash, python3 with venv, pip with access to PyPI, 6 GB below the temporary folder. Exits 1 once it is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import torch

print(f"numpy {np.__version__}, torch {torch.__version__}")
found = {}
for width in (2, 1):
    mirrored = np.zeros((4, width, 3), np.uint8)[:, ::-1]
    for name, made in (("ascontiguousarray", np.ascontiguousarray(mirrored)), ("copy", mirrored.copy())):
        try:
            torch.from_numpy(made)
            found[width, name] = True
        except ValueError as error:
            found[width, name] = False
            print(f"  {error}")
        print(f"{width} wide, {name}: strides {made.strides}, contiguous {made.flags.c_contiguous}, taken {found[width, name]}")
still = found == {(2, "ascontiguousarray"): True, (2, "copy"): True, (1, "ascontiguousarray"): False, (1, "copy"): True}
print("\nstill so" if still else "\nno longer so")
sys.exit(not still)
PYTHON
