"""The speed benchmarks: each at small sizes, and the clocks they share."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import refused

CPU = torch.device("cpu")
TINY = ["--first", "1", "--block", "1", "--rounds", "1", "--device", "cpu"]
SEGMENT = ["segment.py", *TINY, "--sizes", "32x48", "--batch", "2", "--images", "3"]
SCALE = ["scale.py", *TINY, "--seconds", "0", "--sizes", "32x48", "--batches", "--images", "--workers"]


pytestmark = pytest.mark.usefixtures("speed")


@pytest.fixture
def measured(script, tmp_path):
    """What a script wrote as JSON, and the last paragraph that it printed, as lines."""

    def run(name, *arguments):
        code, out, errors = script(name, *arguments, "--out", tmp_path / "out.json")
        assert code == 0, errors
        found = json.loads((tmp_path / "out.json").read_text())
        assert {"commit", "processor", "threads", "device"} <= found["environment"].keys()
        return found, out.strip().rpartition("\n\n")[2].splitlines()

    return run


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to go on."""
    import timing

    stopped = SimpleNamespace(now=0.0, perf_counter=lambda: stopped.now)
    monkeypatch.setattr(timing, "time", stopped)
    return stopped


@pytest.fixture
def stand_in(tmp_path):
    """A program of this shell script."""

    def write(script):
        (tmp_path / "program").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "program").chmod(0o755)
        return str(tmp_path / "program")

    return write


def test_start_times_whole_commands_against_their_bars(measured, stand_in, monkeypatch):
    monkeypatch.setattr(sys, "executable", stand_in("echo 'import time: 7 | 7 | torch._C' >&2"))
    found, table = measured("start.py", "--rounds", 1, "--recipes", "cyclegan")
    commands = found["commands"]
    assert list(commands) == ["python -c pass", "import daframework", "daf --help", "daf check cyclegan"]
    assert [one["bar"] for one in commands.values()] == [None, None, 0.25, 3.0]
    assert all(0 < one["median"] <= one["worst"] for one in commands.values())
    assert found["imports"] == {"torch": 7e-6}
    assert table[1].split()[:2] == ["command", "median"] and len(table) == 2 + len(commands)


def test_what_python_says_of_imports_is_added_up_by_package():
    from start import import_seconds

    assert import_seconds("-c", "import json.tool")["json"] > 0


def test_busy_runs_a_recipe_beside_busy_processes_and_against_another_python(
    measured, installed, write, tables, stand_in
):
    stages = '{"seconds": {"translation": 1, "training on tiny": 1}}'
    other = stand_in(
        f"""test "$1 $2 $3 $5" = "-m daframework run --out" && mkdir "$6" && echo '{stages}' > "$6/results.json" """
    )
    found, table = measured("busy.py", "--rounds", 1, "--busy", 0, "--recipe", write(tables), "--other", other)
    assert list(found["busy"]) == ["0"] and list(found["busy"]["0"]) == ["this", "other"]
    for (one,) in found["busy"]["0"].values():
        assert one["wall"] > 0 < one["cpu"] and {"translation", "training on tiny"} <= one["stages"].keys()
    assert table[1].split()[:3] == ["busy", "python", "wall"] and len(table) == 4


def test_what_keeps_a_core_busy_ends_with_the_measurement():
    from busy import busy

    with busy(2) as processes:
        assert [one.poll() for one in processes] == [None, None]
    assert [one.poll() for one in processes] == [-9, -9]


def test_a_command_that_fails_stops_the_benchmark(script):
    code, _, errors = script("start.py", "--rounds", "1", "--recipes", "no_such")
    assert code == 1 and "no recipe named 'no_such'" in errors and "Traceback" not in errors


def test_segment_times_training_and_scoring_against_a_plain_loop(measured):
    found, table = measured(*SEGMENT)
    (case,) = found["cases"]
    assert (case["size"], case["batch_size"]) == ([32, 48], 2)
    for stage in ("fit", "score"):
        rates = case[stage]["images_per_second"]
        assert case[stage]["ratio"] == pytest.approx(rates["ours"] / rates["plain"])
        assert [len(seconds) for seconds in case[stage]["seconds"].values()] == [1, 1]
    assert [line[:5] for line in table[2:]] == ["fit 3", "score"]


def test_scale_trains_at_each_point_and_tells_what_it_cost(measured):
    found, table = measured(*SCALE)
    series = found["series"]
    (point,) = series["image size"]["points"]
    assert (point["size"], point["batch"], point["images"], point["workers"]) == ([32, 48], 4, 100, 0)
    costs = ("ms_per_step", "images_per_second", "peak_megabytes", "seconds_to_open", "seconds_to_prepare")
    assert all(point[cost] > 0 for cost in costs)
    assert [one["points"] for one in series.values()] == [[point], [], [], []]
    assert table[1].split() == ["ms/step", "images/s", "peak", "MB", "open", "s"]
    assert [line[:18] for line in table[2:]] == ["image size 32 x 48"]


