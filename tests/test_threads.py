"""How many threads of a CPU a stage computes with."""

import pytest
import tiny
import torch
from torch import nn

from daframework.compute.threads import A_THREAD, keep_threads, operations, use_threads
from daframework.cores import THREADS, chosen
from daframework.downstream.score import score

CPU = torch.device("cpu")
SIZE = (2, 3, 100, 100)
"""A convolution of one pixel multiplies and adds 2 x 3 x channels for each of these 20,000 pixels."""


class Looks(nn.Conv2d):
    """One that looks at values, which cannot be counted."""

    def forward(self, image):
        return super().forward(image) if float(image.mean()) < 9 else image


class Remembers(nn.Conv2d):
    """One that changes as it looks, and fails for want of what it was given at first."""

    seen = None

    def forward(self, image):
        self.seen = {"cpu": image.shape}[image.device.type]
        return super().forward(image)


@pytest.fixture
def eight(monkeypatch):
    """Torch has eight threads; what the user set is not heard."""
    monkeypatch.setitem(chosen, THREADS, {"value": None, "why": "torch's"})
    with keep_threads():
        torch.set_num_threads(8)
        yield


def test_operations_of_a_pass_forward_are_counted_and_nothing_is_computed():
    assert operations(lambda: nn.Conv2d(3, 5, 1), SIZE) == 20_000 * 2 * 3 * 5
    assert operations(lambda: nn.BatchNorm2d(3), SIZE) == 0
    assert operations(lambda: Looks(3, 3, 1), SIZE) is None


@pytest.mark.parametrize(
    ("channels", "threads"), [([1], 1), ([int(3.5 * A_THREAD / 120_000), 1], 3), ([int(9 * A_THREAD / 120_000)], 8)]
)
def test_a_thread_for_so_much_work_of_the_greatest_network_but_one_at_least_and_no_more_than_there_are(
    eight, channels, threads
):
    with torch.device("meta"):
        networks = [nn.Conv2d(3, count, 1) for count in channels]
    use_threads(networks, SIZE, CPU)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", [Looks, Remembers])
def test_a_network_that_cannot_be_counted_has_all_threads_and_is_left_as_it_was(eight, kind):
    network = kind(3, 3, 1)
    use_threads([nn.Conv2d(3, 3, 1), network], SIZE, CPU)
    assert torch.get_num_threads() == 8
    assert network.training and network.weight.device.type == "cpu" and "seen" not in vars(network)


def test_what_the_user_set_stays(eight, monkeypatch):
    monkeypatch.setitem(chosen, THREADS, {"value": "4", "why": "set by the user"})
    torch.set_num_threads(4)
    use_threads([nn.Conv2d(3, 3, 1)], SIZE, CPU)
    assert torch.get_num_threads() == 4


def test_a_stage_takes_its_threads_and_leaves_as_many_as_it_found_also_when_it_fails(eight, session):
    task, found = tiny.pixels(num_classes=3), []

    class Counts(nn.Conv2d):
        def forward(self, image):
            if image.device.type == "cpu":
                found.append(torch.get_num_threads())
            return super().forward(image)

    score(session(), task, Counts(3, 3, 1), tiny.blocks(split="train"), 2, "scoring")
    with pytest.raises(RuntimeError):
        score(session(), task, Counts(4, 3, 1), tiny.blocks(split="train"), 2, "scoring")
    assert found[:3] == [1] * 3 and torch.get_num_threads() == 8
