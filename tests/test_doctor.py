"""`daf doctor`: what is there is ok, what is amiss comes with what to do, and nothing that is broken breaks it."""

import json
import os
import re
import subprocess
import sys
import warnings
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest
from conftest import install

from daframework import doctor, extras
from daframework.doctor import NOTE, OK, PROBLEM, examine


def test_a_sound_machine_has_a_line_for_each_thing(daf, monkeypatch, tmp_path):
    monkeypatch.setenv("DAF_DATA", str(tmp_path))
    monkeypatch.delenv("DAF_BLOCK")
    code, out, errors = daf("doctor")
    named = dict(re.findall(r"^(?:ok|note) +(.+?)  +(\S.*)$", out, re.MULTILINE))
    parts = {"torch", "bf16 on the CPU", "threads", "cores", "C++ compiler", "packages", "extra tune", "plugins"}
    assert (code, errors) == (0, "") and parts | {"runs folder", "DAF_DATA"} <= named.keys()
    assert "cyclegan (daframework" in named["plugins"] and "click 8" in named["packages"]
    assert "OMP_NUM_THREADS=" in named["threads"] and "affinity " in named["cores"]


def test_json_says_the_same_and_a_problem_ends_with_1(daf, monkeypatch):
    monkeypatch.setenv("DAF_DATA", "not/there")
    code, out, _ = daf("doctor", "--json")
    found = {one["what"]: one for one in json.loads(out)}
    assert code == 1 and found["torch"]["state"] == OK
    remedy = "set it to the folder that holds the datasets"
    assert found["DAF_DATA"] == {
        "what": "DAF_DATA",
        "state": PROBLEM,
        "found": "not/there is no folder",
        "remedy": remedy,
    }


@pytest.mark.parametrize("fault", ["raise ImportError('libcudart.so.13: no such file')", "import sys; sys.exit(3)"])
def test_a_broken_torch_is_said_and_the_rest_is_looked_at(fault, installed, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text(fault)
    path = f"{tmp_path / 'broken'}:{os.environ['PYTHONPATH']}"
    command = [sys.executable, "-m", "daframework", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, cwd=tmp_path)
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1 and found["torch"]["state"] == PROBLEM
    assert re.search("libcudart.so.13: no such file|SystemExit: 3", found["torch"]["found"])
    assert found["packages"]["state"] == OK and "GPU" not in found and "Traceback" not in done.stderr


def test_each_plugin_that_fails_is_named_with_why(installed, monkeypatch):
    (installed / "daf_gone.py").write_text("import not_there_at_all")
    install(installed, "daf-gone", "0.3", {"gone": "daf_gone"})
    install(installed, "daf-off", "0.3", {"off": "daf_off"})
    monkeypatch.setenv("DAF_BLOCK", "off")
    found = [(one.state, one.found) for one in doctor._plugins()][1:]
    (broken, blocked) = found
    assert broken[0] == PROBLEM and broken[1].startswith(
        "plugin gone (daf-gone 0.3) cannot be imported: ModuleNotFound"
    )
    assert blocked == (NOTE, "plugin off (daf-off 0.3) is blocked by DAF_BLOCK")


def test_what_cannot_be_looked_at_is_a_problem_and_not_the_end(monkeypatch):
    def fail():
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "_disk", fail)
    monkeypatch.setattr(doctor, "_plugins", list)
    states = {one.what: one for one in examine()}
    assert states["doctor"].found == "a part cannot be looked at: OSError: no such device" and "packages" in states


def test_a_package_that_is_missing_or_too_old_is_a_problem_and_an_extra_is_not(monkeypatch):
    def version(name):
        if name in ("kornia", "optuna"):
            raise PackageNotFoundError(name)
        return "1.0" if name == "torch" else "2000.0"

    monkeypatch.setattr(extras, "version", version)
    wrong = [(one.found, one.remedy) for one in doctor._packages() if one.state == PROBLEM]
    assert wrong == [
        ("kornia is not installed", 'pip install "kornia>=0.8"'),
        ("torch 1.0 is there, and >=2.6 is needed", 'pip install "torch>=2.6"'),
    ]
    told = {one.what: (one.state, one.remedy) for one in doctor._extras()}
    assert told["extra tune"] == (NOTE, 'for what needs it: pip install "daframework[tune]"')
    assert told["extra ray"] == (OK, "") and "extra test" not in told


