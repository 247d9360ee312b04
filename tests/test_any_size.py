"""Every generator takes every size, whole and in tiles."""

from itertools import product

import pytest
import tiny
import torch

from daf_baselines import daf_generators as baselines
from daf_cyclegan import daf_generators as networks
from daf_segmentation import daf_tasks
from daframework.adapt.tiles import apply_in_tiles
from daframework.data.whole import apply_padded
from daframework.errors import PluginError
from daframework.testing import check_generator

OPTIONS = {
    "resnet": [{}, {"downsample": "antialiased", "upsample": "antialiased"}, {"upsample": "resize", "head": "affine"}],
    "unet": [{"depth": depth} for depth in (2, 3, 5)],
    "fda": [{"band": 0.5}],
    "histogram_matching": [{"reference": "image"}, {}],
}
SMALL = {"resnet": {"channels": 4, "blocks": 1}, "unet": {"channels": 4}}
CASES = [
    pytest.param(factory, SMALL.get(name, {}) | options, id=f"{name} {options}")
    for name, factory in {**networks(), **baselines()}.items()
    for options in OPTIONS.get(name, [{}])
]
SIZES = [*product((1, 2, 3, 4, 7, 8), repeat=2), (40, 1), (1, 40), (9, 33)]


@pytest.fixture
def make():
    """A generator, measured on noise where it measures."""

    def generator(factory, options):
        torch.manual_seed(0)
        made = factory(**options).eval()
        made.prepare(*(tiny.Pictures([torch.randint(256, (3, 9, 12), dtype=torch.uint8)]) for _ in range(2)))
        return made

    return generator


@pytest.mark.parametrize("factory, options", CASES)
@torch.no_grad()
def test_every_generator_takes_every_size(make, factory, options):
    generator = make(factory, options)
    for height, width in SIZES:
        image = torch.rand(1, 3, height, width) * 2 - 1
        whole = apply_padded(generator, image, generator.multiple, generator.smallest)
        assert whole.shape == image.shape and whole.isfinite().all()
        for size in ((4, 4), (5, 7), (1, 30)):
            tiled = apply_in_tiles(
                generator, image, size=size, multiple=generator.multiple, smallest=generator.smallest
            )
            assert tiled.shape == image.shape and tiled.isfinite().all()


@pytest.mark.parametrize("arch", ["unet", "fpn", "pspnet", "deeplabv3plus", "pan", "upernet", "segformer"])
@torch.no_grad()
def test_every_architecture_predicts_every_size(arch):
    task = daf_tasks()["segmentation"](num_classes=2, arch=arch)
    model = task.model().eval()
    for size in ((1, 1), (2, 8), (40, 1)):
        assert apply_padded(model, torch.zeros(1, 3, *size), task.multiple, task.smallest).shape == (1, 2, *size)


@pytest.mark.parametrize("size, expected", [((4, 4), (8, 8)), ((11, 25), (8, 24)), ((3, 100), (8, 48))])
def test_a_tile_is_brought_down_to_a_multiple_but_not_below_the_smallest(size, expected):
    seen = []

    def network(part):
        seen.append(tuple(part.shape[-2:]))
        return part

    image = torch.rand(1, 3, 41, 47)
    tiled = apply_in_tiles(network, image, size=size, multiple=4, smallest=7, overlap=4)
    assert set(seen) == {expected} and (tiled - image).abs().max() < 1e-6


def test_what_is_finished_is_handed_on_by_rows_and_makes_up_the_whole():
    heights = []

    def finished(rows):
        heights.append(rows.shape[-2])
        return rows.round(decimals=4)

    image = torch.rand(2, 3, 50, 20)
    tiled = apply_in_tiles(torch.clone, image, size=(16, 8), multiple=4, overlap=4, finished=finished)
    assert sum(heights) == 50 and max(heights) <= 16 and torch.equal(tiled, image.round(decimals=4))


def test_a_generator_that_promises_a_size_it_cannot_take_is_told_what_to_say():
    class Reflecting(tiny.Painter):
        def forward(self, image):
            return torch.nn.functional.pad(image, (3,) * 4, mode="reflect")[..., 3:-3, 3:-3]

    with pytest.raises(PluginError, match=r"cannot take 2 x 2, which it promises: .*; say with smallest what"):
        check_generator(Reflecting(multiple=2), height=8, width=8)
    generator = Reflecting(multiple=2)
    generator.smallest = 4
    check_generator(generator, height=8, width=8)
