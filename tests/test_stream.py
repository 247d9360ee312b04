from collections import Counter
from itertools import chain
from random import Random

import pytest
import tiny
import torch

from daframework.data.stream import TrainingStream, cut, random_place, to_bytes, to_float, training_batches
from daframework.data.unlabelled import Unlabelled
from daframework.errors import DataError
from daframework.interfaces import ImageDataset, Sample

CPU = torch.device("cpu")


class Numbered(ImageDataset):
    """Every pixel says which image it is of, and where: red the image, green the row, blue the column."""

    classes = tiny.CLASSES
    palette = tiny.PALETTE

    def __init__(self, images=7, size=(9, 11), labelled=True):
        self.images, self.size, self.labelled = images, size, labelled

    def __len__(self):
        return self.images

    def __getitem__(self, index):
        height, width = self.size
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        image = torch.stack([torch.full_like(rows, index), rows, columns]).to(torch.uint8)
        return Sample(image, (rows * width + columns).to(torch.uint8) if self.labelled else None, str(index))


def stream(dataset=None, *, size=(4, 6), flip=True, seed=0, name="source"):
    return TrainingStream(dataset or Numbered(), size, flip, seed, name)


def batches(a_stream, steps, *, batch_size=2, rank=0, ranks=1, workers=0):
    return list(
        training_batches(
            a_stream, batch_size=batch_size, steps=steps, rank=rank, ranks=ranks, workers=workers, device=CPU
        )
    )


def assert_same(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.label, other.label)


@pytest.mark.parametrize("images", [1, 2, 7])
def test_every_image_comes_once_before_any_comes_again(images):
    a_stream = stream(Numbered(images))
    for epoch in range(4):
        seen = [int(a_stream[epoch * images + place][0][0, 0, 0]) for place in range(images)]
        assert sorted(seen) == list(range(images))


def test_each_pass_has_an_order_of_its_own():
    a_stream = stream()
    orders = [tuple(int(a_stream[epoch * 7 + place][0][0, 0, 0]) for place in range(7)) for epoch in range(6)]
    assert len(set(orders)) > 3


def test_positions_may_be_asked_for_in_any_order():
    forwards, backwards = stream(), stream()
    one = [forwards[position] for position in range(20)]
    two = [backwards[position] for position in reversed(range(20))][::-1]
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, two, strict=True))


def test_workers_change_nothing():
    assert_same(batches(stream(), range(8), workers=2), batches(stream(), range(8)))


def test_a_later_start_sees_what_an_undisturbed_walk_sees():
    assert_same(batches(stream(), range(5, 9)), batches(stream(), range(9))[5:])


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_see_exactly_what_one_process_with_their_batches_sees(ranks):
    by_rank = [batches(stream(), range(6), batch_size=2, rank=rank, ranks=ranks) for rank in range(ranks)]
    alone = batches(stream(), range(6), batch_size=2 * ranks)
    for step, whole in enumerate(alone):
        assert torch.equal(torch.cat([mine[step].image for mine in by_rank]), whole.image)
        assert torch.equal(torch.cat([mine[step].label for mine in by_rank]), whole.label)


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "target"}])
def test_another_seed_or_stream_draws_otherwise(other):
    one, two = batches(stream(), range(7)), batches(stream(**other), range(7))
    assert any(not torch.equal(a.image, b.image) for a, b in zip(one, two, strict=True))


def test_image_and_label_are_cropped_and_mirrored_alike():
    mirrored = Counter()
    for batch in batches(stream(), range(50)):
        for image, label in zip(to_bytes(batch.image).long(), batch.label, strict=True):
            rows, columns = image[1], image[2]
            assert torch.equal(label, rows * 11 + columns)
            step = set((columns[:, 1:] - columns[:, :-1]).flatten().tolist())
            assert step in ({1}, {-1}) and set((rows[1:] - rows[:-1]).flatten().tolist()) == {1}
            mirrored[step == {-1}] += 1
    assert 25 < mirrored[True] < 75  # of 100, half in the mean: eight standard deviations wide


def test_without_flip_nothing_is_mirrored():
    for batch in batches(stream(flip=False), range(20)):
        assert (batch.label[:, :, 1:] - batch.label[:, :, :-1] == 1).all()


def test_every_place_of_the_crop_occurs_about_as_often():
    places = Counter(
        (int(image[1].min()), int(image[2].min()))
        for image, _ in (cut(random_place(Numbered()[0], (4, 6), True, Random(draw)), (4, 6)) for draw in range(3600))
    )
    assert len(places) == 6 * 6 and min(places.values()) > 60 and max(places.values()) < 140


def test_a_crop_as_large_as_the_image_is_the_image():
    image, label = cut(random_place(Numbered()[3], (9, 11), False, Random(0)), (9, 11))
    assert torch.equal(image, Numbered()[3].image) and torch.equal(label, Numbered()[3].label)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_smaller_than_the_crop_is_named_with_both_sizes(workers):
    with pytest.raises(DataError, match=r"image \d: 9 x 11 \(height x width\) is smaller than data.crop_size 4 x 12"):
        batches(stream(size=(4, 12)), range(1), workers=workers)


class Faulty(Numbered):
    def __getitem__(self, index):
        if index == 3:
            raise DataError("/data/0003.png: truncated or damaged; copy or download it again")
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_keeps_its_type_and_text_wherever_it_is_raised(workers):
    with pytest.raises(DataError) as caught:
        batches(stream(Faulty()), range(7), workers=workers)
    assert str(caught.value) == "/data/0003.png: truncated or damaged; copy or download it again"


class Secret(Numbered):
    """Whose labels may not be read."""

    def __getitem__(self, index):
        raise AssertionError("a label was asked for")

    def unlabelled(self, index):
        return Numbered(labelled=False)[index]


@pytest.mark.parametrize("workers", [0, 1])
def test_labels_of_an_unlabelled_set_are_never_asked_for(workers):
    for batch in batches(stream(Unlabelled(Secret())), range(5), workers=workers):
        assert batch.label is None


def test_images_are_floats_between_minus_one_and_one_and_labels_whole_numbers():
    (batch,) = batches(stream(tiny.blocks(split="train"), size=(16, 24)), range(1), batch_size=4)
    assert batch.image.shape == (4, 3, 16, 24) and batch.image.dtype == torch.float32
    assert batch.label.shape == (4, 16, 24) and batch.label.dtype == torch.int64
    assert -1 <= batch.image.min() < batch.image.max() <= 1


def test_bytes_survive_the_way_to_floats_and_back():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_float(every)), every)
    assert to_float(every)[[0, 255]].tolist() == [-1.0, 1.0]
    assert to_bytes(torch.tensor([-1.2, -1.0, 0.0, 1.0, 1.2])).tolist() == [0, 0, 128, 255, 255]


def test_making_batches_leaves_the_dataset_as_it_was():
    dataset = Numbered()
    kept = [dataset[index] for index in range(7)]

    class Kept(Numbered):
        def __getitem__(self, index):
            return kept[index]

    for batch in batches(stream(Kept()), range(7)):
        batch.image.zero_()
        batch.label.zero_()
    assert all(torch.equal(sample.image, dataset[i].image) for i, sample in enumerate(kept))
    assert list(chain.from_iterable(sample.label.flatten().tolist() for sample in kept)) == list(range(99)) * 7
