import numpy as np
import pytest
import torch
from skimage.exposure import match_histograms
from tiny import Pictures

from daf_baselines.histogram_matching import HistogramMatching, histograms, matching_table
from daframework.data.stream import to_bytes, to_float


def smooth(seed, height=24, width=31):
    """Shades as a photograph has them: a gradient with noise, each channel its own."""
    random = np.random.default_rng(seed)
    base = np.linspace(random.uniform(0, 80), random.uniform(120, 255), width)
    image = base + random.normal(0, 12, (3, height, width)) + random.uniform(-30, 30, (3, 1, 1))
    return torch.from_numpy(image.clip(0, 255).astype(np.uint8))


def gappy(seed, levels, height=20, width=27):
    """Only these levels occur."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.choice(np.array(levels, dtype=np.uint8), (3, height, width)))


PICTURES = {
    "smooth": smooth(0),
    "other smooth": smooth(1, 17, 40),
    "every level": gappy(2, range(256), 40, 60),
    "missing levels": gappy(3, [5, 6, 40, 41, 130, 200, 251]),
    "black and white": gappy(4, [0, 255]),
    "one colour": gappy(5, [77]),
    "bright": gappy(6, range(180, 256, 3)),
}


def prepared(source, target, **options):
    matching = HistogramMatching(**options)
    matching.prepare(Pictures(source), Pictures(target))
    return matching


def levels(output):
    """(3, H, W) in [-1, 1] -> grey levels, not rounded."""
    return (output + 1) * 127.5


def by_skimage(image, reference):
    # One channel at a time: with a channel axis it cuts the result down to whole levels.
    return np.stack([match_histograms(image[c].numpy(), reference[c].numpy()) for c in range(3)])


@pytest.mark.parametrize("reference", PICTURES)
@pytest.mark.parametrize("image", PICTURES)
def test_an_image_is_matched_as_scikit_image_does(image, reference):
    image, reference = PICTURES[image], PICTURES[reference]
    matching = prepared([image], [reference], reference="image")
    output = matching(image[None].double() / 127.5 - 1)[0]
    expected = by_skimage(image, reference)
    np.testing.assert_allclose(levels(output), expected, rtol=0, atol=1e-6)
    whole = match_histograms(image.numpy(), reference.numpy(), channel_axis=0)
    np.testing.assert_array_equal((levels(output) + 1e-9).floor(), np.floor(expected + 1e-9))
    assert np.abs(whole - expected).max() < 1


def test_each_image_is_matched_to_the_one_drawn_for_it():
    targets = [PICTURES["other smooth"], PICTURES["missing levels"], PICTURES["bright"]]
    matching = prepared([], targets, reference="image")
    image = PICTURES["smooth"]
    torch.manual_seed(5)
    drawn = torch.randint(3, (6,)).tolist()
    torch.manual_seed(5)
    outputs = matching((image.double() / 127.5 - 1).expand(6, -1, -1, -1))
    assert len(set(drawn)) == 3
    for output, index in zip(outputs, drawn, strict=True):
        np.testing.assert_allclose(levels(output), by_skimage(image, targets[index]), rtol=0, atol=1e-6)


def test_a_set_is_matched_as_if_its_images_lay_side_by_side():
    sources = [smooth(seed, width=20 + seed) for seed in range(4)]
    targets = [gappy(9, range(60, 250)), smooth(10)]
    matching = prepared(sources, targets)
    source, target = (torch.cat([one.flatten(1) for one in images], dim=1)[:, None] for images in (sources, targets))
    expected = by_skimage(source, target)
    output = torch.cat([matching(one[None].double() / 127.5 - 1)[0].flatten(1) for one in sources], dim=1)
    np.testing.assert_allclose(levels(output), expected[:, 0], rtol=0, atol=1e-6)


def test_the_translated_set_has_the_targets_histogram():
    targets = [smooth(20), smooth(21)]
    sources = [gappy(7, range(256), 50, 60)]
    output = prepared(sources, targets)(to_float(sources[0])[None])
    shares = [histograms(one).double().cumsum(-1) for one in (to_bytes(output), torch.cat(targets, dim=2)[None])]
    difference = shares[0] / shares[0][..., -1:] - shares[1] / shares[1][..., -1:]
    assert difference.abs().max() < 0.03


def test_a_domain_translated_to_itself_stays_as_it_is():
    images = [smooth(0), smooth(1)]
    for reference, chosen in (("set", images), ("image", images[:1])):
        matching = prepared(chosen, chosen, reference=reference)
        for image in chosen:
            assert torch.equal(to_bytes(matching(to_float(image)[None]))[0], image)


def counts(**by_level):
    histogram = torch.zeros(256, dtype=torch.int64)
    for level, count in by_level.items():
        histogram[int(level.removeprefix("at_"))] = count
    return histogram


def test_a_table_by_hand():
    # Half of the source at 10, a quarter each at 20 and 30; the target a quarter at 100, three quarters at 200.
    table = matching_table(counts(at_10=2, at_20=1, at_30=1), counts(at_100=1, at_200=3))
    assert table.dtype == torch.float64
    assert table[[10, 20, 30]].tolist() == pytest.approx([100 + 100 / 3, 100 + 200 / 3, 200], abs=1e-12)


def test_equal_shares_meet_exactly():
    table = matching_table(counts(at_3=1, at_4=2), counts(at_50=2, at_51=2, at_90=2))
    assert table[[3, 4]].tolist() == [50, 90]


def test_levels_that_were_not_measured_stay_between_those_that_were():
    table = matching_table(counts(at_10=1, at_30=1), counts(at_100=1, at_150=1))
    assert table[[0, 9, 10, 29, 30, 255]].tolist() == [100, 100, 100, 100, 150, 150]


@pytest.mark.parametrize("seed", range(5))
def test_a_table_rises_and_stays_within_the_targets_levels(seed):
    random = torch.Generator().manual_seed(seed)
    source, target = (torch.randint(-30, 20, (4, 3, 256), generator=random).clamp_min(0) for _ in range(2))
    table = matching_table(source, target)
    assert (table.diff(dim=-1) >= 0).all()
    darkest = (target > 0).int().argmax(-1, keepdim=True)
    assert (table >= darkest).all() and (table <= 255).all()


def test_histograms_count_each_channel_of_each_image():
    image = torch.stack([smooth(0), smooth(1)])
    counted = histograms(image)
    assert counted.shape == (2, 3, 256) and counted.dtype == torch.int64
    for n in range(2):
        for c in range(3):
            assert counted[n, c].tolist() == np.bincount(image[n, c].flatten(), minlength=256).tolist()


def test_values_between_levels_count_as_the_nearest():
    matching = prepared([PICTURES["smooth"]], [PICTURES["bright"]])
    image = to_float(PICTURES["smooth"])[None]
    assert torch.equal(matching(image + 0.3 / 127.5), matching(image))
