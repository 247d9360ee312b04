"""Which precision a run computes in."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from conftest import refused

from daframework.compute.acceleration import bf16_factor, cpu_has_bf16
from daframework.compute.device import MIXED, SINGLE
from daframework.recipes.read import parse
from daframework.registry import load_plugins
from daframework.runs.precision import open_device, precision_for
from daframework.storage.run_folder import RunFolder, open_folder

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def every():
    return load_plugins(extra={"tiny": tiny})


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr("daframework.runs.precision.cpu_has_bf16", lambda: True)


def precision(every, tables, device=CPU, **changes):
    found = precision_for(every, parse(tables | changes, "r"), device)
    return found.translation, found.task


def resnet(channels):
    return {"name": "resnet", "channels": channels, "blocks": 4}


def test_what_a_recipe_asks_for_is_what_it_gets(every, tables, fast):
    tables["hardware"]["precision"] = "64-true"
    assert precision(every, tables, generator=resnet(64)) == ("64-true", "64-true")


def test_a_cpu_with_bf16_takes_it_for_wide_networks_alone(every, tables, fast):
    wide = {"name": "segmentation", "arch": "unet", "encoder": "resnet18"}
    assert precision(every, tables) == (SINGLE, SINGLE)
    assert precision(every, tables, generator=resnet(64)) == (MIXED, SINGLE)
    assert precision(every, tables, task=wide) == (SINGLE, MIXED)


def test_a_cpu_without_bf16_computes_in_single_precision(every, tables, monkeypatch):
    monkeypatch.setattr("daframework.runs.precision.cpu_has_bf16", lambda: False)
    assert precision(every, tables, generator=resnet(64)) == (SINGLE, SINGLE)


def test_the_batch_and_the_crop_do_not_change_the_precision(every, tables, fast):
    for size, batch in (([32, 48], 1), ([96, 128], 8)):
        data = {"crop_size": size, "batch_size": batch}
        assert precision(every, tables, generator=resnet(64), data=data) == (MIXED, SINGLE)


@pytest.mark.parametrize(("supported", "wanted"), [(True, MIXED), (False, SINGLE)])
def test_a_gpu_computes_in_bf16_where_it_has_it(every, tables, monkeypatch, supported, wanted):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    found = precision_for(every, parse(tables, "r"), GPU)
    assert (found.translation, found.task) == (wanted, wanted)
    assert ("no bf16" in found.why) is not supported


def test_the_device_computes_in_the_translations_precision(every, tables, fast):
    tables["generator"] = resnet(64)
    assert open_device(every, parse(tables, "r"))[0]._precision.precision == MIXED


def test_bf16_is_told_from_the_processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line for line in lines if line.startswith("flags")).split()
    except (OSError, StopIteration):
        pytest.skip("this system does not list its processor's abilities")
    assert cpu_has_bf16() == ("avx512_bf16" in flags or "amx_bf16" in flags)


def test_a_run_goes_on_in_the_precision_it_began_with(every, tables, tmp_path, monkeypatch):
    recipe = parse(tables | {"generator": resnet(64)}, "r")
    folder = RunFolder(tmp_path)
    monkeypatch.setattr("daframework.runs.precision.cpu_has_bf16", lambda: False)
    assert open_device(every, recipe, folder)[1].translation == SINGLE
    folder.environment.write_text('{"formats": {"translation": "bf16-mixed", "task": "32-true"}}')
    fabric, precision = open_device(every, recipe, folder)
    assert (precision.translation, precision.task, fabric._precision.precision) == (MIXED, SINGLE, MIXED)
    folder.environment.write_text("{")
    assert open_device(every, recipe, folder)[1].translation == SINGLE


def test_a_run_that_is_slow_in_bf16_here_says_so_and_may_go_on_in_another_precision(
    every, tables, write, daf, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("daframework.runs.precision.cpu_has_bf16", lambda: False)
    monkeypatch.setattr("daframework.runs.precision.bf16_factor", lambda device: 41.23)
    warning = (
        "warning: computing in bf16-mixed, task models in 32-true, as this run has begun: a convolution in bf16 takes "
        "41.2 times as long here as in float32; stop it, and --set hardware.precision=32-true computes the rest in that"
        "\n"
    )
    path, out = write(tables), tmp_path / "run"
    folder = open_folder(out, parse(tables, "r"))
    begun = {"translation": MIXED, "task": SINGLE}
    folder.environment.write_text(json.dumps({"formats": begun}))
    open_device(every, parse(tables, "r"), folder)
    assert capsys.readouterr().err == warning
    tables["hardware"]["precision"] = MIXED
    open_device(every, parse(tables, "r"), RunFolder(tmp_path / "another"))
    assert "as hardware.precision asks: a convolution in bf16 takes 41.2 times" in capsys.readouterr().err

    single = ("run", path, "--out", out, "--set", f"hardware.precision={SINGLE}")
    for _ in range(2):
        code, _, errors = daf(*single)
        assert (code, errors) == (0, "")
    found = json.loads(folder.results.read_text())["environment"]
    assert found["formats"] == {"translation": SINGLE, "task": SINGLE} and found["formats_before"] == [begun]
    refused(daf("run", path, "--out", out), r"another recipe \(hardware\.precision was 32-true, now auto\)")
    for finished in (folder, None):  # nothing is left to compute in another precision
        open_device(every, parse(tables, "r"), finished)
        assert capsys.readouterr().err == ""


def test_a_convolution_is_timed_in_both_precisions():
    assert 0 < bf16_factor(CPU, rounds=1) < 10_000