def fake_torch(cards, *, bf16=True, told=None, cuda="13.0"):
    def is_available():
        if told:
            warnings.warn(told, stacklevel=2)
        return bool(cards)

    return SimpleNamespace(
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=is_available,
            device_count=lambda: len(cards),
            get_device_properties=lambda number: SimpleNamespace(name=cards[number], total_memory=80 * 2**30),
            is_bf16_supported=lambda including_emulation: bf16,
        ),
    )


@pytest.mark.parametrize(
    "torch, driver, lines",
    [
        (fake_torch([]), None, ["note none, so networks compute on the CPU"]),
        (
            fake_torch([], cuda=None),
            "570.1",
            ["problem driver 570.1 is there, .* use it: torch was made for CUDA None"],
        ),
        (fake_torch([], told="driver too old"), "390.1", ["problem driver 390.1 is there, .* it: driver too old"]),
        (fake_torch(["A100"]), "570.1", ["ok A100, 80 GiB, driver 570.1", "ok in hardware"]),
        (
            fake_torch(["T4", "T4"], bf16=False),
            None,
            ["ok T4", "ok T4, 80 GiB, driver unknown", "note not in hardware"],
        ),
    ],
)
def test_a_gpu_that_is_there_is_told_from_one_that_torch_cannot_use(torch, driver, lines, monkeypatch):
    monkeypatch.setattr(doctor, "_driver", lambda: driver)
    found = [f"{one.state} {one.found}" for one in doctor._gpus(torch)]
    assert len(found) == len(lines) and all(map(re.match, lines, found)), found


@pytest.mark.parametrize(("threads", "state"), [(4, OK), (64, PROBLEM)])
def test_more_threads_than_cores_are_a_problem(threads, state, monkeypatch):
    monkeypatch.setattr(doctor, "given_cores", lambda: 4)
    (found,) = doctor._threads(SimpleNamespace(get_num_threads=lambda: threads))
    assert (found.state, found.remedy) == (state, "set OMP_NUM_THREADS=4" * (state == PROBLEM))


def test_cores_that_a_scheduler_takes_away_and_others_use_are_said(monkeypatch):
    monkeypatch.setattr(doctor, "core_limits", lambda: {"a cgroup's quota": 1.5, "SLURM_CPUS_PER_TASK": float("inf")})
    monkeypatch.setattr(doctor, "affinity_cores", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (1e6, 0, 0))
    (found,) = doctor._cores()
    assert found.state == NOTE and "affinity 8, a cgroup's quota 1.5; load average 1000000.0" in found.found


def test_no_more_than_is_done_already_is_advised_on_cores_that_others_use(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (1e6, 0, 0))
    for cores, threads, advised in ((4, "4", True), (4, "1", False), (1, "4", False)):
        monkeypatch.setattr(doctor, "given_cores", lambda cores=cores: cores)
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        (found,) = doctor._cores()
        assert found.state == NOTE and found.remedy.endswith("; try OMP_NUM_THREADS=1") == advised


def test_a_compiler_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("CXX", "not-there-g++")
    (found,) = doctor._compiler()
    assert (found.state, found.found.partition(",")[0]) == (NOTE, "CXX=not-there-g++ is not there")
    assert found.remedy == "unset it, or set it to one that is"


@pytest.mark.parametrize(
    ("gib", "disk", "memory"), [(0.0625, PROBLEM, NOTE), (5, NOTE, OK), (50, OK, OK)], ids=["64 MiB", "5 GiB", "50 GiB"]
)
def test_little_room_on_the_disk_and_in_shared_memory_is_said(gib, disk, memory, monkeypatch):
    free = int(gib * 2**30)
    usage = namedtuple("usage", "free")(free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(doctor, "given_cores", lambda: 2)
    monkeypatch.setenv("DAF_DATA", "/")
    assert [one.state for one in doctor._disk()] == [disk, OK]  # nothing is written among the data
    for found in doctor._memory():
        assert (found.state, "--shm-size=128m" in found.remedy) == (memory, memory == NOTE)
