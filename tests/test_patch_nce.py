import gc
import math
import weakref

import pytest
import torch
from torch import nn

from daf_baselines.patch_nce import PatchNCE, patch_nce
from daf_cyclegan.resnet import ResNet
from daframework.interfaces import Generator

LAYERS = (0, 2, 3, 4)
EVERY = 10_000  # more positions than any layer here has


class Step:
    """A step's images as given tensors; asking for one that is not given fails."""

    domains = ("target",)

    def __init__(self, generator, **images):
        self.generator, self.images, self.looked_at = generator, images, []

    def __getattr__(self, name):
        return self.images[name]

    def features(self, image, layers):
        self.looked_at.append(image)
        return self.generator.features(image, layers)


class Given(Generator):
    """Features that are given rather than computed: the image at every layer."""

    def forward(self, image):
        return image

    def features(self, image, layers):
        return [image for _ in layers]


def draw(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def unit(*shape, seed):
    return nn.functional.normalize(draw(*shape, seed=seed), dim=-1)


def small(dtype=torch.float64, **options):
    """A generator and the loss that was built for it, with heads that are not close to 0."""
    torch.manual_seed(0)
    generator = ResNet(channels=4, blocks=2).to(dtype)
    loss = PatchNCE(generator=ResNet(channels=4, blocks=2), layers=LAYERS, width=8, **options).to(dtype)
    for parameter in loss.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return generator, loss


def images(names, dtype=torch.float64, grad=False):
    return {
        name: torch.tanh(draw(2, 3, 16, 24, seed=i, dtype=dtype)).requires_grad_(grad) for i, name in enumerate(names)
    }


def literal(query, key, temperature):
    """The paper's equation, patch by patch, of lists of vectors for one image each."""
    errors = []
    for queries, keys in zip(query.tolist(), key.tolist(), strict=True):
        for p, q in enumerate(queries):
            odds = [math.exp(sum(a * b for a, b in zip(q, k, strict=True)) / temperature) for k in keys]
            errors.append(-math.log(odds[p] / sum(odds)))
    return sum(errors) / len(errors)


def vectors(head, features):
    """All positions of (N, C, h, w) through a head of two layers, by hand: (N, h * w, width) of length 1."""
    first, second = (layer for layer in head if isinstance(layer, nn.Linear))
    hidden = features.permute(0, 2, 3, 1).flatten(1, 2) @ first.weight.T + first.bias
    projected = hidden.clamp(min=0) @ second.weight.T + second.bias
    return projected / projected.square().sum(dim=-1, keepdim=True).sqrt()


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_patch_nce_is_the_literal_formula(temperature):
    query, key = unit(2, 5, 3, seed=0), unit(2, 5, 3, seed=1)
    assert patch_nce(query, key, temperature).item() == pytest.approx(literal(query, key, temperature), rel=1e-12)


def test_two_patches_worked_by_hand():
    query = torch.eye(2)[None].requires_grad_()
    key = torch.eye(2)[None]
    loss = patch_nce(query, key, 0.5)
    loss.backward()
    # Cosines 1 and 0, over 0.5: -log(e^2 / (e^2 + 1)). Derivatives: the wrong key's probability, over 0.5 * 2 patches.
    wrong = 1 / (math.exp(2) + 1)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)))
    torch.testing.assert_close(query.grad, torch.tensor([[[-wrong, wrong], [wrong, -wrong]]]))


def test_negatives_are_of_the_same_image_only():
    query, key, other = unit(2, 5, 3, seed=0), unit(2, 5, 3, seed=1), unit(5, 3, seed=2)
    changed = torch.stack([key[0], other])
    both = patch_nce(query, key, 0.07)
    alone = [patch_nce(query[i : i + 1], key[i : i + 1], 0.07) for i in range(2)]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)
    torch.testing.assert_close(2 * patch_nce(query, changed, 0.07) - patch_nce(query[1:], other[None], 0.07), alone[0])


def test_no_gradient_reaches_the_key():
    query, key = unit(2, 5, 3, seed=0).requires_grad_(), unit(2, 5, 3, seed=1).requires_grad_()
    patch_nce(query, key, 0.07).backward()
    assert query.grad.any()
    assert key.grad is None


