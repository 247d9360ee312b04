"""A run of several processes: they train as one, and none outlives another."""

import json
import re
import signal
import socket
import subprocess
import sys

import pytest
import tomli_w
import torch
from conftest import BOUND, TABLES, refused
from forked import Forked

from daframework.compute.place import ALONE, Place, find_place, variables
from daframework.errors import RunError

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "daframework"]
ENDLESS = {"downstream": TABLES["downstream"] | {"steps": 10**7}, "log": {"every": 1, "checkpoint_every": 10**7}}
# Real parts that see how a batch is shared out: labels with pixels to ignore, batch norm, a pool, random changes.
EXACT = TABLES | {
    "data": {"crop_size": [16, 24], "batch_size": 4},
    "generator": {"name": "resnet", "channels": 4, "blocks": 1},
    "discriminator": {"name": "semantic", "channels": 4, "layers": 2, "decoder_channels": 4},
    "losses": [
        {"name": "lsgan"},
        {"name": "semantic_discriminator", "class_weights": "median_frequency"},
        {"name": "weighted_reconstruction", "weight": 10.0},
    ],
    "translation": {"steps": 4, "pool_size": 6, "originals": {"share": 0.3, "augment": {"gamma": 1.0}}},
    "task": {
        "name": "segmentation",
        "encoder": "tu-tf_efficientnet_lite0",  # whose batch norms have their activations in them
        "arch_options": {"encoder_depth": 3, "decoder_channels": [8, 8, 8]},
    },
    "downstream": {
        "steps": 3,
        "batch_size": 4,
        "oracle": False,
        "augment": {"scale": [0.8, 1.2], "gamma": 0.3},
        "class_balance": 0.5,
        "target_norms": 0.5,
        "self_training": {"steps": 2, "confidence": 0.3, "teacher_decay": 0.5},
    },
    "hardware": {"accelerator": "cpu", "precision": "64-true"},
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def as_torchrun(rank, port):
    return variables(Place(rank, 2, rank, 2, port=port))


def as_slurm(rank, port):
    step = {"SLURM_JOB_ID": str(port), "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "localhost", "SLURM_NODEID": "0"}
    tasks = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "MASTER_PORT": str(port)}
    return step | tasks | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}


def start_two(*arguments, given=as_torchrun, code=None):
    """Both processes of a command of daf, or of ``code``."""
    port = free_port()
    does = {"code": code} if code else {}
    return [Forked(arguments, **does, **given(rank, port)) for rank in range(2)]


def has_lines(log, lines):
    """Whether the run has logged so many lines."""
    return log.exists() and len(log.read_text().splitlines()) >= lines


def state(path):
    """Every tensor and number of a checkpoint, by its path inside."""

    def walk(value, name):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{name}/{key}")
        elif isinstance(value, list | tuple):
            for place, inner in enumerate(value):
                yield from walk(inner, f"{name}/{place}")
        else:
            yield name, value

    return dict(walk(torch.load(path, weights_only=True), path.name))


def difference(one, other):
    """The greatest of what was computed, with its name; what must be the same is."""
    assert one.keys() == other.keys()
    found = [(0.0, "")]
    for name, value in one.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            found.append((float((value.double() - other[name].double()).abs().max()), name))
        elif not isinstance(value, str):
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name])) if value is not None else True
    return max(found)


