import math

import pytest
import torch
from torch import nn

from daf_cyclegan.layers import BlurredConv, Halve, doubled
from daf_cyclegan.patchgan import PatchGAN
from daf_cyclegan.resnet import ResNet
from daf_semantic_cyclegan.discriminator import semantic

RESAMPLINGS = [
    {"downsample": "antialiased"},
    {"upsample": "antialiased"},
    {"downsample": "antialiased", "upsample": "antialiased"},
]


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def drawn(build):
    """The weights that one seed gives a network, and what it draws next."""
    torch.manual_seed(0)
    return list(build().state_dict().items()), torch.rand(())


def literal_blur(line, taps, border):
    """A line of numbers, blurred by ``taps`` around every place, beyond which ``border`` says what lies."""
    middle = len(taps) // 2
    return [
        sum(tap * border(line, place + offset - middle) for offset, tap in enumerate(taps))
        for place in range(len(line))
    ]


def reflected(line, place):
    place = abs(place)
    return line[place if place < len(line) else 2 * (len(line) - 1) - place]


def repeated(line, place):
    return line[min(max(place, 0), len(line) - 1)]


def both_ways(one_way, features):
    """Apply a function of lists along the rows and then along the columns of (N, C, H, W)."""
    for _ in range(2):
        lines = features.flatten(0, 2).tolist()
        shaped = torch.tensor([one_way(line) for line in lines], dtype=torch.float64)
        features = shaped.view(*features.shape[:3], -1).transpose(2, 3)
    return features


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (2, 3)])
def test_halving_is_the_literal_blur_at_every_other_pixel(size):
    features = draw(2, 3, *size)
    expected = both_ways(lambda line: literal_blur(line, [0.25, 0.5, 0.25], reflected)[::2], features)
    assert expected.shape == (2, 3, math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    torch.testing.assert_close(Halve().double()(features), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 2)])
def test_doubling_is_the_literal_blur_of_pixels_set_apart_by_zeros(size):
    features = draw(2, 3, *size)

    def one_way(line):
        framed = [repeated(line, place) for place in range(-1, len(line) + 1)]
        apart = [value for pixel in framed for value in (pixel, 0.0)]
        # Four taps lie half a pixel off a place; the frame's own places are cut off again.
        return literal_blur([0.0, *apart], [0.25, 0.75, 0.75, 0.25], repeated)[3:-2]

    expected = both_ways(one_way, features)
    assert expected.shape == (2, 3, 2 * size[0], 2 * size[1])
    torch.testing.assert_close(doubled(features), expected, rtol=1e-12, atol=1e-12)


def test_an_antialiased_upsampling_is_doubling_then_a_convolution():
    layer = BlurredConv(3, 5).double()
    features = draw(2, 3, 4, 6)
    expected = nn.functional.conv2d(doubled(features), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), expected)


def test_a_constant_stays_constant():
    constant = torch.full((1, 4, 6, 10), 0.7)
    for made, size in ((Halve()(constant), (3, 5)), (doubled(constant), (12, 20))):
        torch.testing.assert_close(made, torch.full((1, 4, *size), 0.7))


def test_the_finest_pattern_vanishes_instead_of_turning_into_a_surface():
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    assert stripes[..., ::2, ::2].mean() == 1
    assert Halve()(stripes).abs().max() < 1e-6


def shift_response(network, pattern):
    """How much the output changes, in its own deviations, where the pattern moves by one pixel."""
    here, there = network(pattern[..., :-1])[..., 2:-2, 2:-2], network(pattern[..., 1:])[..., 2:-2, 2:-2]
    return ((here - there).square().mean().sqrt() / here.std()).item()


def test_the_output_changes_less_when_a_fine_pattern_moves_by_a_pixel():
    fine = draw(1, 3, 64, 65, dtype=torch.float32)
    responses = {}
    for downsample in ("strided", "antialiased"):
        torch.manual_seed(0)
        encoder = ResNet(channels=8, blocks=1, downsample=downsample).encoder[:3]
        torch.manual_seed(0)
        stages = PatchGAN(channels=8, downsample=downsample).stages[:2]
        with torch.no_grad():
            responses[downsample] = [shift_response(network, fine) for network in (encoder, stages)]
    for blurred, strided in zip(responses["antialiased"], responses["strided"], strict=True):
        assert blurred < 0.8 * strided


