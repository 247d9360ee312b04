"""Compiled networks, their fallback, and the order of images in memory."""

import copy
import subprocess
import sys

import pytest
import torch
from conftest import BOUND
from lightning_fabric import Fabric
from torch import nn

from daf_cyclegan.layers import InstanceNorm, ReflectConv
from daframework.compute import acceleration
from daframework.compute.acceleration import PAYS_FROM, accelerate, lay_out_like_weights
from daframework.recipes.tables import HardwareTable

CPU = torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch):
    """The networks that were asked to compile."""
    asked = []
    monkeypatch.setattr(acceleration, "_can_compile", lambda device: True)
    monkeypatch.setattr(nn.Module, "compile", lambda self: asked.append(self))
    return asked


GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "asked", "steps", "does"),
    [
        (GPU, "auto", PAYS_FROM["cuda"] - 1, False),
        (GPU, "auto", PAYS_FROM["cuda"], True),
        (CPU, "auto", 10**9, False),
        (CPU, "always", 1, True),
        (GPU, "never", 10**9, False),
    ],
)
def test_networks_are_compiled_where_it_pays_or_is_asked_for(compiled, device, asked, steps, does):
    network = nn.Conv2d(3, 3, 1)
    accelerate([network], HardwareTable(compile=asked), steps, device)
    assert compiled == ([network] if does else [])


def test_a_device_that_nobody_measured_is_not_compiled_for(compiled):
    accelerate([nn.Conv2d(3, 3, 1)], HardwareTable(), 10**9, torch.device("meta"))
    assert compiled == []


@pytest.mark.parametrize("asked", ["auto", "never", "always"])
def test_on_a_cpu_images_lie_contiguous_and_a_line_says_so_where_another_order_is_asked_for(asked, capsys):
    acceleration._cannot_be_channels_last.cache_clear()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for _ in range(2):
        order = accelerate([network], HardwareTable(channels_last=asked, compile="never"), 1, CPU)
        assert order is torch.contiguous_format
    assert network[0].weight.is_contiguous()
    assert capsys.readouterr().err.count("warning: hardware.channels_last: images stay contiguous on a CPU") == (
        asked == "always"
    )


def test_on_a_gpu_channels_last_is_done_where_it_is_asked_for():
    network = nn.Conv2d(3, 4, 3)
    hardware = HardwareTable(channels_last="always", compile="never")
    assert accelerate([network], hardware, 1, GPU) is torch.channels_last
    assert network.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("norm", "order"), [("batch", torch.channels_last), ("none", torch.contiguous_format)])
def test_on_a_gpu_uncompiled_networks_with_batch_norm_get_channels_last(norm, order):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm == "batch" else nn.ReLU())
    assert accelerate([network], HardwareTable(compile="never"), 1, GPU) is order


def test_without_a_compiler_networks_compute_uncompiled_and_one_line_says_so():
    script = """
import torch
from torch import nn
from daframework.compute.acceleration import accelerate
from daframework.recipes.tables import HardwareTable
network = nn.Conv2d(3, 3, 1)
for _ in range(2):
    accelerate([network], HardwareTable(compile="always"), 1, torch.device("cpu"))
assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": "", "CXX": "no-such-compiler", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
        timeout=BOUND,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1
    assert lines[0].startswith("warning: torch.compile does not work here, so networks compute uncompiled and slower:")
    assert "Traceback" not in done.stderr


def test_a_compiled_network_computes_what_it_did_before():
    if not acceleration._can_compile("cpu"):
        pytest.skip("torch.compile does not work here")
    torch.manual_seed(0)
    plain = nn.Sequential(ReflectConv(3, 4, 3), InstanceNorm(), nn.ReLU())
    network = copy.deepcopy(plain)
    accelerate([network], HardwareTable(compile="always"), 1, CPU)
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    found = []
    for one in (plain, network):
        translated = one(image)
        translated.square().mean().backward()
        found.append((translated.detach(), next(one.parameters()).grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


# --- going on from a checkpoint of another memory format ---


@pytest.mark.parametrize("saved_in", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("goes_on_in", [torch.contiguous_format, torch.channels_last])
def test_an_optimiser_goes_on_in_another_order_with_the_same_numbers(saved_in, goes_on_in):
    def made(order):
        torch.manual_seed(0)
        network = nn.Conv2d(3, 4, 3).to(memory_format=order)
        return network, *Fabric(accelerator="cpu", devices=1).setup(
            network, torch.optim.Adam(network.parameters(), fused=True)
        )

    def step(module, optimizer, number):
        torch.manual_seed(number)
        optimizer.zero_grad()
        module(torch.rand(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()

    network, module, optimizer = made(saved_in)
    step(module, optimizer, 1)
    weights, state = copy.deepcopy(network.state_dict()), copy.deepcopy(optimizer.state_dict())
    step(module, optimizer, 2)
    other, module, optimizer = made(torch.contiguous_format)
    other.load_state_dict(weights)
    optimizer.load_state_dict(state)
    other.to(memory_format=goes_on_in)
    lay_out_like_weights(optimizer)
    step(module, optimizer, 2)
    torch.testing.assert_close(other.weight, network.weight, rtol=0, atol=1e-6)
