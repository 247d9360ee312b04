from itertools import pairwise

import pytest
import torch

from daframework.adapt.tiles import apply_in_tiles, spans

SIZES = [(64, 96), (100, 37), (33, 129), (8, 8), (1, 1), (1, 70), (97, 101)]


@pytest.mark.parametrize("multiple", [1, 4, 8])
@pytest.mark.parametrize("length, tile, overlap", [(64, 32, 8), (72, 32, 16), (104, 40, 64), (24, 100, 8), (80, 3, 2)])
def test_weights_are_smooth_and_add_up_to_one_at_every_pixel(length, tile, overlap, multiple):
    total = torch.zeros(length, dtype=torch.float64)
    found = spans(length, tile, overlap, multiple)
    for start, weight in found:
        assert start % multiple == 0 and len(weight) % multiple == 0
        assert len(weight) <= max(tile, multiple)
        assert weight.min() >= 0 and weight.max() <= 1
        total[start : start + len(weight)] += weight
    assert torch.allclose(total, torch.ones_like(total), atol=1e-12)
    shared = min(overlap, len(found[0][1]) // multiple // 2 * multiple)
    if shared >= 8:  # a ramp over that many pixels never rises by more than 1.5 of its mean slope
        assert all(weight.diff().abs().max() <= 1.51 / shared for _, weight in found)


def test_neighbours_share_what_was_asked_for_or_more():
    for length in range(40, 200):
        starts = [start for start, _ in spans(length, 40, 16, 1)]
        assert starts[0] == 0 and starts[-1] == length - 40
        assert all(0 < second - first <= 24 for first, second in pairwise(starts))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("multiple", [1, 4])
def test_a_pointwise_network_gives_the_whole_image_whatever_the_tiles(size, multiple):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for network in (torch.clone, torch.tanh, lambda one: one.flip(1)):
        tiled = apply_in_tiles(network, image, size=(32, 24), multiple=multiple, overlap=8)
        assert tiled.shape == image.shape and (tiled - network(image)).abs().max() < 1e-6


def test_a_constant_stays_constant():
    tiled = apply_in_tiles(torch.clone, torch.full((1, 3, 70, 90), 0.3), size=(32, 32), multiple=4, overlap=12)
    assert (tiled - 0.3).abs().max() < 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_the_network_sees_no_more_than_a_tile_and_only_multiples(size):
    seen = []

    def network(part):
        seen.append(tuple(part.shape[-2:]))
        return part

    apply_in_tiles(network, torch.zeros(1, 3, *size), size=(30, 45), multiple=8, overlap=8)
    assert all(height <= 24 and width <= 40 and height % 8 == width % 8 == 0 for height, width in seen)
    assert len(set(seen)) == 1


def test_a_network_with_strides_sees_the_grid_of_the_whole_image():
    def striped(image):
        return image + torch.arange(image.shape[-1]).remainder(4)

    image = torch.zeros(1, 3, 8, 101)
    assert torch.equal(
        apply_in_tiles(striped, image, size=(8, 30), multiple=4, overlap=7).round(decimals=5), striped(image)
    )


def test_half_precision_parts_are_added_up_in_single_precision():
    image = torch.full((1, 3, 40, 100), 0.123)
    tiled = apply_in_tiles(lambda part: part.bfloat16(), image, size=(40, 30), multiple=1, overlap=10)
    assert tiled.dtype == torch.float32
    assert (tiled - image.bfloat16().float()).abs().max() < 1e-6
