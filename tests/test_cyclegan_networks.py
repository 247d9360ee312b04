import pytest
import torch
from torch import nn
from torch.nn import functional as F

from daf_cyclegan.head import BRIGHTEST, affine, paint
from daf_cyclegan.layers import InstanceNorm, ResizeConv, instance_norm, reflected
from daf_cyclegan.patchgan import PatchGAN
from daf_cyclegan.resnet import ResNet
from daf_cyclegan.unet import UNet

SMALL = {
    "resnet": lambda **options: ResNet(channels=4, blocks=2, **options),
    "unet": lambda **options: UNet(channels=4, depth=3, **options),
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def images(*shape, seed=0):
    """Images with every 8-bit level, the extremes among them."""
    levels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed))
    levels.view(-1)[:2] = torch.tensor([0, 255])
    return levels / 127.5 - 1


def to_8_bit(image):
    return ((image + 1) * 127.5).round().to(torch.uint8)


def test_parameters_are_counted_as_in_the_reference():
    with torch.device("meta"):
        assert count(ResNet()) == 11_378_179
        assert count(PatchGAN()) == 2_764_737


def test_unet_has_the_parameters_of_its_plan():
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(16 * i * o + o for i, o in zip([3, *widths], widths, strict=False))
    up = sum(16 * i * o + o for i, o in [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 3)])
    with torch.device("meta"):
        assert count(UNet()) == down + up


@pytest.mark.parametrize(("layers", "side"), [(1, 126), (2, 62), (3, 30), (4, 14)])
def test_patchgan_judges_a_grid_of_patches(layers, side):
    with torch.device("meta"):
        output = PatchGAN(layers=layers)(torch.empty(1, 3, 256, 256))
    assert output.realness.shape == (1, 1, side, side)
    assert output.semantics is None


@pytest.mark.parametrize(("downsample", "patches"), [("strided", [16, 34, 70]), ("antialiased", [18, 40, 84])])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_patches_have_the_documented_width(layers, downsample, patches):
    network = PatchGAN(channels=2, layers=layers, downsample=downsample).double()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1.0)
    # Without norms, which see the whole image, and with positive weights no path through a patch can cancel out.
    stages = nn.Sequential(
        *(layer for stage in network.stages for layer in stage if not isinstance(layer, InstanceNorm))
    )
    image = torch.ones(1, 3, 192, 192, dtype=torch.float64, requires_grad=True)
    judged = network.last(stages(image))
    judged[0, 0, judged.shape[2] // 2, judged.shape[3] // 2].backward()
    seen = image.grad.abs().sum(dim=(0, 1)).nonzero()
    assert (seen.max(dim=0).values - seen.min(dim=0).values + 1).tolist() == [patches[layers - 1]] * 2


@pytest.mark.parametrize("network", [ResNet(channels=4, blocks=2), UNet(channels=4, depth=3), PatchGAN(channels=8)])
def test_convolutions_start_normal_with_deviation_2_percent_and_no_bias(network):
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    weights = torch.cat([c.weight.detach().flatten() for c in convolutions])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(weights.mean().item()) < 0.001
    assert all(not c.bias.detach().any() for c in convolutions)


@pytest.mark.parametrize("name", SMALL)
def test_a_smaller_multiple_would_not_do(name):
    generator = SMALL[name]()
    half = generator.multiple // 2
    try:
        kept = generator(images(1, 3, 5 * half, 6 * half)).shape == (1, 3, 5 * half, 6 * half)
    except RuntimeError:
        kept = False
    assert not kept


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResNet(blocks=0), "blocks must be 1 or more, got 0"),
        (lambda: UNet(depth=1), "depth must be 2 or more, got 1"),
        (lambda: PatchGAN(layers=0), "layers must be 1 or more, got 0"),
        (lambda: PatchGAN(channels=-1), "channels must be 1 or more, got -1"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(build, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        build()


@pytest.mark.parametrize("name", SMALL)
def test_an_affine_head_starts_as_the_identity(name):
    generator = SMALL[name](head="affine")
    image = images(1, 3, 32, 48)
    translated = generator(image)
    assert (translated - image).abs().max() <= 1 - BRIGHTEST + 1e-6
    inside = image.abs() < BRIGHTEST
    assert (translated - image)[inside].abs().max() < 1e-5
    assert torch.equal(to_8_bit(translated), to_8_bit(image))


@pytest.mark.parametrize("name", SMALL)
def test_an_affine_head_learns_all_layers_from_the_second_step_on(name):
    torch.manual_seed(0)
    generator = SMALL[name](head="affine")
    image = images(1, 3, 32, 48)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (generator(image) + 1).square().mean().backward()
        optimizer.step()
    weights = [p for name, p in generator.named_parameters() if name.endswith("weight")]
    assert all(weight.grad.any() for weight in weights)


def test_affine_head_is_the_literal_formula():
    random = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, 4, 5, generator=random, dtype=torch.float64) * 1.9 - 0.95
    predicted = torch.randn(2, 6, 4, 5, generator=random, dtype=torch.float64)
    gain = torch.log(1 + (predicted[:, :3]).exp() * (torch.e - 1))
    logits = 0.5 * torch.log((1 + image) / (1 - image))
    expected = 2 / (1 + torch.exp(-2 * (gain * logits + predicted[:, 3:]))) - 1
    torch.testing.assert_close(affine(image, predicted), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_affine_head_is_finite_with_its_gradients_at_the_extremes(dtype):
    image = torch.tensor([-1.0, 1.0, BRIGHTEST, 0.5], dtype=dtype).view(1, 1, 2, 2).repeat(1, 3, 1, 1).requires_grad_()
    predicted = torch.randn(1, 6, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    translated = affine(image, predicted)
    translated.sum().backward()
    assert translated.dtype == torch.float32
    assert translated.isfinite().all()
    assert image.grad.isfinite().all()
    assert predicted.grad.isfinite().all()
    assert predicted.grad.abs().min() > 0


@pytest.mark.parametrize("name", SMALL)
def test_gradients_through_both_directions_are_finite_on_black_and_white(name):
    there, back = SMALL[name](head="affine"), SMALL[name](head="affine")
    image = torch.ones(1, 3, 16, 16)
    image[..., :8] = -1
    image.requires_grad_()
    (back(there(image)) - 0.3).abs().mean().backward()
    gradients = [image.grad, *(p.grad for p in (*there.parameters(), *back.parameters()))]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_painting_is_tanh_in_single_precision():
    predicted = torch.tensor([[0.0, 0.5, 3.0]], dtype=torch.bfloat16)
    assert torch.equal(paint(predicted), torch.tanh(torch.tensor([[0.0, 0.5, 3.0]])))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 5, 1, 2)])
