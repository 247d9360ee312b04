import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from tiny import Pictures

from daf_baselines.color_transfer import ColorTransfer, from_lab, match_moments, moments, pool, to_lab
from daframework.data.stream import to_bytes, to_float


def pictures(count, low, high, tint, seed):
    """Images of several sizes whose channels differ in mean and spread."""
    random = torch.Generator().manual_seed(seed)
    images = []
    for i in range(count):
        image = torch.rand(3, 9 + i, 14 - i, generator=random) * torch.tensor(tint)[:, None, None]
        images.append((low + image * (high - low)).to(torch.uint8))
    return images


def lab_pixels(images):
    """All pixels of (3, H, W) images in [-1, 1] or uint8, (pixels, 3) in Lab, by scikit-image."""
    scaled = [image.numpy() / 255 if image.dtype == torch.uint8 else (image.numpy() + 1) / 2 for image in images]
    return np.concatenate([rgb2lab(image.transpose(1, 2, 0)).reshape(-1, 3) for image in scaled])


SOURCE = pictures(4, 80, 150, tint=(1.0, 0.6, 0.8), seed=0)
TARGET = pictures(5, 90, 200, tint=(0.9, 0.8, 0.5), seed=1)


def prepared(source, target, **options):
    transfer = ColorTransfer(**options)
    transfer.prepare(Pictures(source), Pictures(target))
    return transfer


def doubles(images):
    return [image.double() / 127.5 - 1 for image in images]


def test_moments_of_the_translated_set_are_the_targets():
    transfer = prepared(SOURCE, TARGET)
    translated = lab_pixels([transfer(image[None])[0] for image in doubles(SOURCE)])
    wanted = lab_pixels(TARGET)
    assert np.abs(lab_pixels(SOURCE).mean(0) - wanted.mean(0)).min() > 1
    np.testing.assert_allclose(translated.mean(0), wanted.mean(0), atol=2e-3)
    np.testing.assert_allclose(translated.std(0), wanted.std(0), atol=2e-3)


def test_moments_of_each_translated_image_are_those_of_the_target_image_drawn_for_it():
    transfer = prepared(SOURCE, TARGET, reference="image")
    image = torch.stack(doubles([SOURCE[0]] * 6))
    torch.manual_seed(4)
    drawn = torch.randint(len(TARGET), (6,)).tolist()
    torch.manual_seed(4)
    translated = transfer(image)
    assert len(set(drawn)) > 2
    for one, index in zip(translated, drawn, strict=True):
        got, wanted = lab_pixels([one]), lab_pixels([TARGET[index]])
        np.testing.assert_allclose(got.mean(0), wanted.mean(0), atol=2e-3)
        np.testing.assert_allclose(got.std(0), wanted.std(0), atol=2e-3)


def test_one_map_serves_every_image_whatever_its_own_colours():
    transfer = prepared(SOURCE, TARGET)
    left, right = doubles([SOURCE[0][:, :, :3], SOURCE[0][:, :, 3:]])
    whole = transfer(torch.cat([left, right], dim=2)[None])
    parts = torch.cat([transfer(left[None]), transfer(right[None])], dim=3)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)


def test_a_domain_translated_to_itself_stays_as_it_is():
    transfer = prepared(SOURCE, SOURCE)
    for image in SOURCE:
        assert torch.equal(to_bytes(transfer(to_float(image)[None]))[0], image)


def test_matching_by_hand():
    image = torch.tensor([[1.0, 3.0], [0.0, 4.0], [5.0, 5.0]]).view(1, 3, 1, 2)
    mean, std = torch.tensor([[2.0, 2.0, 5.0]]), torch.tensor([[1.0, 2.0, 0.0]])
    matched = match_moments(image, mean, std, torch.tensor([[10.0, 2.0, 7.0]]), torch.tensor([[4.0, 1.0, 3.0]]))
    assert matched.view(3, 2).tolist() == [[6, 14], [1, 3], [7, 7]]


def test_moments_are_of_the_population():
    image = torch.tensor([[1.0, 3.0], [0.0, 4.0], [5.0, 5.0]]).view(1, 3, 1, 2)
    assert moments(image).tolist() == [[[2, 2, 5], [1, 2, 0]]]


def test_pooled_moments_are_those_of_all_pixels():
    random = np.random.default_rng(0)
    images = [random.normal(5 * i, 1 + i, (3, 4 + i, 5)) for i in range(4)]
    each = torch.cat([moments(torch.from_numpy(image)[None]) for image in images])
    pixels = torch.tensor([image[0].size for image in images], dtype=torch.float64)
    together = np.concatenate([image.reshape(3, -1) for image in images], axis=1)
    np.testing.assert_allclose(pool(each, pixels), [together.mean(1), together.std(1)], rtol=1e-12)


@pytest.mark.parametrize("reference", ["set", "image"])
def test_a_grey_source_takes_the_targets_tint_evenly(reference):
    ramp = torch.arange(60, 180, dtype=torch.uint8).view(1, 10, 12).expand(3, -1, -1)
    transfer = prepared([ramp], TARGET[:1], reference=reference)
    got, wanted = lab_pixels([transfer(doubles([ramp])[0][None])[0]]), lab_pixels(TARGET[:1])
    np.testing.assert_allclose(got[:, 0].mean(), wanted[:, 0].mean(), atol=0.1)
    np.testing.assert_allclose(got[:, 1:].mean(0), wanted[:, 1:].mean(0), atol=0.1)
    assert wanted[:, 1:].std(0).min() > 5
    assert got[:, 1:].std(0).max() < 0.5


def test_an_image_of_one_colour_becomes_the_targets_mean_colour():
    plain = torch.full((3, 6, 7), 100, dtype=torch.uint8)
    transfer = prepared([plain], TARGET[:1], reference="image")
    for dtype in (torch.float32, torch.float64):
        translated = transfer(doubles([plain])[0][None].to(dtype))
        assert translated.std(dim=(2, 3)).max() < 1e-4
        got, wanted = lab_pixels([translated[0].double()]).mean(0), lab_pixels(TARGET[:1]).mean(0)
        np.testing.assert_allclose(got, wanted, atol=1e-2)


def test_lab_is_that_of_scikit_image_and_comes_back():
    image = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lab = to_lab(image)
    np.testing.assert_allclose(lab.permute(0, 2, 3, 1), rgb2lab(image.permute(0, 2, 3, 1).numpy()), atol=2e-3)
    torch.testing.assert_close(from_lab(lab), image, rtol=0, atol=1e-4)


def test_colours_beyond_the_range_are_clipped():
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).repeat(3, 8, 4)
    transfer = prepared(SOURCE, [black_and_white])
    translated = torch.cat([transfer(image[None]).flatten() for image in doubles(SOURCE)])
    assert translated.min() == -1 and translated.max() == 1
