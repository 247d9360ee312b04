"""A sky or a black border is where float32 loses digits: there every network is held against itself in float64."""

from copy import deepcopy

import pytest
import torch
from tiny import Pictures
from torch import nn

from daf_cyclegan.layers import group_norm, reflected
from daframework.interfaces import DiscriminatorOutput
from daframework.registry import components, find, load_plugins

PLUGINS = load_plugins()
SEMANTIC = {"num_classes": 3, "channels": 8, "decoder_channels": 8}
RECIPES = {"num_classes": 11, "channels": 24, "layers": 2, "norm": "none", "decoder_channels": 16}
NETWORKS = [
    ("generator", "resnet", {"channels": 8, "blocks": 2}),
    ("generator", "resnet", {"channels": 8, "blocks": 4, "upsample": "resize", "head": "affine"}),
    ("generator", "resnet", {"channels": 8, "blocks": 2, "downsample": "antialiased", "upsample": "antialiased"}),
    ("generator", "unet", {"channels": 8, "depth": 3}),
    ("generator", "unet", {"channels": 8, "depth": 3, "upsample": "resize", "head": "affine"}),
    ("generator", "color_transfer", {}),
    ("generator", "color_transfer", {"reference": "image"}),
    ("generator", "class_color_transfer", {}),
    ("generator", "fda", {"band": 0.09}),
    ("generator", "histogram_matching", {}),
    ("generator", "histogram_matching", {"reference": "image"}),
    ("discriminator", "patchgan", {"channels": 8}),
    ("discriminator", "patchgan", {"channels": 8, "norm": "none", "downsample": "antialiased"}),
    ("discriminator", "semantic", RECIPES),
    ("discriminator", "semantic", SEMANTIC | {"downsample": "antialiased"}),
    ("discriminator", "semantic", SEMANTIC | {"encoder": "resnet18"}),
    ("discriminator", "semantic", SEMANTIC | {"encoder": "convnext_atto"}),
    ("task", "segmentation", {"num_classes": 3, "encoder": "resnet18", "arch": "unet"}),
    ("task", "depth", {"encoder": "resnet18", "arch": "unet"}),
]
BOUNDS = {"generator": 1e-3, "discriminator": 1e-4, "task": 1e-4}  # of 2 and of some 3, a grey level being 2 / 255
EVEN = {"sky": 204, "black": 0, "white": 255}
ORDERS = [torch.contiguous_format, torch.channels_last]


def of_level(level, size):
    return torch.full((1, 3, *size), level / 127.5 - 1)


def uneven(size, seed=0):
    """A sky with one grey level of noise, and the same above black."""
    draw = torch.Generator().manual_seed(seed)
    sky = (204 + torch.randint(0, 2, (1, 3, *size), generator=draw)) / 127.5 - 1
    half = sky.clone()
    half[..., size[0] // 2 :, :] = -1
    return {"noise": sky, "half": half}


class Logarithm(nn.Module):
    def forward(self, value):
        return value.log()


def build(kind, name, options, size):
    torch.manual_seed(0)
    network = find(PLUGINS, kind, name).factory(**options)
    network = network.model() if kind == "task" else network
    # Metres are compared by their logarithm: the least digit of 80 is a hundred times that of 0.8.
    network = nn.Sequential(network, Logarithm()) if name == "depth" else network
    for layer in (getattr(getattr(network, "decoder", None), "classify", None), getattr(network, "head", None)):
        for parameter in layer.parameters() if layer is not None else ():
            nn.init.normal_(parameter, 0, 0.05)  # such layers start at 0, which would hide what comes before
    if hasattr(network, "prepare"):
        pixels = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for _ in range(2)]
        network.prepare(Pictures(pixels[:1]), Pictures(pixels[1:]))
    return network


def images_of(output):
    """All that a network says of an image."""
    if not isinstance(output, DiscriminatorOutput):
        return [output]
    return [part for part in (output.realness, output.semantics) if part is not None]


def orders_of(network):
    """The memory formats that a CPU offers: torch's batch norm loses digits of channels_last images there."""
    return ORDERS[:1] if any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) else ORDERS


@torch.no_grad()
def compared(network, image, *, half=False):
    """Each output in float64, with the same in each memory format in float32, or with bf16 where it is multiplied."""
    wanted = images_of(deepcopy(network).double()(image.double()))
    for order in orders_of(network):
        laid_out = deepcopy(network).to(memory_format=order)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            got = images_of(laid_out(image.contiguous(memory_format=order)))
        yield from zip(wanted, got, strict=True)


