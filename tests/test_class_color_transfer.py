"""Each class takes its colours from where it lies in a target image, and nothing else of it."""

import numpy as np
import torch
from skimage.color import rgb2lab
from test_checked import Listed
from tiny import Pictures

from daf_baselines.class_color_transfer import MOST_GAIN, ClassColorTransfer, moments_of_classes
from daframework.adapt.samples import sample_grid
from daframework.adapt.translate import translate_set
from daframework.data.decode import read_image
from daframework.data.stream import to_bytes
from daframework.interfaces import IGNORE_INDEX, Sample
from daframework.networks import Networks


def noise(low, high, seed, size=(16, 24)):
    random = torch.Generator().manual_seed(seed)
    return (low + torch.rand(3, *size, generator=random) * (high - low)).to(torch.uint8)


def halves(left, right):
    return torch.cat([left[..., :12], right[..., 12:]], dim=-1)


def lab(image, mask):
    """Mean and deviation in Lab of the pixels of an image in [-1, 1] or uint8 that ``mask`` has, by scikit-image."""
    scaled = image.double() / 255 if image.dtype == torch.uint8 else (image.double() + 1) / 2
    pixels = rgb2lab(scaled.numpy().transpose(1, 2, 0))[mask.numpy()]
    return pixels.mean(0), pixels.std(0)


SOURCE = noise(90, 150, 0)
TARGET = halves(noise(30, 80, 1), noise(150, 230, 2))
LABEL = halves(torch.zeros(1, 16, 24, dtype=torch.int64), torch.full((1, 16, 24), 3))


def prepared(*target, **options):
    transfer = ClassColorTransfer(**options)
    transfer.prepare(Pictures([SOURCE]), Pictures(target or [TARGET]))
    return transfer


def scaled(image):
    return image[None].double() / 127.5 - 1


def test_each_class_has_the_moments_of_the_target_at_its_place():
    made = prepared().with_label(scaled(SOURCE), LABEL)[0]
    for shown in (0, 3):
        mask = LABEL[0] == shown
        for got, wanted in zip(lab(made, mask), lab(TARGET, mask), strict=True):
            np.testing.assert_allclose(got, wanted, atol=0.1)  # cells are kept in half precision


def test_without_a_label_the_whole_image_is_one_class():
    whole = torch.ones(16, 24, dtype=torch.bool)
    made = prepared(noise(30, 80, 1))(scaled(SOURCE))[0]
    for got, wanted in zip(lab(made, whole), lab(noise(30, 80, 1), whole), strict=True):
        np.testing.assert_allclose(got, wanted, atol=0.1)


def test_the_place_is_found_in_target_images_of_another_size():
    large = TARGET.repeat_interleave(3, -1).repeat_interleave(2, -2)
    made, same = (prepared(one, grid=8).with_label(scaled(SOURCE), LABEL) for one in (large, TARGET))
    torch.testing.assert_close(made, same, rtol=0, atol=1e-3)


def test_a_class_keeps_its_colours_whatever_the_rest_of_the_image_is():
    other = halves(SOURCE, noise(0, 255, 5))
    made, again = (prepared().with_label(scaled(one), LABEL)[0] for one in (SOURCE, other))
    assert torch.equal(made[..., :12], again[..., :12])


def test_contrast_changes_within_limits():
    flat, spread = noise(100, 110, 1), noise(0, 255, 2)
    whole = torch.ones(16, 24, dtype=torch.bool)
    for source, target, factor in ((flat, spread, MOST_GAIN), (spread, flat, 1 / MOST_GAIN)):
        made = prepared(target).with_label(scaled(source), LABEL * 0)[0]
        np.testing.assert_allclose(lab(made, whole)[1], factor * lab(source, whole)[1], rtol=0.05)


def test_moments_of_cells_by_hand():
    mean, variance = torch.tensor([1.0, 5.0, 9.0]), torch.tensor([4.0, 0.0, 7.0])
    weight = torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]]).view(1, 2, 1, 3)
    found = moments_of_classes(mean.expand(1, 3, 1, 3), variance.expand(1, 3, 1, 3), weight)
    # mean (1 + 15) / 4; variance (4 + 9 + 3 * 1) / 4; and a class that is nowhere
    assert torch.equal(found[0], torch.tensor([[[4.0, 0.0]] * 3])) and torch.equal(
        found[1], torch.tensor([[[2.0, 0.0]] * 3])
    )


def test_a_set_is_translated_by_its_labels(session, tmp_path):
    label = LABEL[0].to(torch.uint8)
    label[0, :2] = IGNORE_INDEX
    dataset = Listed([Sample(SOURCE, label, f"{place}") for place in range(3)])
    transfer = prepared()
    translate_set(session(), transfer, dataset, tmp_path / "out", batch_size=2, seed=0)
    made = to_bytes(transfer.with_label(SOURCE[None].float() / 127.5 - 1, label[None].long()))[0]
    files = sorted((tmp_path / "out" / "images").glob("*.png"))
    assert len(files) == 3 and all(np.array_equal(read_image(file), made) for file in files)
    bare = Listed([Sample(SOURCE, None, "0")])
    translate_set(session(), transfer, bare, tmp_path / "bare", batch_size=2, seed=0)
    whole = to_bytes(transfer(SOURCE[None].float() / 127.5 - 1))[0]
    assert np.array_equal(read_image(*(tmp_path / "bare" / "images").glob("*.png")), whole)
    networks = Networks({"source_to_target": transfer}, {}, [])
    grid = sample_grid(transfer, networks, [dataset[0]], ((0, 0, 0),) * 4, torch.device("cpu"))
    assert torch.equal(grid[:, :16, 26:50], made)