@pytest.mark.parametrize("identity", [False, True])
def test_the_loss_is_the_mean_over_layers_of_the_translation_and_of_the_identity_where_asked_for(identity):
    generator, loss = small(patches=EVERY, identity=identity)
    pairs = [("fake_target", "source"), ("idt_target", "target")][: 1 + identity]
    step = Step(generator, **images([name for pair in pairs for name in pair]))
    expected = [
        literal(vectors(head, query), vectors(head, key), 0.07)
        for translated, original in pairs
        for head, query, key in zip(
            loss.heads,
            generator.features(step.images[translated], LAYERS),
            generator.features(step.images[original], LAYERS),
            strict=True,
        )
    ]
    assert len(expected) == len(pairs) * len(LAYERS)
    assert loss.generator_loss(step).item() == pytest.approx(sum(expected) / len(expected), rel=1e-9)
    assert loss.discriminator_loss(None) is None
    assert not loss.needs_discriminator


def test_the_same_random_positions_of_query_and_key_are_compared_as_many_as_asked_for_or_there_are():
    generator, loss = small(patches=30, identity=False)
    same = images(["source"])["source"]
    projected = {head: [] for head in loss.heads}
    for head in loss.heads:
        head.register_forward_hook(lambda head, inputs, output: projected[head].append(inputs[0].detach()))
    torch.manual_seed(1)
    loss.generator_loss(Step(generator, source=same, fake_target=same))
    for head, layer, count in zip(loss.heads, LAYERS, [30, 30, 24, 24], strict=True):
        query, key = projected[head]
        assert query.shape[:2] == (2, count)
        assert torch.equal(query, key)
        every = generator.features(same, [layer])[0].permute(0, 2, 3, 1).flatten(1, 2)
        found = (query[0, :, None] == every[0]).all(dim=-1).nonzero()[:, 1]
        assert len(found.unique()) == count
        assert found.tolist() != sorted(found.tolist())


def test_positions_follow_from_torchs_global_seed():
    generator, loss = small(patches=10, identity=False)
    step = Step(generator, **images(["source", "fake_target"]))
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(loss.generator_loss(step).item())
    assert values[0] == values[1] != values[2]


def test_heads_and_translation_learn_and_the_source_does_not():
    generator, loss = small(patches=EVERY, identity=False)
    step = Step(generator, **images(["source", "fake_target"], grad=True))
    loss.generator_loss(step).backward()
    assert step.source.grad is None
    assert step.fake_target.grad.any()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in loss.parameters())


def test_keys_keep_nothing_for_a_gradient():
    generator, loss = small(patches=8, identity=False)
    has_graph = []
    for network in (generator.encoder[0], *loss.heads):
        network.register_forward_hook(lambda network, inputs, output: has_graph.append(output.requires_grad))
    loss.generator_loss(Step(generator, **images(["source", "fake_target"])))
    assert has_graph == [True, False] * (1 + len(LAYERS))


def test_the_encoder_learns_from_the_queries_alone():
    generator, loss = small(patches=EVERY, identity=False)
    step = Step(generator, **images(["source", "fake_target"]))
    loss.generator_loss(step).backward()
    weights = generator.encoder[0][0].weight, generator.encoder[2][0].weight
    got = [weight.grad.clone() for weight in weights]
    # The keys as fixed numbers, so that only the queries' gradient is left.
    keys = [feature.detach() for feature in generator.features(step.source, LAYERS)]
    queries = generator.features(step.fake_target, LAYERS)
    triples = zip(loss.heads, queries, keys, strict=True)
    terms = [patch_nce(vectors(head, query), vectors(head, key), 0.07) for head, query, key in triples]
    wanted = torch.autograd.grad(sum(terms) / len(terms), weights)
    torch.testing.assert_close(got, list(wanted), rtol=1e-7, atol=1e-12)


def seeds_that_mirror(loss, step, seeds):
    """Of ``seeds``, those in whose step the key is not the source as it is."""
    found = []
    for seed in seeds:
        step.looked_at.clear()
        torch.manual_seed(seed)
        loss.generator_loss(step)
        if not any(image is step.source for image in step.looked_at):
            found.append(seed)
    return found


