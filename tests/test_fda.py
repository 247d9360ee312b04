import math

import numpy as np
import pytest
import torch
from tiny import Pictures
from torch.nn.functional import interpolate

from daf_baselines.fda import FDA, swap_low_frequencies
from daframework.data.checked import resize_image

SIZES = [(16, 16), (15, 15), (16, 21), (15, 22), (22, 15), (21, 16), (1, 1), (2, 7)]


def noise(*sizes, low=0, high=256, seed=0):
    """Random images of the given sizes, without labels."""
    random = torch.Generator().manual_seed(seed)
    return Pictures([torch.randint(low, high, (3, *size), generator=random, dtype=torch.uint8) for size in sizes])


def literal(source, target, half_window):
    """Equations and window written out: whole spectra, shifted to the middle, a square copied, shifted back."""
    source_spectrum, target_spectrum = np.fft.fft2(source), np.fft.fft2(target)
    amplitude, phase = np.abs(source_spectrum), np.angle(source_spectrum)
    amplitude = np.fft.fftshift(amplitude, axes=(-2, -1))
    low = np.fft.fftshift(np.abs(target_spectrum), axes=(-2, -1))
    height, width = source.shape[-2:]
    middle, centre = math.floor(height / 2), math.floor(width / 2)
    rows = slice(middle - half_window, middle + half_window + 1)
    columns = slice(centre - half_window, centre + half_window + 1)
    amplitude[..., rows, columns] = low[..., rows, columns]
    amplitude = np.fft.ifftshift(amplitude, axes=(-2, -1))
    swapped = np.fft.ifft2(amplitude * np.exp(1j * phase))
    assert np.abs(swapped.imag).max() < 1e-9
    return swapped.real


def pair(height, width, dtype=torch.float64):
    random = torch.Generator().manual_seed(height * 100 + width)
    return (torch.rand(2, 3, height, width, generator=random, dtype=dtype) * 255 for _ in range(2))


def prepared(*sizes, **options):
    fda = FDA(**options)
    fda.prepare(noise(), noise(*sizes))
    return fda


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_window_gives_what_the_formula_says(height, width):
    source, target = pair(height, width)
    for half_window in range(min(height, width) // 2 + 1):
        expected = literal(source.numpy(), target.numpy(), half_window)
        np.testing.assert_allclose(swap_low_frequencies(source, target, half_window), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (63, 95), (64, 95), (95, 64)])
@pytest.mark.parametrize("band", [0.01, 0.05, 0.09])
def test_single_precision_is_enough_for_the_papers_bands(height, width, band):
    source, target = pair(height, width, torch.float32)
    half_window = math.floor(min(height, width) * band)
    got = swap_low_frequencies(source, target, half_window)
    assert got.dtype == torch.float32
    expected = literal(source.double().numpy(), target.double().numpy(), half_window)
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-4)


def test_the_smallest_window_takes_over_the_mean_alone():
    source, target = pair(12, 17)
    got = swap_low_frequencies(source, target, 0)
    change = target.mean(dim=(2, 3), keepdim=True) - source.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(got, source + change)


def test_a_wave_takes_the_targets_height_and_keeps_its_place():
    columns = torch.arange(16) * (2 * math.pi / 16)
    source = 100 + 20 * torch.cos(columns + 0.4) + 5 * torch.cos(5 * columns)
    target = 130 + 60 * torch.cos(columns + 2.0) + 30 * torch.cos(5 * columns)
    wanted = 130 + 60 * torch.cos(columns + 0.4) + 5 * torch.cos(5 * columns)
    source, target, wanted = (wave.double().expand(1, 3, 16, 16) for wave in (source, target, wanted))
    # The wave runs across; noise gives the other frequencies of the window a phase.
    noise = 1e-6 * torch.rand(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = swap_low_frequencies(source + noise, target, 1)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-3)


def test_an_image_given_to_itself_stays_as_it_is():
    source, _ = pair(15, 18)
    torch.testing.assert_close(swap_low_frequencies(source, source, 5), source, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("height", "width"), [(16, 21), (15, 22), (40, 33)])
@pytest.mark.parametrize("band", [0.0, 0.05, 0.09, 0.3, 0.5])
def test_an_image_is_translated_with_the_one_drawn_for_it(height, width, band):
    fda = prepared(*[(height, width)] * 4, band=band)
    source, _ = pair(height, width)
    source = source.round()
    torch.manual_seed(1)
    drawn = torch.randint(4, (2,))
    torch.manual_seed(1)
    got = fda(source / 127.5 - 1)
    target = noise(*[(height, width)] * 4).images
    target = np.stack([target[i].double().numpy() for i in drawn])
    half_window = math.floor(min(height, width) * band)
    expected = literal(source.numpy(), target, half_window).clip(0, 255)
    np.testing.assert_allclose((got + 1) * 127.5, expected, rtol=0, atol=1e-9)


def test_brightness_is_taken_over_on_the_scale_where_black_is_zero():
    # About a middle grey of 0 a darker mean would be a larger amplitude, and come out as bright as the light one.
    fda = FDA(band=0.0)
    fda.prepare(noise(), noise((8, 8), low=20, high=60))
    random = torch.Generator().manual_seed(0)
    image = (torch.rand(1, 3, 8, 8, generator=random) * 100 + 120) / 127.5 - 1
    assert (fda(image) + 1).mul(127.5).mean().item() == pytest.approx(fda.targets.float().mean().item(), abs=3)


def test_several_bands_are_an_ensemble_in_their_order_and_alone_the_first_is_taken():
    bands = [0.3, 0.05, 0.1]
    several = prepared((16, 20), band=bands)
    assert len(several.translators()) == 3
    assert len(FDA(band=0.1).translators()) == len(FDA(band=[0.1]).translators()) == 1
    source, _ = pair(16, 20)
    image = source / 127.5 - 1
    outputs = []
    for member, band in zip(several.translators(), bands, strict=True):
        outputs.append(member(image))
        assert torch.equal(outputs[-1], prepared((16, 20), band=band)(image))
    assert not torch.equal(outputs[0], outputs[1])
    assert torch.equal(several(image), outputs[0])


def test_targets_of_other_sizes_are_kept_in_the_first_ones():
    sizes = [(12, 18), (30, 20), (12, 18)]
    kept, images = prepared(*sizes).targets, noise(*sizes).images
    assert kept.shape == (3, 3, 12, 18) and kept.dtype == torch.uint8
    assert torch.equal(kept[0], images[0]) and torch.equal(kept[2], images[2])
    assert torch.equal(kept[1], resize_image(images[1], (12, 18)))


def test_a_target_is_brought_to_the_size_of_the_image():
    fda = prepared((12, 18), band=0.2)
    source, _ = pair(25, 31)
    target = interpolate(fda.targets.double(), (25, 31), mode="bilinear", antialias=True)
    expected = swap_low_frequencies(source, target, 5).clamp(0, 255)
    torch.testing.assert_close((fda(source / 127.5 - 1) + 1) * 127.5, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("band", "message"),
    [
        (0.51, "band must be between 0 and 0.5, got 0.51"),
        (-0.01, "band must be between 0 and 0.5, got -0.01"),
        (float("nan"), "band must be between 0 and 0.5, got nan"),
        ([0.1, 0.6], "band must be between 0 and 0.5, got 0.6"),
        ([], r"band must be a number or several, got \[\]"),
    ],
)
def test_a_bad_band_is_refused_with_what_is_allowed(band, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        FDA(band=band)
