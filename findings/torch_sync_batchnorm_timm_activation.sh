#!/usr/bin/env bash
# What surprises: torch.nn.SyncBatchNorm.convert_sync_batchnorm takes the activations out of timm's convolutional networks,
# without a word. timm's BatchNormAct2d is an nn.BatchNorm2d whose forward also drops and activates; the conversion goes by
# the class, makes a plain SyncBatchNorm of it, and leaves its children behind. Weights, their names and all shapes stay what
# they are. timm.layers.convert_sync_batchnorm keeps the activations; neither that function's existence nor the loss is
# mentioned in the documentation of PyTorch's.
#
# Why it matters here: it is what training on several GPUs calls (Lightning's sync_batchnorm=True, most training scripts), and
# a checkpoint trained so is loaded by one process with the activations in it: another network than was trained, whose
# scores are bad for no reason that can be seen. segmentation-models-pytorch takes its "tu-" encoders from timm.
#
# Needs bash, python3 with venv, pip with access to PyPI, 6 GB below the temporary folder. Exits 1 once it is no longer so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir torch==2.14.1 torchvision==0.29.1 timm==1.0.31

"$folder/venv/bin/python" - <<'PYTHON'
import copy
import sys
import warnings

import timm
import torch
from timm.layers import convert_sync_batchnorm
from torch import nn

print(f"torch {torch.__version__}, timm {timm.__version__}, CPU, in eval mode, random weights")
conversions = {
    "as it is": lambda network: network,
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm": nn.SyncBatchNorm.convert_sync_batchnorm,
    "timm.layers.convert_sync_batchnorm": convert_sync_batchnorm,
}
still = True
for name in ("tf_efficientnet_lite0", "mobilenetv3_small_100", "regnety_002", "resnet18"):
    torch.manual_seed(0)
    network = timm.create_model(name).eval()
    image = torch.randn(1, 3, 64, 64)
    print(f"\n{name}, of class {type(next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))).__name__}")
    logits, lost = {}, {}
    for title, convert in conversions.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = convert(copy.deepcopy(network)).eval()
        assert list(converted.state_dict()) == list(network.state_dict())
        called = []
        for module in converted.modules():
            if isinstance(module, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardswish | nn.Sigmoid | nn.Hardsigmoid):
                module.register_forward_hook(lambda *_: called.append(1))
        with torch.no_grad():
            logits[title] = converted(image)
        off = float((logits[title] - logits["as it is"]).abs().max() / logits["as it is"].abs().max())
        lost[title] = off > 0.01
        print(f"  {title:46} {len(called):3} activations, {'other' if lost[title] else 'the same'} logits")
    expected = [False, name != "resnet18", False]  # its activations are modules of their own
    still &= list(lost.values()) == expected

if still:
    print("\nstill so: PyTorch's conversion loses the activations that are part of timm's norms")
    sys.exit(0)
print("\nno longer so")
sys.exit(1)
PYTHON