@pytest.mark.parametrize("options", RESAMPLINGS)
def test_weights_and_their_draws_are_those_of_the_paper(options):
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet(**options).parameters()) == 11_378_179
        assert sum(p.numel() for p in PatchGAN(downsample="antialiased").parameters()) == 2_764_737
    plain = {"upsample": "resize" if "upsample" in options else "transposed"}
    for blurred, usual in (
        (lambda: ResNet(channels=4, blocks=1, **options), lambda: ResNet(channels=4, blocks=1, **plain)),
        (lambda: PatchGAN(channels=4, downsample="antialiased"), lambda: PatchGAN(channels=4)),
    ):
        (got, after), (wanted, then) = drawn(blurred), drawn(usual)
        assert [name for name, _ in got] == [name for name, _ in wanted]
        assert all(torch.equal(one, other) for (_, one), (_, other) in zip(got, wanted, strict=True))
        assert after == then


def test_by_default_nothing_is_antialiased():
    for network in (ResNet(channels=4, blocks=1), PatchGAN(channels=4), semantic(num_classes=3, channels=4)):
        assert not any(isinstance(module, Halve | BlurredConv) for module in network.modules())
        strides = [module.stride for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert strides.count((2, 2)) == (2 if isinstance(network, ResNet) else 3)


def test_an_antialiased_generator_doubles_by_blurred_convolutions():
    decoder = ResNet(channels=4, blocks=1, upsample="antialiased").decoder
    assert [type(stage[0]) for stage in decoder] == [BlurredConv, BlurredConv]


def test_the_blur_comes_after_the_activation_and_belongs_to_no_checkpoint():
    for network in (ResNet(channels=4, blocks=1, downsample="antialiased"), PatchGAN(downsample="antialiased")):
        halvings = [module for module in network.modules() if isinstance(module, nn.Sequential)]
        halvings = [stage for stage in halvings if isinstance(stage[-1], Halve)]
        assert len(halvings) == (2 if isinstance(network, ResNet) else 3)
        assert all(isinstance(stage[-2], nn.ReLU | nn.LeakyReLU) for stage in halvings)
        assert all(stage[0].stride == (1, 1) for stage in halvings)
        assert not any(name.endswith("kernel") for name in network.state_dict())


@pytest.mark.parametrize("options", RESAMPLINGS)
def test_a_generator_keeps_the_shape_of_every_multiple_of_4_on_every_device(options):
    assert ResNet.multiple == 4
    for height, width in ((8, 8), (12, 20)):
        image = draw(2, 3, height, width, dtype=torch.float32).clamp(-1, 1)
        assert ResNet(channels=4, blocks=1, **options)(image).shape == image.shape
    with torch.device("meta"):
        assert ResNet(channels=4, blocks=1, **options)(torch.empty(2, 3, 16, 24)).shape == (2, 3, 16, 24)
    assert ResNet(channels=4, blocks=1, **options)(torch.zeros(1, 3, 10, 12)).shape != (1, 3, 10, 12)


def test_features_keep_their_numbers():
    image = draw(1, 3, 16, 24, dtype=torch.float32)
    generator = ResNet(channels=4, blocks=3, downsample="antialiased")
    features = generator.features(image, [0, 1, 2, 3, 6])
    assert [tuple(f.shape[1:]) for f in features] == [(3, 16, 24), (4, 16, 24), (8, 8, 12), (16, 4, 6), (16, 4, 6)]
    # The blur is the last thing of a halving, so that what follows starts from what `features` shows.
    torch.testing.assert_close(generator.encoder[2](features[2]), features[3])
    torch.testing.assert_close(generator.head(image, generator.decoder(features[-1])), generator(image))


@pytest.mark.parametrize("size", [(64, 64), (48, 96), (50, 58), (46, 33)])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_patchgan_judges_as_many_patches_either_way(size, layers):
    with torch.device("meta"):
        image = torch.empty(1, 3, *size)
        strided, blurred = (
            PatchGAN(channels=4, layers=layers, downsample=name)(image) for name in ("strided", "antialiased")
        )
    assert strided.realness.shape == blurred.realness.shape


def test_an_antialiased_patchgan_without_norm_keeps_its_signal_through_every_layer():
    torch.manual_seed(0)
    network = PatchGAN(channels=16, norm="none", downsample="antialiased")
    with torch.no_grad():
        features = network.stages(draw(2, 3, 128, 128, dtype=torch.float32))
    assert 0.3 < features.square().mean().sqrt().item() < 3


def test_the_semantic_discriminator_hands_it_to_its_patchgan():
    options = {"channels": 4, "layers": 2, "downsample": "antialiased"}
    image = draw(2, 3, 16, 24, dtype=torch.float32)
    torch.manual_seed(0)
    plain = PatchGAN(**options)
    torch.manual_seed(0)
    output = semantic(num_classes=3, **options)(image)
    assert torch.equal(output.realness, plain(image).realness)
    assert output.semantics.shape == (2, 3, 16, 24)