def test_two_processes_train_as_one_with_the_images_of_both(daf, write, tmp_path):
    whole, shared = (write(EXACT, f"{name}.toml") for name in ("whole", "shared"))
    halves = ["--set", "data.batch_size=2", "--set", "downstream.batch_size=2"]
    two = start_two("run", shared, "--out", tmp_path / "two", *halves)
    code, _, alone = daf("run", whole, "--out", tmp_path / "one")
    said = [process.communicate()[1] for process in two]
    assert (code, *(process.returncode for process in two)) == (0, 0, 0)
    # After three steps it knows nothing; the first rank alone says so.
    assert said == [alone, ""] and re.fullmatch("warning: tiny: the semantic head that judges translations .*\n", alone)
    trained = ("source_only", "source_only+self_training", "tiny", "tiny+self_training")
    for name in ("translation", *trained, "source_only+target_norms", "tiny+target_norms"):
        one, two = (state(tmp_path / folder / "checkpoints" / f"{name}.pt") for folder in ("one", "two"))
        apart, where = difference(one, two)
        # Sums come out in another order; training makes more of it at every step.
        # What follows a row goes on from its last step, and looks at the target in float32.
        assert apart < (1e-6 if "+" in name else 1e-8), where
    first, second = (json.loads((tmp_path / folder / "results.json").read_text()) for folder in ("one", "two"))
    for one, two in zip(first["rows"], second["rows"], strict=True):
        guessed = two["mutual_information"]
        assert one == two | {"mutual_information": guessed if guessed is None else pytest.approx(guessed, abs=1e-7)}
    assert second["environment"]["processes"] == 2


@pytest.mark.parametrize(
    ("killed", "given", "says"),
    [(1, as_torchrun, "process 1 of 2"), (0, as_slurm, "process 0 of 2")],
)
def test_the_death_of_one_process_ends_the_other(installed, write, tmp_path, killed, given, says):
    processes = start_two("run", write(TABLES | ENDLESS), "--out", tmp_path / "run", given=given)
    processes[0].wait_until(lambda: has_lines(tmp_path / "run" / "log.jsonl", 3))
    processes[killed].kill()
    other = processes[1 - killed]
    _, errors = other.communicate(timeout=BOUND)
    processes[killed].communicate()
    assert other.returncode == 1
    assert errors == (
        f"error: {says} was killed, or its machine is gone; its own log may say why; "
        "the same command goes on from what was saved\n"
    )


def test_an_error_of_one_process_ends_all_with_its_reason(installed, write, tables, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    images = torch.randint(256, (4, 3, 32, 48), dtype=torch.uint8)
    from daframework.data.decode import write_image, write_label

    for place, image in enumerate(images):
        write_image(folder / "images" / f"{place}.png", image)
        write_label(folder / "labels" / f"{place}.png", torch.zeros(32, 48, dtype=torch.uint8))
    broken = folder / "images" / "3.png"  # the second process scores every second image
    broken.write_bytes(broken.read_bytes()[:-40])
    files = {"name": "image_folder", "root": str(folder), "classes": ["road", "sky", "tree"], "ids": {"0": "road"}}
    tables["source"] = tables["target"] = files
    processes = start_two("run", write(tables), "--out", tmp_path / "run")
    first, second = (process.communicate(timeout=BOUND)[1] for process in processes)
    assert [process.returncode for process in processes] == [1, 1]
    assert first.startswith("error: process 1: ") and "3.png" in first and "3.png" in second
    assert "Traceback" not in first + second


def test_processes_stop_together_and_another_number_of_them_goes_on(daf, write, tables, tmp_path):
    log, endless = tmp_path / "run" / "log.jsonl", write(tables | ENDLESS)
    run = Forked(["run", endless, "--out", tmp_path / "run", "--devices", 2])
    run.wait_until(lambda: has_lines(log, 3))
    run.send_signal(signal.SIGTERM)
    out, errors = run.communicate(timeout=BOUND)
    assert run.returncode == 143 and errors.startswith("stopped after step"), errors
    saved = torch.load(tmp_path / "run/checkpoints/source_only.pt", weights_only=True)
    assert saved["seen"] == 4 * saved["done"]
    assert errors == (
        f"stopped after step {saved['done']} of 10000000 of training on source_only; "
        "the same command goes on from there\n"
    )
    # The end of its training is near, whoever asks: only this can be said of a run that nobody waits for.
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("steps = 10000000", f"steps = {saved['done'] + 6}"))
    code, out, errors = daf("run", recipe, "--out", tmp_path / "run")
    assert (code, errors) == (0, "")
    assert f"training on source_only: {saved['done'] + 6} steps, {saved['done']} done before\n" in out
    last = torch.load(tmp_path / "run/checkpoints/source_only.pt", weights_only=True)
    assert last["seen"] == saved["seen"] + 2 * 6


