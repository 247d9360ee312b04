import threading

import pytest
import torch
from conftest import BOUND
from test_checked import Listed, sample
from torch import nn

from daframework.data.spread import evenly_spread
from daframework.data.whole import (
    apply_padded,
    batches_by_size,
    batches_in_order,
    stack_images,
    stack_labels,
)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_every_image_comes_once_and_in_order(batch_size):
    dataset = Listed([sample(name=str(index)) for index in range(7)])
    found = list(batches_in_order(dataset, range(7), batch_size=batch_size))
    assert [one.name for batch in found for one in batch] == list("0123456")
    assert all(len(batch) == batch_size for batch in found[:-1])


def test_images_of_different_size_are_never_in_one_batch():
    sizes = [(8, 8), (8, 8), (8, 9), (8, 8), (9, 8), (9, 8), (9, 8)]
    dataset = Listed([sample(*size, name=str(index)) for index, size in enumerate(sizes)])
    found = [[one.name for one in batch] for batch in batches_in_order(dataset, range(7), batch_size=2)]
    assert found == [["0", "1"], ["2"], ["3"], ["4", "5"], ["6"]]


@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_ranks_share_a_set_out_without_gap_or_repetition(ranks):
    dataset = Listed([sample(name=str(index)) for index in range(7)])
    names = [
        one.name
        for rank in range(ranks)
        for batch in batches_in_order(dataset, range(rank, 7, ranks), batch_size=2)
        for one in batch
    ]
    assert sorted(names) == list("0123456")


def test_the_next_batch_is_read_while_one_is_worked_on():
    ahead = threading.Event()

    class Watched(Listed):
        def __getitem__(self, index):
            if index == 3:
                ahead.set()
            return super().__getitem__(index)

    dataset = Watched([sample(name=str(index)) for index in range(9)])
    batches = batches_in_order(dataset, range(9), batch_size=2)
    next(batches)
    assert ahead.wait(timeout=BOUND) and len(dataset.reads) <= 5
    assert len(list(batches)) == 4 and dataset.reads == list(range(9))


def test_a_dataset_need_not_bear_two_readers_at_once():
    second = threading.Event()

    class Fragile(Listed):
        def __getitem__(self, index):
            if index == 1:
                second.set()
            assert index or not second.wait(timeout=0.2), "1 is asked for before 0 is there"
            return super().__getitem__(index)

    dataset = Fragile([sample(name=str(index)) for index in range(4)])
    assert len(list(batches_in_order(dataset, range(4), batch_size=4))) == 1


def test_images_of_one_size_are_brought_together_within_a_window():
    sizes = "aabacbbaaaab"
    found = list(
        batches_by_size(enumerate(sizes), lambda one: one[1], window=8, batch_size={"a": 2, "b": 3, "c": 9}.get)
    )
    assert [[place for place, _ in batch] for batch in found] == [[0, 1], [3, 7], [2, 5, 6], [4], [8, 9], [10], [11]]


def test_no_more_than_a_window_is_taken_ahead():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    batches = batches_by_size(items(), lambda item: item % 7, window=10, batch_size=lambda _: 4)
    next(batches)
    assert len(taken) == 10
    assert sorted([item for batch in batches for item in batch]) == sorted(set(range(100)) - {0, 7})


class Strict(nn.Module):
    """Refuses sides that are no multiple of 8, and adds 1."""

    def forward(self, image):
        assert image.shape[2] % 8 == 0 and image.shape[3] % 8 == 0
        self.seen = image
        return image + 1


@pytest.mark.parametrize("size", [(8, 16), (1, 1), (3, 20), (9, 17), (15, 8)])
def test_any_size_is_padded_for_the_network_and_cut_back(size):
    image = torch.rand(2, 3, *size)
    network = Strict()
    assert torch.equal(apply_padded(network, image, 8), image + 1)
    assert network.seen.shape[2] - size[0] < 8 and network.seen.shape[3] - size[1] < 8


def test_edges_are_repeated_below_and_to_the_right():
    network = Strict()
    apply_padded(network, torch.arange(6.0).reshape(1, 1, 2, 3), 8)
    assert network.seen[0, 0, :, :5].tolist() == [[0, 1, 2, 2, 2]] + [[3, 4, 5, 5, 5]] * 7


def test_stacks_hold_images_as_bytes_and_labels_as_whole_numbers():
    both = [sample(label=1), sample(label=255)]
    assert stack_images(both).shape == (2, 3, 8, 12) and stack_images(both).dtype == torch.uint8
    assert stack_labels(both).dtype == torch.int64 and stack_labels(both).unique().tolist() == [1, 255]


def test_spread_indices_reach_over_the_whole_set_and_never_repeat():
    assert evenly_spread(10, 4) == [0, 2, 5, 7]
    assert evenly_spread(3, 8) == [0, 1, 2]
    assert evenly_spread(0, 5) == []
