"""A suite on a Ray cluster of two nodes: a node that dies costs nothing, and stopping leaves nothing behind."""

import _thread
import importlib.metadata
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BOUND, refused, search_path
from test_bench_stop import end, processes_of
from tiny_suite import (
    RECIPES,
    log_of,
    plan_of,
    scores_in,
    start,
    undisturbed_scores,
    write_suite,
)

from daframework.errors import RunError
from daframework.suites import launch
from daframework.suites.cluster import Needs, choose_needs, ray_cluster
from daframework.suites.processes import run_cells

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
ray_utils = pytest.importorskip("ray._private.utils")

FILES = {"one.toml": RECIPES["one.toml"]}
ONLY = ["source_only"]
"""The references alone, with each of two tasks: both nodes have a run at once."""


@pytest.fixture(scope="module")
def cluster(site):
    """A head with one CPU, whose tasks find the tiny parts; tests add a second node."""
    folder = tempfile.mkdtemp(prefix="ray")  # pytest's are too long for the names of sockets
    # Where Ray notes the newest cluster, whatever folder that has; on a machine that never ran Ray it fails without.
    Path(ray_utils.get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)
    head = {"include_dashboard": False, "temp_dir": folder, "env_vars": parts(site)}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def parts(site):
    """Where runs on a node find the tiny parts."""
    return {"PYTHONPATH": search_path(site)}


class HeldNode:
    """A second node with one CPU, on which a run holds still at a stage and step."""

    def __init__(self, cluster, site, moment, file):
        self.cluster, self.file = cluster, file
        self.node = cluster.add_node(env_vars=parts(site) | {"BRAKE": moment, "BRAKE_FILE": str(file)})

    def wait_for(self, process):
        """Return when a run of ``process`` holds still."""
        until(self.file.exists, lambda: process.poll() is None or pytest.fail(str(process.communicate())))

    def kill(self):
        if self.node in self.cluster.worker_nodes:
            self.cluster.remove_node(self.node, allow_graceful=False)


@pytest.fixture
def second_node(cluster, site, tmp_path):
    nodes = []

    def add(moment):
        nodes.append(HeldNode(cluster, site, moment, tmp_path / "reached"))
        return nodes[-1]

    yield add
    for node in nodes:
        node.kill()


def until(holds, sound=lambda: True):
    """Return once ``holds()``; fail where that takes too long or something is not ``sound()`` any more."""
    late = time.monotonic() + BOUND
    while not holds():
        assert sound() and time.monotonic() < late
        time.sleep(0.05)


@pytest.fixture
def undisturbed(plugins, tmp_path, session, daf):
    """The tables of the same suite made one run after another in this process."""
    return undisturbed_scores(plugins, tmp_path / "undisturbed", session, daf, FILES, only=ONLY)


def test_a_node_killed_in_mid_run_leaves_the_table_as_it_is_on_one_machine(
    site, cluster, second_node, plugins, tmp_path, undisturbed
):
    plan = plan_of(plugins, tmp_path, FILES, only=ONLY)
    second = second_node("training on source_only 8")
    process = start(site, tmp_path / "suite.toml", "--out", plan.out, "--on", f"ray:{cluster.address}", "--only", *ONLY)
    second.wait_for(process)
    second.kill()
    text, errors = process.communicate()
    assert process.returncode == 0 and text.startswith("narrow: mIoU on the target's test set"), errors
    assert scores_in(plan.out) == undisturbed
    (name,) = {line.split(": ")[1] for line in errors.splitlines() if "its node or worker died" in line}
    log = log_of(plan.out, name)
    assert log.count("begins") == 2 and "training on source_only: 16 steps, 6 done before" in log
    assert errors.count("begins") == 2 and processes_of(plan.out) == []


# Ray has a handler of its own for the second.
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_asked_to_stop_runs_save_and_the_cluster_is_left_free(site, cluster, second_node, plugins, tmp_path, number):
    plan = plan_of(plugins, tmp_path, FILES, only=ONLY)
    second = second_node("training on source_only 4")
    process = start(site, tmp_path / "suite.toml", "--out", plan.out, "--on", f"ray:{cluster.address}", "--only", *ONLY)
    second.wait_for(process)
    running = processes_of(plan.out)
    os.killpg(process.pid, number)
    text, errors = process.communicate()
    assert (process.returncode, text) == (128 + number, "")
    # The run on the other node is not held, and may have ended.
    assert re.search(r"stopped with [12] of 2 runs left; the same command goes on from there\n\Z", errors), errors
    assert end(running) and processes_of(plan.out) == []
    said = [launch.last_line(plan.out / "logs" / f"{task}/source_only/seed0.txt") for task in plan.tasks]
    assert any(line.startswith("stopped after step 5 of 16 of training on source_only") for line in said), said
    with ray_cluster(cluster.address, None):
        until(lambda: ray.available_resources().get("CPU") == 2)


# --- what can be wrong with a node ---


class Unwatched:
    def started(self, cell): ...
    def says(self, cell, line): ...
    def ended(self, cell, seconds, failure): ...


def test_a_run_whose_workers_all_die_is_given_up(cluster, plugins, tmp_path, monkeypatch, capsys):
    plan = plan_of(plugins, tmp_path, FILES, only=ONLY)
    dies, raises = plan.cells[:2]
    monkeypatch.setattr(launch, "run_on_node", lambda name, **_: os._exit(1) if name == dies.name else 1 / 0)
    monkeypatch.setattr("daframework.suites.cluster._TRIES", 2)
    with ray_cluster(cluster.address, None) as executor:
        failures = run_cells(plan, [dies, raises], executor, Unwatched(), lambda: False)
    why = "its node or worker died, 2 times; the last time: The worker died unexpectedly"
    assert failures.pop(dies.name).startswith(why) and failures == {raises.name: "division by zero"}
    assert capsys.readouterr().err.count("it goes on elsewhere from its last checkpoint\n") == 1


