"""How the runs of a suite are started, dealt out and judged; a small program stands in for ``daf run``."""

import re
import sys

import pytest
from tiny_suite import finish, log_of, plan_of

from daframework.errors import StoppedError
from daframework.suites.processes import Slots, choose_slots, last_line, run_cells


@pytest.fixture
def plan(plugins, tmp_path):
    return plan_of(plugins, tmp_path)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Let this shell script stand in for the interpreter of runs."""

    def stand_in(script):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return stand_in


class Watched:
    """A view that keeps what it was told, and how many runs went on at most."""

    def __init__(self):
        self.events, self.running, self.most, self.failures = [], set(), 0, {}

    def started(self, cell):
        self.events.append(("begins", cell.name))
        self.running.add(cell.name)
        self.most = max(self.most, len(self.running))

    def says(self, cell, line):
        assert cell.name in self.running

    def ended(self, cell, seconds, failure):
        self.events.append(("ends", cell.name))
        self.running.discard(cell.name)
        self.failures[cell.name] = failure


def go(plan, cells=None, jobs=2, devices=(), stopping=lambda: False):
    view = Watched()
    failures = run_cells(plan, plan.cells if cells is None else cells, Slots(jobs, 3, devices), view, stopping)
    assert {name: why for name, why in view.failures.items() if why is not None} == failures
    return view


# --- slots ---


@pytest.mark.parametrize(
    "jobs, devices, cores, shown, slots",
    [
        (None, 0, 2, None, Slots(2, 1)),
        (None, 0, 64, None, Slots(8, 8)),
        (None, 0, 1, None, Slots(1, 1)),
        (3, 0, 8, None, Slots(3, 2)),
        (9, 0, 4, None, Slots(9, 1)),
        (None, 2, 16, None, Slots(2, 8, ("0", "1"))),
        (4, 2, 16, None, Slots(4, 4, ("0", "1"))),
        (None, 2, 16, "3,5", Slots(2, 8, ("3", "5"))),
        (None, 1, 16, "GPU-8f1a", Slots(1, 16, ("GPU-8f1a",))),
        (None, 0, 2, "", Slots(2, 1)),
    ],
)
def test_one_run_a_gpu_or_else_one_a_core_up_to_eight(monkeypatch, jobs, devices, cores, shown, slots):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert choose_slots(jobs, devices, cores) == slots
    assert choose_slots(jobs, devices, cores, threads=5).threads == 5


def test_gpus_are_dealt_out_and_each_run_gets_its_recipe_and_threads(plan, program):
    program('echo "gpu $CUDA_VISIBLE_DEVICES, threads $OMP_NUM_THREADS, $@"')
    go(plan, devices=("3", "5"), jobs=4)
    said = {cell.name: last_line(plan.out / "logs" / f"{cell.name}.txt") for cell in plan.cells}
    for cell in plan.cells:
        assert said[cell.name].endswith(
            f"threads 3, -P -m daframework run {cell.folder.recipe} --out {cell.folder.path} --until-stdin-closes"
        )
    # Both references begin at once, in the first two slots.
    assert [said[f"{task}/source_only/seed0"][:6] for task in plan.tasks] == ["gpu 3,", "gpu 5,"]


# --- order ---


def test_no_more_runs_go_on_at_once_than_asked_for(plan, program):
    program("exit 3")
    assert go(plan, jobs=1).most == 1
    assert go(plan, jobs=4).most <= 4


def test_a_run_waits_for_what_it_shares_and_for_nothing_else(plan, program):
    program("exit 3")
    events = go(plan, jobs=6).events
    assert [name for what, name in events[:2]] == ["narrow/source_only/seed0", "wide/source_only/seed0"]
    for task in plan.tasks:
        for method in ("one", "coloured"):
            assert events.index(("ends", f"{task}/source_only/seed0")) < events.index(
                ("begins", f"{task}/{method}/seed0")
            )
    assert events.index(("ends", "narrow/one/seed0")) < events.index(("begins", "wide/one/seed0"))
    begins = [name for what, name in events if what == "begins"]
    assert begins.index("wide/coloured/seed0") < begins.index("wide/one/seed0")


def test_what_is_not_to_be_run_is_not_waited_for(plan, program):
    program("exit 3")
    cells = [cell for cell in plan.cells if cell.task == "wide" and cell.method == "one"]
    assert go(plan, cells).events == [("begins", "wide/one/seed0"), ("ends", "wide/one/seed0")]


# --- why a run failed ---


@pytest.mark.parametrize(
    "script, says",
    [
        ("exit 3", "ended with exit code 3"),
        ("exit 0", "ended with exit code 0"),
        ("echo 'error: first'; echo 'error: no [red]memory'; echo; exit 1", "no [red]memory"),
        ("echo 'error: no memory'; echo 'and more'; exit 1", "ended with exit code 1"),
        (
            "kill -9 $$",
            "killed from outside, as for want of memory; lower batch_size, crop_size or --jobs, and run again",
        ),
        ("echo 'error: no memory'; kill -9 $$", "killed from outside, as for want of memory; .*"),
        ("kill -SEGV $$", r"killed by signal 11 \(SIGSEGV\); its log says more"),
        (r"printf '\377error\n'; exit 4", "ended with exit code 4"),
    ],
)
def test_why_a_run_failed_is_what_it_said_last_or_how_it_ended(plan, program, script, says):
    program(script)
    (failure,) = go(plan, plan.cells[:1]).failures.values()
    assert failure == says or re.fullmatch(says, failure)


def test_what_an_earlier_attempt_said_is_no_reason(plan, program):
    program("echo 'error: no disk'; exit 1")
    assert set(go(plan).failures.values()) == {"no disk"}
    program("exit 1")
    assert set(go(plan).failures.values()) == {"ended with exit code 1"}
    log = log_of(plan.out, "narrow/one/seed0").splitlines()
    assert [line.partition(",")[0] for line in log] == [
        "daf: narrow/one/seed0 begins",
        "error: no disk",
        "daf: narrow/one/seed0 begins",
    ]


def test_a_run_that_has_its_results_has_not_failed_however_it_ended(plan, plugins, session, program):
    finish(plugins, plan, plan.cells[0], session)
    program("exit 1")
    assert go(plan, plan.cells[:1]).failures == {"narrow/source_only/seed0": None}


def test_a_run_that_cannot_be_started_costs_one_cell(plan, program):
    program("exit 3")
    (plan.out / "logs").mkdir(parents=True)
    (plan.out / "logs" / "narrow").touch()
    failures = go(plan).failures
    for name, why in failures.items():
        if name.startswith("narrow/"):
            assert "Not a directory" in why and "logs/narrow" in why
        else:
            assert why == "ended with exit code 3"
    assert set(failures) == {cell.name for cell in plan.cells}


# --- stopping ---

LISTENS = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
os.write(1, b"ready\\n")
signal.sigwait({signal.SIGINT})
os.write(1, b"asked\\n")
if signal.sigtimedwait({signal.SIGINT}, 0.5):
    os.write(1, b"asked again\\n")
"""


def test_stopping_ends_what_runs_and_begins_no_more(plan, program):
    program(f"exec {sys.executable} -S -c '{LISTENS}'")
    view = Watched()

    def ready():
        return (
            all((plan.out / "logs" / f"{name}.txt").read_text().endswith("ready\n") for name in view.running)
            and view.most
        )

    with pytest.raises(StoppedError, match="stopped with 6 of 6 runs left"):
        run_cells(plan, plan.cells, Slots(2, 1), view, ready)
    assert view.events == [("begins", "narrow/source_only/seed0"), ("begins", "wide/source_only/seed0")]
    for _, name in view.events:
        assert log_of(plan.out, name).splitlines()[1:] == ["ready", "asked"]


def test_the_last_line_of_a_log_is_found_in_a_long_one(tmp_path):
    path = tmp_path / "log.txt"
    assert last_line(path) == ""
    path.write_bytes(b"first\n" * 10_000 + "the end ü".encode() + b"\n \n\n")
    assert last_line(path) == "the end ü"
    path.write_bytes(b"\n\n")
    assert last_line(path) == ""