def test_torchrun_starts_a_run(installed, write, tables, tmp_path):
    command = [*TORCHRUN, "run", str(write(tables)), "--out", str(tmp_path / "run")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=BOUND)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("in 2 processes") == 1 and run.stdout.count("mIoU on the target's test set") == 1
    assert json.loads((tmp_path / "run" / "results.json").read_text())["environment"]["processes"] == 2


def test_the_place_of_a_process_is_read_from_what_started_it():
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "a"}
    assert find_place(torchrun | {"MASTER_PORT": "7"}) == Place(5, 8, 1, 4, "a", 7)
    assert find_place(variables(Place(3, 4, 1, 2, "b", 9))) == Place(3, 4, 1, 2, "b", 9)
    slurm = {
        "SLURM_JOB_ID": "100",
        "SLURM_STEP_ID": "1",
        "SLURM_STEP_NODELIST": "gpu[03-04],login1",
        "SLURM_STEP_NUM_TASKS": "9",
        "SLURM_STEP_TASKS_PER_NODE": "4(x2),1",
        "SLURM_NODEID": "1",
        "SLURM_PROCID": "6",
        "SLURM_LOCALID": "2",
    }
    assert find_place(slurm) == Place(6, 9, 2, 4, "gpu03", 15_000 + 3101)
    assert find_place(slurm | {"SLURM_NODEID": "2", "SLURM_PROCID": "8", "SLURM_LOCALID": "0"}).local_ranks == 1
    # A job with many tasks whose command was not started by srun.
    assert find_place({"SLURM_NTASKS": "8", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0"}) == ALONE
    assert find_place({"WORLD_SIZE": "1", "RANK": "0"}) == ALONE


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"WORLD_SIZE": "2"}, "has no RANK; start them with torchrun, srun or daf run --devices"),
        ({"WORLD_SIZE": "two"}, "makes no sense: invalid literal"),
        (variables(Place(2, 2, 0, 1)), "makes no sense: rank 2 of 2, 0 of 1 on its node"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "has no SLURM_STEP_NODELIST"),
    ],
)
def test_an_environment_that_says_half_of_it_is_refused(given, says):
    with pytest.raises(RunError, match=says):
        find_place(given)


def test_devices_that_contradict_what_started_the_process_are_refused(daf, write, tables, monkeypatch):
    for name, value in variables(Place(0, 2, 0, 2, port=1)).items():
        monkeypatch.setenv(name, value)
    refused(daf("run", write(tables), "--devices", 3), "--devices 3: 2 processes were started here already")


