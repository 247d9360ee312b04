"""What holds for every generator that measures the domains: tests of their maths are in files of their own."""

import copy

import pytest
import torch
from tiny import Pictures

from daf_baselines.class_color_transfer import ClassColorTransfer
from daf_baselines.color_transfer import ColorTransfer
from daf_baselines.fda import FDA
from daf_baselines.histogram_matching import HistogramMatching
from daframework.data.stream import to_float
from daframework.errors import DataError, PluginError
from daframework.interfaces import Sample

BUILDS = {
    "color_transfer, set": lambda **options: ColorTransfer(**options),
    "color_transfer, image": lambda **options: ColorTransfer(reference="image", **options),
    "histogram_matching, set": lambda **options: HistogramMatching(**options),
    "histogram_matching, image": lambda **options: HistogramMatching(reference="image", **options),
    "class_color_transfer": lambda **options: ClassColorTransfer(**options),
    "fda": lambda **options: FDA(**options),
    "fda, two bands": lambda **options: FDA(band=[0.3, 0.1], **options),
}
DRAWING = [name for name in BUILDS if "set" not in name]


class Unread(Pictures):
    """Images whose labels must not be read; remembers which were looked at."""

    def __init__(self, count, low, high, seed):
        random = torch.Generator().manual_seed(seed)
        sizes = [(12 + i % 3, 17 - i % 2) for i in range(count)]
        super().__init__([torch.randint(low, high, (3, *size), generator=random, dtype=torch.uint8) for size in sizes])
        self.read = []

    def __getitem__(self, index):
        raise AssertionError("a label was read")

    def unlabelled(self, index):
        self.read.append(index)
        return Sample(self.images[index], None, f"image {index}")


def domains():
    return Unread(5, 30, 180, seed=1), Unread(7, 90, 256, seed=2)


def prepared(name, **options):
    generator = BUILDS[name](**options)
    generator.prepare(*domains())
    return generator


def batch(count=4, height=14, width=19):
    random = torch.Generator().manual_seed(3)
    return to_float(torch.randint(0, 256, (count, 3, height, width), generator=random, dtype=torch.uint8))


def translated(generator, image, seed=0):
    torch.manual_seed(seed)
    return generator(image)


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("size", [(14, 19), (1, 1), (33, 2)])
def test_black_and_white_are_translated_within_the_range(name, size):
    generator = prepared(name)
    extremes = torch.ones(2, 3, *size)
    extremes[0] = -1
    output = generator(extremes)
    assert output.isfinite().all() and output.abs().max() <= 1


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_type_is_kept(name, dtype):
    generator, image = prepared(name), batch()
    output = translated(generator, image.to(dtype))
    assert output.dtype == dtype
    assert output.abs().max() <= 1
    if dtype == torch.float64:
        torch.testing.assert_close(output.float(), translated(generator, image), rtol=0, atol=1e-5)
        assert not torch.equal(output, output.float().double())


@pytest.mark.parametrize("name", BUILDS)
def test_loading_replaces_what_was_measured_before_and_leaves_the_checkpoint_alone(name):
    state = prepared(name).state_dict()
    before = copy.deepcopy(state)
    other = BUILDS[name]()
    other.prepare(*reversed(domains()))
    other.load_state_dict(state)
    assert torch.equal(translated(other, batch()), translated(prepared(name), batch()))
    other.prepare(*reversed(domains()))
    assert all(torch.equal(state[key], before[key]) for key in before)


@pytest.mark.parametrize("kind", [ColorTransfer, HistogramMatching])
@pytest.mark.parametrize("reference", ["set", "image"])
def test_a_checkpoint_of_the_other_reference_is_refused(kind, reference):
    saved = kind(reference=reference)
    saved.prepare(*domains())
    other = kind(reference="image" if reference == "set" else "set")
    with pytest.raises(RuntimeError, match="source_"):
        other.load_state_dict(saved.state_dict())


@pytest.mark.parametrize("name", BUILDS)
def test_without_measurements_the_error_says_what_to_do(name):
    with pytest.raises(PluginError, match=r"has measured nothing; prepare it or load a checkpoint"):
        BUILDS[name]()(batch())


@pytest.mark.parametrize("name", BUILDS)
def test_images_are_read_from_the_whole_set_and_no_more_than_the_limit(name):
    source, target = domains()
    BUILDS[name](limit=4).prepare(source, target)
    assert target.read == [0, 1, 3, 5]
    assert source.read == ([0, 1, 2, 3] if "set" in name else [])


@pytest.mark.parametrize("name", BUILDS)
def test_an_empty_domain_is_refused(name):
    with pytest.raises(DataError, match="no image to measure"):
        BUILDS[name]().prepare(domains()[0], Unread(0, 0, 1, seed=0))


@pytest.mark.parametrize("name", BUILDS)
def test_an_image_is_translated_alike_alone_and_in_a_batch(name):
    generator, image = prepared(name), batch()
    together = translated(generator, image)
    torch.manual_seed(0)
    alone = torch.cat([generator(one[None]) for one in image])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", DRAWING)
def test_the_draw_follows_from_the_global_seed(name):
    generator, image = prepared(name), batch(1).expand(8, -1, -1, -1)
    first = translated(generator, image, seed=0)
    assert torch.equal(translated(generator, image, seed=0), first)
    assert not torch.equal(translated(generator, image, seed=1), first)
    assert len({output.numpy().tobytes() for output in first}) > 1


@pytest.mark.parametrize("name", [name for name in BUILDS if "set" in name])
def test_one_map_for_all_images_draws_nothing(name):
    generator = prepared(name)
    before = torch.get_rng_state()
    generator(batch())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", [ColorTransfer, HistogramMatching, FDA])
def test_a_limit_below_1_is_refused(kind):
    with pytest.raises(ValueError, match=r"^limit must be 1 or more, got 0$"):
        kind(limit=0)
