#!/usr/bin/env bash
# What surprises: on a CPU, torch's group norm and (in training) batch norm give other numbers for the same image where it
# lies in memory pixel by pixel (channels_last). Group norm takes the variance there as E[x^2] - E[x]^2, summed in
# float32 (aten/src/ATen/native/cpu/group_norm_kernel.cpp), batch norm's sums run over all pixels one after the other in
# float32 (aten/src/ATen/native/cpu/batch_norm_kernel.cpp). On an even surface with one 8-bit level of noise group norm
# is off by half a deviation and more, and its gradient by most of its own size; contiguous input is right to 2e-5.
# Neither a warning nor the two layers' documentation says so.
#
# Why it matters here: skies, roads, walls and black borders are even, and translation networks are full of such norms. A
# layout that a convolution before hands on changes what a discriminator sees of a sky, and what a generator learns there.
#
# Needs bash, python3 with venv, pip with access to PyPI, 6 GB below the temporary folder. Exits 1 once it is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 numpy

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torch.nn import functional as F

torch.manual_seed(0)
print(f"torch {torch.__version__}, CPU, {torch.get_num_threads()} threads")
found = {}


def literal(x, groups):
    """Group norm written out; in float64 where x is."""
    centred = x.reshape(len(x), groups, -1)
    centred = centred - centred.mean(-1, keepdim=True)
    return (centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()).view_as(x)


def forward_and_backward(norm, x, direction):
    x = x.detach().requires_grad_()
    y = norm(x)
    return y.detach().double(), torch.autograd.grad(y, x, direction.to(x))[0].double()


print("\ngroup norm of a sky: levels 204 and 205 of 255 in [-1, 1]; largest error against float64")
print(f"{'size':>16} {'groups':>6}  {'contiguous':>10} {'channels_last':>13}   relative error of the gradient")
for channels, height, width in ((16, 48, 64), (12, 128, 256), (64, 256, 512)):
    sky = (204 + torch.randint(0, 2, (1, channels, height, width))) / 127.5 - 1
    direction = torch.randn(sky.shape)
    for groups in (1, channels):
        right, gradient = forward_and_backward(lambda x: literal(x, groups), sky.double(), direction)
        off, off_gradient = [], []
        for layout in (torch.contiguous_format, torch.channels_last):
            y, dx = forward_and_backward(lambda x: F.group_norm(x, groups), sky.contiguous(memory_format=layout), direction)
            off.append(float((y - right).abs().max()))
            off_gradient.append(float((dx - gradient).norm() / gradient.norm()))
        size = f"{channels} x {height} x {width}"
        print(f"{size:>16} {groups:>6}  {off[0]:>10.1e} {off[1]:>13.1e}   {off_gradient[0]:.1e}, {off_gradient[1]:.1e}")
        found["group"] = off

print("\nbatch norm in training of the constant 0.6, 1 x 64 x 128 x 256; 0 is right")
even = torch.full((1, 64, 128, 256), 0.6)
found["batch"] = []
for layout in (torch.contiguous_format, torch.channels_last):
    found["batch"].append(float(torch.nn.BatchNorm2d(64)(even.contiguous(memory_format=layout)).detach().abs().max()))
print(f"contiguous {found['batch'][0]:.1e}, channels_last {found['batch'][1]:.1e}")

if all(contiguous < 1e-4 and channels_last > 1e-3 for contiguous, channels_last in found.values()):
    print("\nstill so: the layout of an image in memory changes what a norm gives")
    sys.exit(0)
print("\nno longer so")
sys.exit(1)
PYTHON
