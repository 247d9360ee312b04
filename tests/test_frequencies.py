import pytest
import torch

from daframework.data.frequencies import count_classes
from daframework.errors import DataError
from daframework.interfaces import ImageDataset, Sample


class Labels(ImageDataset):
    """Labels as given, with black images; remembers which were read."""

    classes = ("road", "car", "sky")
    palette = ((0, 0, 0),) * 3

    def __init__(self, labels):
        self.labels = [None if label is None else torch.tensor(label, dtype=torch.uint8) for label in labels]
        self.read = []

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        self.read.append(index)
        label = self.labels[index]
        height, width = (1, 1) if label is None else label.shape
        return Sample(torch.zeros(3, height, width, dtype=torch.uint8), label, f"image {index}")


def test_labelled_pixels_are_counted_by_class_and_in_the_images_that_show_it():
    # 3 road, 1 car, 2 ignored; then 4 road
    counts = count_classes(Labels([[[0, 0, 255], [1, 0, 255]], [[0, 0], [0, 0]]]))
    assert counts.pixels.tolist() == [7, 1, 0]
    assert counts.where_present.tolist() == [8, 4, 0]
    assert counts.pixels.dtype == counts.where_present.dtype == torch.int64


@pytest.mark.parametrize("images, limit, read", [(10, 4, [0, 2, 5, 7]), (5, 2000, [0, 1, 2, 3, 4])])
def test_a_limit_takes_images_from_the_whole_set_and_each_once(images, limit, read):
    dataset = Labels([[[0]]] * images)
    count_classes(dataset, limit=limit)
    assert dataset.read == read


def test_counts_agree_with_counting_one_pixel_after_the_other():
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (6, 7, 9), generator=random)
    labels[labels == 3] = 255
    seen = [value for value in labels.flatten().tolist() if value != 255]
    assert count_classes(Labels(labels.tolist())).pixels.tolist() == [seen.count(index) for index in range(3)]


def test_an_unknown_class_is_named_with_its_image_and_number_of_pixels():
    message = r"label of image 1: id 3 \(3 pixels have such ids\) is not a class; allowed: 0 to 2, and 255 to ignore"
    with pytest.raises(DataError, match=message):
        count_classes(Labels([[[0]], [[3, 3, 254]]]))


@pytest.mark.parametrize("labels", [[[[255, 255]]], []])
def test_a_set_without_a_labelled_pixel_is_refused(labels):
    with pytest.raises(DataError, match="no pixel is labelled"):
        count_classes(Labels(labels))


def test_an_image_without_a_label_is_refused_by_name():
    with pytest.raises(DataError, match="'image 1' has no label"):
        count_classes(Labels([[[0]], None]))
