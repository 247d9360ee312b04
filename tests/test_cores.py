"""Cores that are given, and what is set for the threads that compute on them."""

import os
import subprocess
import sys

import pytest

from daframework import cores
from daframework.cores import THREADS, WAITING, given_cores, share_cores

TWO = {"sys/fs/cgroup/pod/cpu.max": "200000 100000\n"}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder of proc and sys with these files, on a machine of eight cores."""

    def make(group, files, affinity=8):
        monkeypatch.setattr(cores, "affinity_cores", lambda: affinity)
        for name, text in ({"proc/self/cgroup": group} | files).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("group", "files", "wanted"),
    [
        ("0::/pod/run\n", TWO, 2),
        ("0::/pod/run\n", TWO | {"sys/fs/cgroup/pod/run/cpu.max": "max 100000\n"}, 2),
        ("0::/pod/run\n", TWO | {"sys/fs/cgroup/pod/run/cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),
        ("0::/../elsewhere\n", {}, 8),
        ("0::/pod\n", {"sys/fs/cgroup/pod/cpu.max": "unreadable\n"}, 8),
        (
            "4:cpu,cpuacct:/docker/12ab\n3:memory:/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "4:cpu,cpuacct:/\n0::/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("no cgroup at all", {}, 8),
    ],
)
def test_a_cgroups_quota_of_either_version_counts_and_half_a_core_is_one(machine, group, files, wanted):
    assert given_cores({}, machine(group, files)) == wanted


@pytest.mark.parametrize(("said", "wanted"), [("3", 3), ("16", 8), ("many", 8), ("0", 1)])
def test_slurm_gives_no_more_than_it_says(machine, said, wanted):
    assert given_cores({"SLURM_CPUS_PER_TASK": said}, machine("0::/\n", {})) == wanted


def test_an_affinity_of_one_core_gives_one_whatever_the_quota(machine):
    assert given_cores({}, machine("0::/pod\n", TWO, affinity=1)) == 1


def test_threads_are_set_where_fewer_cores_are_given_than_show_and_what_waits_leaves_its_core(machine):
    environment = {}
    said = share_cores(environment, machine("0::/pod\n", TWO))
    assert environment == {THREADS: "2"} | WAITING
    assert said[THREADS] == {"value": "2", "why": "a cgroup's quota leaves so many of 8 cores"}
    assert said.keys() == environment.keys()


def test_torch_goes_by_the_affinity_itself(machine):
    environment = {}
    said = share_cores(environment, machine("0::/\n", {}))
    assert environment == WAITING and said[THREADS]["value"] is None


@pytest.mark.parametrize("name", [THREADS, "OMP_WAIT_POLICY", *WAITING])
def test_what_the_user_set_is_kept_and_told(machine, name):
    environment = {name: "5"}
    said = share_cores(environment, machine("0::/pod\n", TWO))
    assert environment == {name: "5"} | (WAITING if name == THREADS else {THREADS: "2"})
    assert said[name] == {"value": "5", "why": "set by the user"}


def test_importing_daframework_sets_it_before_torch_is_there():
    code = (
        "import os, sys, daframework; assert 'torch' not in sys.modules\n"
        "from daframework.cores import asked_threads, chosen\n"
        "print(os.environ['GOMP_SPINCOUNT'], asked_threads(), chosen['OMP_NUM_THREADS']['why'])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in WAITING} | {THREADS: "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "1000 3 set by the user\n", done.stderr