def test_instance_norm_is_the_literal_formula(shape):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 2
    mean = features.mean(dim=(2, 3), keepdim=True)
    variance = (features - mean).square().mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(instance_norm(features), (features - mean) / (variance + 1e-5).sqrt())
    torch.testing.assert_close(F.instance_norm(features), instance_norm(features))


def test_instance_norm_of_single_pixels_is_refused_rather_than_zero():
    with pytest.raises(ValueError, match="1x1"):
        instance_norm(torch.ones(2, 8, 1, 1))


def test_unet_keeps_what_its_single_pixel_bottleneck_holds():
    generator = UNet(channels=4, depth=4)
    bottleneck = generator.features(images(1, 3, 16, 16), [4])[0]
    assert bottleneck.shape == (1, 32, 1, 1)
    assert bottleneck.std() > 0
    optimized = generator.encoder[-1][0].weight
    generator(images(1, 3, 16, 16)).square().sum().backward()
    assert optimized.grad.abs().max() > 0


def test_resize_convolution_is_upsampling_then_convolution():
    layer = ResizeConv(3, 5).double()
    features = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    expected = F.conv2d(F.interpolate(features, scale_factor=2), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), expected, rtol=1e-12, atol=1e-12)
    pattern = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, [features, layer.weight, layer.bias], pattern)
    got = torch.autograd.grad(layer(features), [features, layer.weight, layer.bias], pattern)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def period_2_power(picture):
    """Share of a picture's spectral power, its mean left out, at the frequency of a checkerboard or of its stripes."""
    power = torch.fft.fft2(picture.double() - picture.double().mean()).abs().square()
    half = power.shape[-1] // 2
    return ((power[..., half, half] + power[..., 0, half] + power[..., half, 0]).sum() / power.sum()).item()


def test_resize_convolution_draws_no_checkerboard_on_an_even_surface():
    even = torch.ones(1, 8, 12, 12)
    torch.manual_seed(0)
    resized = ResizeConv(8, 3)(even)[..., 2:-2, 2:-2]
    transposed = nn.ConvTranspose2d(8, 3, 3, 2, 1, output_padding=1)(even)[..., 2:-2, 2:-2]
    assert (resized - resized.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-5
    assert period_2_power(transposed - transposed.mean(dim=(2, 3), keepdim=True)) > 0.99


def test_features_are_the_documented_activations():
    generator = ResNet(channels=4, blocks=3)
    image = images(1, 3, 16, 24)
    features = generator.features(image, [0, 1, 2, 3, 6])
    assert [tuple(f.shape[1:]) for f in features] == [(3, 16, 24), (4, 16, 24), (8, 8, 12), (16, 4, 6), (16, 4, 6)]
    assert features[0] is image
    torch.testing.assert_close(generator.head(image, generator.decoder(features[-1])), generator(image))
    assert torch.equal(generator.features(image, [2, 1])[1], features[1])


def test_unet_features_are_the_documented_activations():
    features = UNet(channels=4, depth=3).features(images(1, 3, 16, 24), [0, 1, 3])
    assert [tuple(f.shape[1:]) for f in features] == [(3, 16, 24), (4, 8, 12), (16, 2, 3)]


def test_features_compute_nothing_beyond_the_deepest_layer():
    generator = ResNet(channels=4, blocks=3)
    generator.encoder[4].register_forward_hook(lambda *_: pytest.fail("computed a layer nobody asked for"))
    generator.features(images(1, 3, 16, 16), [0, 4])
    with pytest.raises(ValueError, match="layers must be from 0 to 6"):
        generator.features(images(1, 3, 16, 16), [7])


def test_a_patchgan_without_norm_has_the_same_weights_and_keeps_its_signal_through_every_layer() -> None:
    torch.manual_seed(0)
    plain, normed = PatchGAN(norm="none"), PatchGAN()
    assert not any(isinstance(module, InstanceNorm) for module in plain.modules())
    assert [p.shape for p in plain.parameters()] == [p.shape for p in normed.parameters()]
    features = plain.stages(torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
    assert 0.3 < float(features.square().mean().sqrt()) < 3


def test_a_reflected_border_has_the_dtype_of_what_it_frames():
    image = torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        framed = reflected(image, 1)
        (gradient,) = torch.autograd.grad(framed.sum(), image)
    assert (framed.dtype, gradient.dtype) == (torch.bfloat16, torch.bfloat16)