def test_keys_are_mirrored_in_half_of_the_steps_and_only_where_asked_for():
    given = images(["source", "fake_target"])
    step = Step(Given(), **given)
    mirroring, plain = (
        PatchNCE(generator=Given(), layers=[0], width=2, patches=1, identity=False, flip_equivariance=flip).double()
        for flip in (True, False)
    )
    assert 35 < len(seeds_that_mirror(mirroring, step, range(100))) < 65
    assert seeds_that_mirror(plain, step, range(20)) == []


@pytest.mark.parametrize("identity", [False, True])
def test_a_mirrored_step_is_the_authors_way_on_the_mirrored_image(identity):
    generator, loss = small(patches=EVERY, identity=identity, flip_equivariance=True)
    translate = small()[0]
    originals = images(["source", "target"])
    given = {
        **originals,
        "fake_target": translate(originals["source"]).detach(),
        "idt_target": translate(originals["target"]).detach(),
    }
    step = Step(generator, **given)
    (seed, *_) = seeds_that_mirror(loss, step, range(20))
    torch.manual_seed(seed)
    got = loss.generator_loss(step)

    def authors(original):
        """Flip the generator's input, mirror the queries back, and take the keys of the image as it is."""
        queries = [feature.flip(-1) for feature in generator.features(translate(original.flip(-1)), LAYERS)]
        keys = generator.features(original, LAYERS)
        terms = [
            patch_nce(vectors(head, query), vectors(head, key), 0.07)
            for head, query, key in zip(loss.heads, queries, keys, strict=True)
        ]
        return sum(terms) / len(terms)

    wanted = [authors(originals[name].flip(-1)) for name in ("source", "target")[: 1 + identity]]
    torch.testing.assert_close(got, sum(wanted) / len(wanted), rtol=1e-9, atol=1e-9)


def test_the_generator_is_read_and_not_kept():
    generator = ResNet(channels=4, blocks=2)
    generator.encoder[0].eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    loss = PatchNCE(generator=generator, layers=LAYERS, width=8)
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert {name.split(".")[0] for name in loss.state_dict()} == {"heads"}
    assert [head[0].in_features for head in loss.heads] == [3, 8, 16, 16]
    gone = weakref.ref(generator)
    del generator
    gc.collect()
    assert gone() is None


def test_heads_start_as_xaviers_normal_with_gain_2_percent_and_no_bias():
    torch.manual_seed(0)
    loss = PatchNCE(generator=ResNet(channels=16, blocks=2), layers=[3], width=256)
    first, _, second = loss.heads[0]
    for layer in (first, second):
        deviation = 0.02 * math.sqrt(2 / (layer.in_features + layer.out_features))
        assert layer.weight.detach().std().item() == pytest.approx(deviation, rel=0.03)
        assert not layer.bias.detach().any()


def test_under_bf16_autocast_it_computes_in_single_precision():
    loss = PatchNCE(generator=Given(), layers=[0, 0], width=8, patches=EVERY, identity=False)
    given = {name: image.bfloat16() for name, image in images(["source", "fake_target"], torch.float32).items()}
    exact = loss.generator_loss(Step(Given(), **{name: image.float() for name, image in given.items()}))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss.generator_loss(Step(Given(), **given))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)


def test_a_patch_without_any_activation_passes_no_gradient_on():
    loss = PatchNCE(generator=Given(), layers=[0], width=8, patches=EVERY, identity=False)
    fake = torch.zeros(1, 3, 4, 4, requires_grad=True)
    value = loss.generator_loss(Step(Given(), source=torch.ones(1, 3, 4, 4), fake_target=fake))
    value.backward()
    assert value.item() == pytest.approx(math.log(16))
    assert not fake.grad.any()
    assert not any(parameter.grad.any() for parameter in loss.parameters())


class Featureless(Generator):
    def forward(self, image):
        return image


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patches": 0}, ValueError, "patches must be 1 or more, got 0"),
        ({"width": 0}, ValueError, "width must be 1 or more, got 0"),
        ({"temperature": 0.0}, ValueError, "temperature must be greater than 0, got 0.0"),
        ({"layers": ()}, ValueError, "layers must name at least one of the generator's layers, got none"),
        ({"layers": (0, 6)}, ValueError, r"layers must be from 0 to 5, got \[0, 6\]"),
        ({"generator": Featureless()}, TypeError, "generator Featureless offers no features"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(options, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        PatchNCE(**{"generator": ResNet(channels=4, blocks=2), "layers": LAYERS, **options})