def test_points_that_series_have_in_common_are_measured_once_and_slopes_go_by_pixels(monkeypatch):
    import scale

    def measure(_, point, root, asked, device):
        points.append(point)
        assert len(list((root / "images").iterdir())) == len(list((root / "labels").iterdir())) == point.images
        pixels = point.size[0] * point.size[1]
        costs = {"ms_per_step": pixels * point.batch, "peak_megabytes": 7.0, "seconds_to_open": point.images / 100}
        return {"size": point.size, "batch": point.batch, "images": point.images, "workers": point.workers} | costs

    points: list[scale.Point] = []
    monkeypatch.setattr(scale, "in_child", measure)
    base = scale.Point(size=(8, 8), batch=4, images=2, workers=0)
    asked = SimpleNamespace(sizes=[(8, 8), (16, 16)], batches=[4, 8], images=[2, 40], workers=[0, 1])
    found = scale.measure_series(base, asked, CPU)
    assert len(points) == len(set(points)) == 5
    assert [one["slopes"]["ms_per_step"] for one in found.values()] == [*map(pytest.approx, (1, 1, 0)), None]
    assert found["images of the set"]["slopes"]["seconds_to_open"] == pytest.approx(1)


def test_a_key_that_the_recipe_does_not_have_is_a_line(script):
    refused(script(*SEGMENT, "--set", "data.crop=3"), "no key named 'crop'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(speed):  # by a process, as all are started
    command = [sys.executable, speed / SEGMENT[0], *SEGMENT[1:], "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "--device cuda: torch sees no GPU here; use --device cpu\n"


def test_the_plain_loop_counts_what_the_task_counts(plugins, recipe):
    import segment

    from daframework.build import make_dataset, make_task

    dataset = make_dataset(plugins, recipe, "source", "test")
    task = make_task(plugins, recipe, 3)
    model, samples = task.model(), [dataset[index] for index in range(len(dataset))]
    counts = segment.plain_confusion(model, samples, 3, recipe, CPU)
    image = torch.stack([sample.image for sample in samples]) / 127.5 - 1
    label = torch.stack([sample.label for sample in samples]).long()
    assert (label == 255).any() and torch.equal(torch.from_numpy(counts), task.statistics(model(image), label))


def test_the_plain_loop_learns(plugins, recipe):
    import segment

    from daframework.build import make_dataset, make_task

    dataset = make_dataset(plugins, recipe, "source", "train")
    torch.manual_seed(0)
    model = make_task(plugins, recipe, 3).model()
    steps = segment.plain_steps(model, [dataset[index] for index in range(len(dataset))], recipe, CPU)
    losses = [next(steps) for _ in range(4)]
    assert losses[-1] < losses[0]


def test_a_block_clock_counts_blocks_without_the_first_steps_and_what_is_between(clock):
    from timing import BlockClock

    def between():
        clock.now += 1000

    blocks = BlockClock(CPU, first=2, block=3, between=between)
    clock.now += 500  # setting up, before the stage begins
    blocks.begin("stage", 100, 0)
    for step in range(1, 9):
        clock.now += 1 if step > 2 else 50
        blocks.advance(step)
    assert blocks.first_seconds == 100 and blocks.seconds == [3, 3] and blocks.step_seconds == 1


def test_works_alternate_and_a_first_round_is_not_counted(clock):
    from timing import alternate

    order = []

    def work(name, seconds):
        order.append(name)
        clock.now += seconds if len(order) > 2 else 100

    spent = alternate({"a": lambda: work("a", 1), "b": lambda: work("b", 2)}, rounds=2, device=CPU)
    assert spent == {"a": [1, 1], "b": [2, 2]} and order == ["b", "a", "a", "b", "b", "a"]


def test_a_reference_runs_with_torch_s_own_switches_and_leaves_ours(monkeypatch):
    from timing import switches_as_torch_has_them

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with switches_as_torch_has_them():
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark


def test_a_child_is_another_process():
    from timing import in_child

    assert in_child(os.getpid) != os.getpid()


@pytest.mark.parametrize(
    "sizes, costs, power",
    [([1, 2, 4], [3, 6, 12], 1), ([1, 10], [5, 5], 0), ([2, 4], [4, 16], 2), ([0, 1], [1, 1], None), ([1], [1], None)],
)
def test_a_slope_is_the_power_that_costs_grow_with(sizes, costs, power):
    import scale

    found = scale.slope(sizes, costs)
    assert found is None if power is None else found == pytest.approx(power)