@pytest.fixture
def request_of(tmp_path):
    """What a node is sent for a run, with some of it changed."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("seed = 0\n")

    def make(**changes):
        sound = {
            "name": "one",
            "recipe": recipe,
            "content": recipe.read_bytes(),
            "folder": tmp_path,
            "log": tmp_path / "logs" / "one.txt",
            "working": tmp_path,
            "version": importlib.metadata.version("daframework"),
            "threads": 3,
        }
        return sound | changes

    return make


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"version": "9.1"}, r"has daframework .*, and it was started by 9\.1; install one on all nodes"),
        ({"content": b"seed = 1\n"}, r" is not a folder that all nodes share: node .* does not see its recipe\.toml"),
        ({"recipe": Path("/no/recipe.toml")}, r"/no is not a folder that all nodes share: node .* does not see its "),
        (
            {"working": Path("/no/folder")},
            r"has no folder /no/folder; start it in a folder that all nodes share",
        ),
    ],
)
def test_a_node_that_cannot_carry_out_a_run_says_why(request_of, changes, says, tmp_path):
    code, said = launch.run_on_node(**request_of(**changes))
    assert code == 1
    refused((1, "", said), says)
    assert not (tmp_path / "logs").exists()


def test_a_node_without_daframework_says_so(request_of, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    request = request_of(version="9.1")
    monkeypatch.setattr(importlib.metadata, "version", missing)
    refused((*launch.run_on_node(**request)[:1], "", launch.run_on_node(**request)[1]), "has no daframework")


def test_a_node_runs_the_recipe_where_the_suite_was_started_with_its_share_of_threads(
    request_of, tmp_path, monkeypatch
):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS $PWD $@"; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    code, said = launch.run_on_node(**request_of())
    assert code == 3
    assert said == f"3 {tmp_path} -P -m daframework run {tmp_path}/recipe.toml --out {tmp_path} --until-stdin-closes"


def test_a_run_is_interrupted_where_ray_was_started_by_a_script_in_the_background(request_of, tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep {BOUND}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    def interrupt():
        until((tmp_path / "begun").exists)
        _thread.interrupt_main()  # as Ray does

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
            pool.submit(interrupt)
            launch.run_on_node(**request_of())
    finally:
        signal.signal(signal.SIGINT, before)


# --- what each run needs ---


@pytest.mark.parametrize(
    "nodes, jobs, needs",
    [
        ([{"CPU": 2}], None, Needs(1, 0.0, 2)),
        ([{"CPU": 64}, {"CPU": 32}], None, Needs(4, 0.0, 24)),
        ([{}, {"CPU": 2}, {"CPU": 2}], None, Needs(1, 0.0, 4)),
        ([{"CPU": 8}, {"CPU": 8}], 3, Needs(4, 0.0, 4)),
        ([{"CPU": 8}, {"CPU": 8}], 1, Needs(8, 0.0, 2)),
        ([{"CPU": 2}], 5, Needs(1, 0.0, 2)),
        ([{"CPU": 96}, {"CPU": 16, "GPU": 8}, {"CPU": 64, "GPU": 4}], None, Needs(2, 1.0, 12)),
        ([{"CPU": 16, "GPU": 2}], 1, Needs(8, 1.0, 2)),
        ([{"CPU": 16, "GPU": 2}], 4, Needs(4, 0.5, 4)),
        ([{"CPU": 2, "GPU": 1}], 7, Needs(0, 0.1428, 7)),
    ],
)
def test_one_run_a_gpu_or_else_as_many_cpus_as_fit(nodes, jobs, needs):
    assert choose_needs(nodes, jobs) == needs


def test_a_cluster_without_a_cpu_is_refused():
    with pytest.raises(RunError, match="no node of the Ray cluster has a CPU or a GPU"):
        choose_needs([{"memory": 3.0}], None)


# --- --on ---


def test_another_place_than_ray_is_refused(daf, tmp_path):
    code, _, errors = daf("bench", write_suite(tmp_path, FILES), "--on", "slurm:4")
    assert code == 2 and "'--on': must be ray, or ray:HOST:PORT for the cluster at that address, not slurm:4" in errors


def refusal(result):
    """The result without the line that says which suite it is."""
    code, out, errors = result
    return code, out, errors.partition("\n")[2]


def test_ray_client_is_refused(daf, tmp_path, monkeypatch):
    path = write_suite(tmp_path, FILES)
    refused(refusal(daf("bench", path, "--on", "ray:ray://head:10001")), r"Ray Client \(ray://\) is not supported")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    refused(refusal(daf("bench", path, "--on", "ray")), r"Ray Client \(ray://\) is not supported")


@pytest.mark.parametrize("address, says", [("127.0.0.1:1", "refused"), ("nowhere", "Invalid address format")])
def test_an_address_without_a_cluster_is_refused(daf, tmp_path, address, says):
    result = daf("bench", write_suite(tmp_path, FILES), "--on", f"ray:{address}")
    refused(refusal(result), f"no Ray cluster at {address}: .*{says}")


def test_without_ray_the_error_says_how_to_get_it(daf, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "daframework.suites.cluster")
    result = daf("bench", write_suite(tmp_path, FILES), "--on", "ray")
    refused(refusal(result), r"--on ray needs Ray .*pip install 'daframework\[ray\]'")


def test_neither_a_dry_run_nor_a_collection_asks_for_ray(daf, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = write_suite(tmp_path, FILES)
    assert daf("bench", path, "--on", "ray", "--dry-run")[0] == 0
    assert "holds no finished run" in daf("bench", path, "--on", "ray", "--collect")[2]