def middle(output):
    """What lies half of the way from the border to the centre, and further inside."""
    height, width = output.shape[-2:]
    return output[..., height // 4 : -(height // 4), width // 4 : -(width // 4)]


def spread(output):
    return float((output - output[..., :1, :1]).abs().max())


def test_every_registered_network_is_held_to_it():
    for kind in BOUNDS:
        assert {name for listed, name, _ in NETWORKS if listed == kind} == components(PLUGINS, kind).keys()


@pytest.mark.parametrize(("kind", "name", "options"), NETWORKS)
def test_every_memory_format_gives_what_float64_gives(kind, name, options):
    size = (64, 96) if kind == "task" else (56, 88)
    network = build(kind, name, options, size)
    for image in [*uneven(size).values(), *(of_level(level, size) for level in EVEN.values())]:
        for wanted, got in compared(network, image):
            assert (got - wanted).abs().max() < BOUNDS[kind]


@pytest.mark.parametrize(("kind", "name", "options"), NETWORKS)
def test_bf16_is_a_level_off_on_average(kind, name, options):
    size = (64, 96)
    images = uneven(size)
    if name == "resnet":
        # One level of noise alone is two steps of bf16, and instance norm makes of what is left a whole picture.
        images.pop("noise")
    network = build(kind, name, options, size).eval()
    for image in [*images.values(), *(of_level(level, size) for level in EVEN.values())]:
        for wanted, got in compared(network, image, half=True):
            # The ends of a sigmoid stretch what bf16 rounds.
            levels = 3 if name == "depth" else 2
            assert (got - wanted).abs().mean() < levels / 255 * max(1, spread(wanted))


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("level", EVEN.values(), ids=EVEN)
@pytest.mark.parametrize(
    ("kind", "name", "options"), [one for one in NETWORKS if one[1] in ("resnet", "patchgan", "color_transfer")]
)
def test_an_even_image_gives_an_even_one_bit_for_bit_away_from_the_border(kind, name, options, level, half):
    size = (160, 192)
    for wanted, got in compared(build(kind, name, options, size), of_level(level, size), half=half):
        assert spread(middle(wanted)) < 1e-9
        assert spread(middle(got)) == 0


@pytest.mark.parametrize("options", [RECIPES, RECIPES | {"norm": "instance"}, SEMANTIC | {"encoder": "resnet18"}])
def test_a_large_sky_is_segmented_as_in_float64(options):
    size = (256, 512)
    network = build("discriminator", "semantic", options, size)
    for image in (uneven(size)["noise"], of_level(204, size)):
        for wanted, got in compared(network, image):
            assert (got - wanted).abs().max() < 1e-4


def derivatives(network, image):
    output = images_of(network(image))[-1]
    direction = torch.linspace(-3, 5, output.numel()).sin().view(output.shape).to(output)
    return torch.autograd.grad(output, [image, *network.parameters()], direction, allow_unused=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [NETWORKS[1], NETWORKS[4], ("discriminator", "semantic", RECIPES)],
    ids=["resnet", "unet", "semantic"],
)
def test_gradients_on_a_sky_are_those_of_float64(kind, name, options, order):
    size = (48, 64)
    network = build(kind, name, options, size)
    image = uneven(size)["noise"]
    wanted = derivatives(deepcopy(network).double(), image.double().requires_grad_())
    got = derivatives(network.to(memory_format=order), image.contiguous(memory_format=order).requires_grad_())
    for one, other in zip(got, wanted, strict=True):
        if other is not None and other.abs().max() > 1e-9:
            # Where rounding turns a ReLU over, a gradient differs by more than rounding.
            assert (one - other).norm() < 1e-2 * other.norm()


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("order", ORDERS)
def test_a_group_norm_and_its_gradient_keep_float32s_digits(groups, order):
    sky = uneven((64, 96))["noise"].expand(2, -1, -1, -1)
    features = torch.cat([sky, sky[:, :1].flip(3)], dim=1).contiguous(memory_format=order).requires_grad_()
    direction = torch.linspace(-3, 5, features.numel()).sin().view(features.shape)
    got = group_norm(features, groups)
    (gradient,) = torch.autograd.grad(got, features, direction)
    precise = features.detach().double().requires_grad_()
    centred = precise.reshape(2, groups, -1)
    centred = centred - centred.mean(-1, keepdim=True)
    wanted = (centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()).view_as(precise)
    (right,) = torch.autograd.grad(wanted, precise, direction.double())
    assert (got - wanted).abs().max() < 5e-5
    assert (gradient - right).norm() < 1e-4 * right.norm()


@pytest.mark.parametrize("order", ORDERS)
def test_gradients_of_gradients_are_taken_through_norms_and_borders(order):
    features = torch.linspace(-1, 9, 96, dtype=torch.float64).sin().view(2, 4, 3, 4).contiguous(memory_format=order)
    for layer in (lambda x: group_norm(x, 2), lambda x: reflected(x, 1)):
        assert torch.autograd.gradgradcheck(layer, (features.clone().requires_grad_(),))
