"""A suite that is stopped: killed outright it leaves no process behind, asked it says so; both go on exactly."""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import BOUND
from tiny_suite import RECIPES, SUITE, log_of, plan_of, scores_in, start, undisturbed_scores
from torture.kills import differing, outcome

FILES = {"one.toml": RECIPES["one.toml"]}
CHANGES = {"tasks": SUITE["tasks"][:1]}


@pytest.fixture
def undisturbed(plugins, tmp_path, session, daf):
    """The scores of the same suite made one run after another in this process."""
    return undisturbed_scores(plugins, tmp_path / "undisturbed", session, daf, FILES, **CHANGES)


def processes_of(out):
    """The processes that run something in ``out`` and those that load its images, as descriptors to wait for."""
    groups, found = set(), []
    everyone = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    for process in everyone:
        with suppress(OSError):  # it has just ended
            if f"{out}/".encode() in Path(f"/proc/{process}/cmdline").read_bytes():
                groups.add(os.getpgid(process))
    for process in everyone:
        with suppress(OSError):
            if os.getpgid(process) in groups:
                found.append(os.pidfd_open(process))
    return found


def wait_for_processes(out, count):
    """`processes_of` ``out`` once there are so many: one just started shows its command a little later."""
    until = time.monotonic() + BOUND
    while len(found := processes_of(out)) < count and time.monotonic() < until:
        end(found, 0)
    return found


def end(processes, bound=BOUND):
    """Whether all have ended, soon or by now."""
    ended = []
    for process in processes:
        ended += select.select([process], [], [], bound)[0]
        os.close(process)
    return len(ended) == len(processes)


def hold(site, moment, *arguments, command="bench"):
    """Start a suite or a search, and wait until one of its runs has logged this stage and step, and holds still."""
    *_, out = arguments
    reached = out.parent / "reached"
    process = start(site, *arguments, command=command, BRAKE=moment, BRAKE_FILE=str(reached))
    process.wait_until(reached.exists)
    reached.unlink()
    return process


def test_a_suite_killed_again_and_again_ends_with_the_same_table(site, plugins, tmp_path, undisturbed):
    plan = plan_of(plugins, tmp_path, FILES, **CHANGES)
    arguments = (tmp_path / "suite.toml", "--jobs", "2", "--out", plan.out)

    def kill(process, runs):
        running = wait_for_processes(plan.out, runs)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert len(running) == runs and end(running) and processes_of(plan.out) == []

    process = start(site, *arguments)
    process.wait_until(lambda: process.complains("begins"))
    kill(process, 1)  # while the run's process has hardly begun
    # A run may have processes of its own, which load the images of each domain.
    kill(hold(site, "translation 4", "--set", "hardware.workers=1", *arguments), 3)
    assert not (plan.out / "table.json").exists()
    process = start(site, *arguments)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert scores_in(plan.out) == undisturbed
    for cell in plan.cells:
        # To the last bit; a recipe keeps how many processes loaded images.
        whole = outcome(tmp_path / "undisturbed/bench" / cell.name)
        assert set(differing(whole, outcome(cell.folder.path))) <= {"recipe.toml"} and "checkpoints/oracle.pt" in whole
    # It went on where it was: a checkpoint is saved every second step.
    assert "translation: 4 steps, 2 done before" in log_of(plan.out, "narrow/one/seed0")
    assert "begins" not in errors.replace("narrow/one/seed0: begins", "")


def test_a_suite_that_is_asked_to_stop_asks_its_runs_once_and_goes_on(site, plugins, tmp_path):
    plan = plan_of(plugins, tmp_path, FILES, **CHANGES)
    arguments = (tmp_path / "suite.toml", "--jobs", "2", "--out", plan.out)
    folder = plan.cells[0].folder
    for number, row, step in ((signal.SIGINT, "source_only", 4), (signal.SIGTERM, "oracle", 6)):
        process = hold(site, f"training on {row} {step}", *arguments)
        running = processes_of(plan.out)
        os.killpg(process.pid, number)
        out, errors = process.communicate()
        assert (process.returncode, out) == (128 + number, "")
        assert errors.endswith("stopped with 2 of 2 runs left; the same command goes on from there\n")
        assert len(running) == 1 and end(running)
        # Asked while it logs, it takes one more step; a run that is asked twice leaves without a word of this.
        assert log_of(plan.out, "narrow/source_only/seed0").endswith(
            f"stopped after step {step + 1} of 16 of training on {row}; the same command goes on from there\n"
        )
        assert torch.load(folder.checkpoint(row), weights_only=True)["done"] == step + 1
    assert "training on source_only: 16 steps, 5 done before" in log_of(plan.out, "narrow/source_only/seed0")
