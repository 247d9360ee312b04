import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daframework.data.checked import Checked, check_sample, resize_image
from daframework.errors import DataError
from daframework.interfaces import SEMANTIC, ImageDataset, Sample


class Listed(ImageDataset):
    """Given samples; counts how often each is read."""

    classes = tiny.CLASSES
    palette = tiny.PALETTE

    def __init__(self, samples):
        self.samples, self.reads = samples, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.reads.append(index)
        return self.samples[index]


def sample(height=8, width=12, label=0, name="a"):
    return Sample(
        torch.zeros(3, height, width, dtype=torch.uint8), torch.full((height, width), label, dtype=torch.uint8), name
    )


@pytest.mark.parametrize("good", [0, 2, 255])
def test_class_indices_and_255_are_labels(good):
    assert Checked(Listed([sample(label=good)]))[0].label.unique().tolist() == [good]


@pytest.mark.parametrize("bad", [3, 254])
def test_an_id_that_is_no_class_is_refused_by_name_and_count(bad):
    wrong = sample(label=0, name="0042.png")
    wrong.label[0, :5] = bad
    with pytest.raises(DataError) as caught:
        Checked(Listed([wrong]))[0]
    assert str(caught.value) == (
        f"label of 0042.png: id {bad} (5 pixels have such ids) is not a class; allowed: 0 to 2, and 255 to ignore; "
        "map it to a class or to ignore"
    )


def test_a_label_of_another_size_than_its_image_is_refused_with_both():
    wrong = Sample(sample(8, 12).image, sample(12, 8).label, "x")
    with pytest.raises(DataError, match=r"label of x: must be uint8 \(8, 12\) .* got uint8 \(12, 8\)"):
        Checked(Listed([wrong]), resize=(4, 4))[0]


@pytest.mark.parametrize(
    "image, says",
    [
        (torch.zeros(3, 8, 12), r"must be uint8 \(3, H, W\) .*, got float32 \(3, 8, 12\)"),
        (torch.zeros(8, 12, 3, dtype=torch.uint8), r"got uint8 \(8, 12, 3\)"),
        (torch.zeros(8, 12, dtype=torch.uint8), r"got uint8 \(8, 12\)"),
    ],
)
def test_an_image_of_another_shape_or_type_is_refused(image, says):
    for labelled in (True, False):
        with pytest.raises(DataError, match=f"image x: .*{says}"):
            check_sample(Sample(image, None, "x"), 3, (SEMANTIC,) * labelled)


def test_a_label_of_another_type_is_refused():
    with pytest.raises(DataError, match=r"label of x: must be uint8 .* got int64"):
        check_sample(Sample(sample().image, sample().label.long(), "x"), 3, (SEMANTIC,))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["array", "flipped", "read-only", "tensor"])
def test_a_sample_of_arrays_is_one_of_tensors(kind):
    image, label = np.arange(72, dtype=np.uint8).reshape(3, 4, 6), np.arange(24, dtype=np.uint8).reshape(4, 6)
    depth = label.astype(np.float32)
    parts = [image, label, depth]
    if kind == "flipped":
        parts = [np.flip(part, -1).copy()[..., ::-1] for part in parts]
    if kind == "read-only":
        for part in parts:
            part.setflags(write=False)
    given = [torch.tensor(part) if kind == "tensor" else part for part in parts]
    made = Sample(given[0], given[1], "x", {"depth": given[2]})
    for found, part in zip((made.image, made.label, made.labelled("depth")), parts, strict=True):
        assert found.dtype == torch.from_numpy(part.copy()).dtype and np.array_equal(found, part)
    arrays = made.as_arrays()
    assert arrays.labels == ["semantic", "depth"] and np.array_equal(arrays.image, image)
    assert Sample(image, None, "x").as_arrays().labels == []


def test_a_missing_label_is_refused_only_where_it_is_needed():
    dataset = Checked(Listed([Sample(sample().image, None, "x")]))
    assert dataset.unlabelled(0).label is None
    with pytest.raises(DataError, match="image x: has no label, and this domain's labels are needed here"):
        dataset[0]


def test_samples_are_kept_until_the_cache_is_full_and_then_read_again():
    listed = Listed([sample(name=str(index)) for index in range(3)])
    one = 8 * 12 * 4  # bytes of an image and its label
    dataset = Checked(listed, cache_bytes=2 * one + one // 2)
    for _ in range(3):
        assert [dataset[index].name for index in range(3)] == ["0", "1", "2"]
    assert listed.reads == [0, 1, 2, 2, 2]


def test_what_is_kept_is_the_resized_sample():
    listed = Listed([sample(), sample()])
    dataset = Checked(listed, resize=(4, 6), cache_bytes=2 * 4 * 6 * 4)
    for _ in range(2):
        assert dataset[0].image.shape == (3, 4, 6) and dataset[1].label.shape == (4, 6)
    assert listed.reads == [0, 1]


def test_nothing_is_kept_without_a_cache():
    listed = Listed([sample()])
    dataset = Checked(listed)
    assert dataset[0] is not None and dataset[0] is not None and listed.reads == [0, 0]


def test_a_sample_kept_without_its_label_does_not_stand_for_the_whole():
    dataset = Checked(Listed([sample(label=2)]), cache_bytes=10**6)
    assert dataset.unlabelled(0).label is None
    assert dataset[0].label is not None
    assert dataset.unlabelled(0).label is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.integers(1, 20), st.integers(0, 999))
def test_resizing_invents_no_id(height, width, to_height, to_width, seed):
    ids = torch.tensor([0, 7, 33, 255], dtype=torch.uint8)
    label = ids[torch.randint(4, (height, width), generator=torch.Generator().manual_seed(seed))]
    resized = SEMANTIC.resized(label, (to_height, to_width))
    assert resized.shape == (to_height, to_width) and resized.dtype == torch.uint8
    assert set(resized.flatten().tolist()) <= set(label.flatten().tolist())


def test_a_label_is_resized_by_the_nearest_pixel_centre():
    label = torch.arange(6, dtype=torch.uint8)[None].repeat(2, 1)
    assert SEMANTIC.resized(label, (2, 2)).tolist() == [[1, 4], [1, 4]]  # centres at 1.5 and 4.5 of 6: pixels 1 and 4
    assert SEMANTIC.resized(label[:, :2], (4, 4)).tolist() == [[0, 0, 1, 1]] * 4


def test_an_image_is_averaged_when_it_shrinks():
    stripes = torch.tensor([0, 200], dtype=torch.uint8).repeat(8)[None, None].repeat(3, 16, 1)
    shrunk = resize_image(stripes, (4, 4))
    assert shrunk.dtype == torch.uint8 and int((shrunk.int() - 100).abs().max()) <= 25
    assert torch.equal(resize_image(stripes, (16, 16)), stripes)


def test_image_and_label_stay_over_one_another_when_resized():
    image, label = torch.zeros(3, 40, 60, dtype=torch.uint8), torch.zeros(40, 60, dtype=torch.uint8)
    image[:, 10:30, 20:50], label[10:30, 20:50] = 255, 1
    dataset = Checked(Listed([Sample(image, label, "x")]), resize=(20, 30))
    assert torch.equal(dataset[0].image[0] > 127, dataset[0].label == 1)