# Each of two processes runs this.
SCRIPT = """
import sys
import torch, torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import nn
from daframework.compute.batch_norm import over_all_ranks
from daframework.compute.ranks import all_batches, any_rank, count_ranks, from_first, mean_over_ranks, own_share
from daframework.errors import PluginError
from daframework.metrics import soft_dice
from daframework.runs.trial import Built, Trial

dist.init_process_group("gloo")
rank = dist.get_rank()
assert count_ranks() == 2
assert from_first(lambda: ("first", rank)) == ("first", 0)
assert any_rank(rank == 1, False, True) == (True, False, True)
assert mean_over_ranks(torch.tensor(3 + rank)) == 3.5
batch = torch.arange(8.0).view(4, 2)
assert torch.equal(all_batches(own_share(batch)), batch)

torch.manual_seed(0)
whole = torch.randn(6, 3, 5, 4, dtype=torch.float64) * 3 + 1
wanted = torch.randn_like(whole)
made = lambda: nn.Sequential(BatchNormAct2d(3), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3, affine=False))
alone, shared = made().double(), made().double()
alone[0].weight.data.copy_(torch.tensor([0.5, 2.0, -1.0])); shared.load_state_dict(alone.state_dict())
shared = over_all_ranks(shared, torch.device("cpu"))
for _ in range(2):
    all_images, my_images = whole.clone().requires_grad_(), own_share(whole).clone().requires_grad_()
    (alone(all_images) - wanted).square().mean().backward()
    (shared(my_images) - own_share(wanted)).square().mean().backward()
# Each rank's loss is a mean over half of the images: its gradients are twice those of the mean over all.
torch.testing.assert_close(my_images.grad / 2, own_share(all_images.grad))
torch.testing.assert_close(mean_over_ranks(shared[0].weight.grad), alone[0].weight.grad)
assert list(shared.state_dict()) == list(alone.state_dict())
torch.testing.assert_close(dict(shared.state_dict()), dict(alone.state_dict()))
alone.eval(), shared.eval()
torch.testing.assert_close(shared(whole), alone(whole))
# PyTorch's own conversion, for GPUs, keeps the activation in timm's norm too.
synced = over_all_ranks(BatchNormAct2d(3).eval(), torch.device("cuda"))
assert isinstance(synced, nn.SyncBatchNorm) and synced(whole.float()).min() == 0
logits, label = torch.randn(4, 3, 5, 4, dtype=torch.float64), torch.randint(3, (4, 5, 4))
label[:2, 0] = 255
label[:2][label[:2] == 1] = 0  # a class that one rank alone sees
all_logits, my_logits = logits.clone().requires_grad_(), own_share(logits).clone().requires_grad_()
soft_dice(all_logits, label).backward(), soft_dice(my_logits, own_share(label)).backward()
torch.testing.assert_close(my_logits.grad / 2, own_share(all_logits.grad))

# The first rank alone tries networks, also those that look at values and are computed for it.
class Looks(nn.Module):
    def forward(self, x):
        return x if float(x.sum()) else x + 1
def trained(*, batch_size, height, width):
    return mean_over_ranks(Looks()(torch.zeros(batch_size, 3, height, width)).sum())
def build(options):
    return Built(Looks(), 1, 1, trained, Looks())
if rank == 0:
    tried = Trial(table="task", title="t", batch_key="b", batch=2, build=build, options={}, parameters=(), tell=print)
    assert tried.trains(2, (8, 8)) is None

# However a network holds its norms: twice, in a list of its own, without statistics, with a hook.
class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = self.again = nn.BatchNorm2d(3)
        self.box = nn.ModuleList([nn.Sequential(self.one, nn.BatchNorm2d(3, track_running_stats=False))])
        self.others = [self.one, self.box[0][1]]
        self.box[0][1].register_forward_hook(lambda norm, _, normed: normed * 2)
    def forward(self, x):
        return self.others[1](self.again(self.box[0](x)))
alone, shared = Odd().double(), over_all_ranks(Odd().double(), torch.device("cpu"))
torch.testing.assert_close(shared(own_share(whole)), own_share(alone(whole)))
torch.testing.assert_close(dict(shared.state_dict()), dict(alone.state_dict()))
assert isinstance(over_all_ranks(nn.SyncBatchNorm(3), torch.device("cuda")), nn.SyncBatchNorm)
Doubled = type("Doubled", (nn.BatchNorm2d,), {"forward": lambda self, x: 2 * x})
for refused, why in (
    (nn.InstanceNorm2d(3, track_running_stats=True), "norm InstanceNorm2d has running statistics"),
    (Doubled(3), "norm Doubled has a forward of its own"),
):
    try:
        over_all_ranks(nn.Sequential(refused), torch.device("cpu"))
    except PluginError as error:
        assert why in str(error)
    else:
        raise AssertionError
print("agreed")
"""


def test_ranks_tell_one_another_and_norm_over_all_images():
    for process in start_two(code=SCRIPT):
        assert process.communicate(timeout=BOUND) == ("agreed\n", "")


def test_processes_with_other_recipes_are_told_apart(installed, tmp_path):
    port, processes = free_port(), []
    for rank in range(2):
        recipe = tmp_path / f"{rank}.toml"
        recipe.write_text(tomli_w.dumps(TABLES | {"seed": rank}))
        processes.append(Forked(["run", recipe, "--out", tmp_path / "run"], **as_torchrun(rank, port)))
    ended = [process.communicate(timeout=BOUND)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    assert ended[1] == "error: this process has another recipe than the first; all must have the same\n"
    assert "process 1: this process has another recipe" in ended[0]
