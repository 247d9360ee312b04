"""Out of memory: one line that says where, at which sizes and what to lower, and nothing that looks finished."""

import errno
import re
import sys

import attrs
import pytest
import torch
from conftest import install, refused
from tiny import Painter, Pixels
from torch import nn

from daframework import hookimpl
from daframework.cli import main
from daframework.compute.memory import is_out_of_memory, out_of_memory
from daframework.recipes.read import parse

PETABYTES = 2**50
CUDA = (
    "CUDA out of memory. Tried to allocate 20.25 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.2 GiB is free."
)


def use_up(image):
    """Ask for more memory than any machine has; on the meta device, where recipes are checked, nothing is asked for."""
    return torch.empty(PETABYTES, device=image.device)


class Greedy(Painter):
    """Needs too much memory in a step of training, or only where it was loaded to translate a set."""

    def __init__(self, *, spares_training: bool = False) -> None:
        super().__init__()
        self.spares_training, self.trained_here = spares_training, False

    def forward(self, image):
        self.trained_here |= self.training
        if not (self.spares_training and self.trained_here):
            use_up(image)
        return super().forward(image)


class Hungry(nn.Sequential):
    """A task model that needs too much memory."""

    spares_crops = False

    def forward(self, image):
        if not (self.spares_crops and self.training):
            use_up(image)
        return super().forward(image)


class GreedyTask(Pixels):
    def __init__(self, num_classes, spares_crops):
        super().__init__(num_classes, 4, 1)
        self.spares_crops = spares_crops

    def model(self):
        model = Hungry(super().model())
        model.spares_crops = self.spares_crops
        return model


def greedy_task(*, num_classes: int, spares_crops: bool = False) -> GreedyTask:
    return GreedyTask(num_classes, spares_crops)


@hookimpl
def daf_generators():
    return {"greedy": Greedy}


@hookimpl
def daf_tasks():
    return {"greedy": greedy_task}


@pytest.fixture
def greedy(installed):
    install(installed, "daf-greedy", "1", {"greedy": "test_out_of_memory"})


ASKED = r"out of memory \(4,194,304\.00 GiB more were asked for\)"


@pytest.mark.parametrize(
    "changes, says",
    [
        (
            {"generator": {"name": "greedy"}},
            rf"^error: translation: {ASKED} with data\.crop_size = \[16, 24\] and data\.batch_size = 2; "
            r"lower data\.batch_size and raise translation\.accumulate, lower data\.crop_size or "
            r"set hardware\.checkpoint_activations = true$",
        ),
        (
            {"task": {"name": "greedy"}},
            rf"^error: training on source_only: {ASKED} with data\.crop_size = \[16, 24\] and "
            r"downstream\.batch_size = 2; lower downstream\.batch_size or lower data\.crop_size$",
        ),
        (
            {"generator": {"name": "greedy", "spares_training": True}},
            rf"^error: translating: {ASKED} with whole images at their own size and downstream\.batch_size = 2; "
            r"lower downstream\.batch_size or set data\.resize$",
        ),
        (
            {
                "task": {"name": "greedy", "spares_crops": True},
                "data": {"crop_size": [16, 24], "batch_size": 2, "resize": [32, 48]},
            },
            rf"^error: scoring: {ASKED} with whole images at data\.resize = \[32, 48\] and downstream\.batch_size = 2; "
            r"lower downstream\.batch_size or lower data\.resize$",
        ),
    ],
    ids=["translation", "training", "translating", "scoring"],
)
def test_one_line_says_which_stage_at_which_sizes_and_what_to_lower(daf, greedy, write, tables, changes, says):
    refused(daf("run", write(tables | changes), "--out", "run"), says)


def test_nothing_is_left_that_looks_finished(daf, greedy, write, tables, tmp_path):
    path = write(tables | {"generator": {"name": "greedy", "spares_training": True}})
    refused(daf("run", path, "--out", "run"), "translating: out of memory")
    run = tmp_path / "work" / "run"
    assert not (run / "results.json").exists()
    assert not (run / "translated").exists()
    assert {file.stem for file in (run / "scores").iterdir()} == {"source_only", "oracle"}
    refused(daf("report", "run"), "holds no finished run")


def test_the_same_command_goes_on_once_there_is_memory(daf, greedy, write, tables, monkeypatch):
    path = write(tables | {"generator": {"name": "greedy", "spares_training": True}})
    refused(daf("run", path, "--out", "run"), "translating: out of memory")
    monkeypatch.setattr(sys.modules["test_out_of_memory"], "PETABYTES", 1)
    code, out, errors = daf("run", path, "--out", "run")
    assert (code, errors) == (0, "") and "training on source_only" not in out and "translating: 6 steps" in out


def test_debug_shows_where_the_memory_was_asked_for(daf, greedy, write, tables, monkeypatch):
    path = write(tables | {"generator": {"name": "greedy"}})
    monkeypatch.setattr(sys, "argv", ["daf", "--debug", "run", str(path)])
    with pytest.raises(Exception, match="translation: out of memory") as caught:
        main()
    assert "can't allocate memory" in str(caught.value.__cause__)


# --- telling it from other errors ---


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(CUDA),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:30]}",
)
def test_every_way_in_which_memory_runs_out_is_known(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.ENOSPC, "No space"), ValueError("x")])
def test_another_error_is_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_the_amount_is_as_the_device_says_it(recipe):
    line = out_of_memory(recipe, "translation", torch.OutOfMemoryError(CUDA))
    assert line.startswith("translation: out of memory (20.25 GiB more were asked for) with ")
    assert out_of_memory(recipe, "translation", MemoryError()).startswith("translation: out of memory with ")


def test_what_is_done_already_is_not_advised(tables):
    tables["hardware"]["checkpoint_activations"] = True
    tables["data"]["batch_size"] = tables["downstream"]["batch_size"] = 1
    recipe = parse(tables, "r")
    for stage in ("translation", "training on oracle", "scoring"):
        assert "lower data.batch_size" not in out_of_memory(recipe, stage, MemoryError())
        assert "lower downstream.batch_size" not in out_of_memory(recipe, stage, MemoryError())
    assert out_of_memory(recipe, "translation", MemoryError()).endswith("data.batch_size = 1; lower data.crop_size")


@pytest.mark.parametrize("stage", ["translation", "training on oracle", "scoring", "translating", "counting classes"])
def test_every_key_that_is_named_exists(recipe, stage):
    named = re.findall(r"\b([a-z]+)\.(\w+)", out_of_memory(recipe, stage, MemoryError()))
    assert named
    for table, key in named:
        assert key in attrs.fields_dict(type(getattr(recipe, table))), f"{table}.{key}"
