import math

import pytest
import torch
from attrs import frozen
from test_frequencies import Labels
from torch import Tensor
from torch.nn import functional as F

from daf_cyclegan.reconstruction import Cycle
from daf_cyclegan.resnet import ResNet
from daf_semantic_cyclegan.class_weights import class_weights, pixel_weights
from daf_semantic_cyclegan.losses import (
    SemanticDiscriminator,
    WeightedReconstruction,
    gradient_distance,
    pseudo_label,
    weighted_distance,
)
from daframework.data.frequencies import ClassCounts, count_classes
from daframework.errors import PluginError
from daframework.interfaces import DiscriminatorOutput
from daframework.metrics import cross_entropy


@frozen(eq=False)
class Step:
    """A step's images as given tensors; asking for one that is not given fails."""

    images: dict[str, Tensor]
    semantics: dict[str, Tensor | None]

    def __getattr__(self, name):
        return self.images[name]

    def judged(self, image):
        return DiscriminatorOutput(torch.zeros(1), self.semantics[image])


@frozen(eq=False)
class Domain:
    domain: str
    real_label: Tensor | None = None
    fake_label: Tensor | None = None
    rec_label: Tensor | None = None
    real_output: DiscriminatorOutput | None = None
    fake_output: DiscriminatorOutput | None = None
    rec_output: DiscriminatorOutput | None = None


# 60 road, 8 car, 32 sky, 4 ignored; the car only in the first image, of 52 labelled pixels
SET = Labels([[[0] * 44 + [1] * 8 + [255] * 4], [[0] * 16 + [2] * 32]])


def draw(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_label(*shape, num_classes, seed, ignored=0.2):
    random = torch.Generator().manual_seed(seed)
    label = torch.randint(0, num_classes, shape, generator=random)
    label[torch.rand(shape, generator=random) < ignored] = 255
    return label


def judged(semantics):
    return DiscriminatorOutput(torch.zeros(1), semantics)


def literal_cross_entropy(logits, label, weights=None):
    total = divisor = 0.0
    for n, row in enumerate(label.tolist()):
        for y, line in enumerate(row):
            for x, index in enumerate(line):
                if index != 255:
                    values = logits[n, :, y, x].tolist()
                    weight = 1.0 if weights is None else weights[index].item()
                    total += weight * (math.log(sum(math.exp(v) for v in values)) - values[index])
                    divisor += weight
    return total / divisor


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 3.0, 1.0, 0.7], dtype=torch.float64)])
def test_cross_entropy_is_the_literal_formula_over_labelled_pixels(weights):
    logits, label = draw(2, 4, 3, 5, seed=0), random_label(2, 3, 5, num_classes=4, seed=1)
    expected = literal_cross_entropy(logits, label, weights)
    assert cross_entropy(logits, label, weights).item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(
        cross_entropy(logits, label, weights), F.cross_entropy(logits, label, weights, ignore_index=255)
    )


def test_gradient_of_cross_entropy_is_softmax_minus_one_at_the_label():
    logits = torch.tensor([[[[0.0, 5.0]], [[0.0, 5.0]]]], requires_grad=True)
    cross_entropy(logits, torch.tensor([[[1, 255]]]), None).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[[[0.5, 0.0]], [[-0.5, 0.0]]]]))


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0])])
def test_cross_entropy_of_ignored_pixels_alone_is_zero_with_zero_gradients(weights):
    logits = draw(1, 2, 3, 3, seed=2, dtype=torch.float32).requires_grad_()
    error = cross_entropy(logits, torch.full((1, 3, 3), 255), weights)
    error.backward()
    assert error.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_pseudo_label_ignores_what_is_not_confident():
    probability = torch.tensor([[0.9, 0.1], [0.89, 0.11], [0.05, 0.95]]).T.view(1, 2, 1, 3)
    assert pseudo_label(probability.log(), 0.895).tolist() == [[[0, 255, 1]]]
    assert pseudo_label(probability.log(), 0.0).tolist() == [[[0, 0, 1]]]


def discriminator_sides():
    label, other = (random_label(2, 4, 5, num_classes=3, seed=i) for i in (3, 4))
    source = Domain(
        "source",
        real_label=label,
        rec_label=label,
        real_output=judged(draw(2, 3, 4, 5, seed=5)),
        rec_output=judged(draw(2, 3, 4, 5, seed=6)),
    )
    return source, Domain("target", fake_label=other, fake_output=judged(draw(2, 3, 4, 5, seed=7)))


def test_each_semantic_head_learns_what_has_labels_in_its_domain():
    source, target = discriminator_sides()
    loss = SemanticDiscriminator(num_classes=3)
    real = literal_cross_entropy(source.real_output.semantics, source.real_label)
    fake = literal_cross_entropy(target.fake_output.semantics, target.fake_label)
    rec = literal_cross_entropy(source.rec_output.semantics, source.rec_label)
    assert loss.discriminator_loss(source).item() == pytest.approx(real, rel=1e-12)
    assert loss.discriminator_loss(target).item() == pytest.approx(fake, rel=1e-12)
    with_rec = SemanticDiscriminator(num_classes=3, train_on_reconstruction=True)
    assert with_rec.discriminator_loss(source).item() == pytest.approx(real + rec, rel=1e-12)
    assert with_rec.discriminator_loss(target).item() == pytest.approx(fake, rel=1e-12)


def generator_step():
    names = ["fake_target", "rec_source", "fake_source", "target"]
    semantics = {name: (draw(2, 3, 4, 5, seed=i) * 3).requires_grad_() for i, name in enumerate(names)}
    return Step({"source_label": random_label(2, 4, 5, num_classes=3, seed=9)}, semantics)


def test_generators_descend_the_error_of_the_translated_source():
    step = generator_step()
    error = SemanticDiscriminator(num_classes=3).generator_loss(step)
    expected = literal_cross_entropy(step.semantics["fake_target"], step.source_label)
    assert error.item() == pytest.approx(expected, rel=1e-12)


def test_generators_have_no_side_when_all_their_terms_are_off():
    assert SemanticDiscriminator(num_classes=3, train_generator=False).generator_loss(Step({}, {})) is None


def test_reconstruction_adds_the_source_heads_error():
    step = generator_step()
    error = SemanticDiscriminator(
        num_classes=3, train_generator=False, train_generator_on_reconstruction=True
    ).generator_loss(step)
    assert error.item() == pytest.approx(
        literal_cross_entropy(step.semantics["rec_source"], step.source_label), rel=1e-12
    )


def test_consistency_takes_the_target_heads_confident_pixels_for_labels():
    step = generator_step()
    loss = SemanticDiscriminator(num_classes=3, train_generator=False, target_consistency="pseudo", confidence=0.8)
    error = loss.generator_loss(step)
    probability, guess = torch.softmax(step.semantics["target"].detach(), dim=1).max(dim=1)
    guess[probability < 0.8] = 255
    assert 0 < (guess == 255).sum() < guess.numel()
    assert error.item() == pytest.approx(literal_cross_entropy(step.semantics["fake_source"], guess), rel=1e-12)
    error.backward()
    assert step.semantics["target"].grad is None
    assert step.semantics["fake_source"].grad.any()


def test_consistency_without_a_confident_pixel_is_exactly_zero():
    step = generator_step()
    step.semantics["target"] = torch.zeros(2, 3, 4, 5)
    loss = SemanticDiscriminator(num_classes=3, train_generator=False, target_consistency="pseudo")
    error = loss.generator_loss(step)
    error.backward()
    assert error.item() == 0
    assert not step.semantics["fake_source"].grad.any()


@pytest.mark.parametrize("train_generator", [True, False])
def test_the_semantic_loss_reaches_the_generator_only_when_it_is_to_be_trained(train_generator):
    torch.manual_seed(0)
    generator = ResNet(channels=4, blocks=1, head="affine")
    head = torch.nn.Conv2d(3, 3, 1).requires_grad_(False)
    fake = generator(draw(1, 3, 16, 16, seed=0, dtype=torch.float32).tanh())
    step = Step({"source_label": torch.zeros(1, 16, 16).long()}, {"fake_target": head(fake), "fake_source": head(fake)})
    loss = SemanticDiscriminator(num_classes=3, train_generator=train_generator)
    error = loss.generator_loss(step)
    if error is not None:
        error.backward()
    assert any(p.grad is not None and p.grad.any() for p in generator.parameters()) == train_generator


def test_class_weights_reach_the_cross_entropy():
    source, _ = discriminator_sides()
    loss = SemanticDiscriminator(num_classes=3, class_weights="inverse_frequency").double()
    loss.prepare(SET, SET)
    weights = class_weights(count_classes(SET), scheme="inverse_frequency", clip=10.0)
    expected = literal_cross_entropy(source.real_output.semantics, source.real_label, weights)
    assert loss.discriminator_loss(source).item() == pytest.approx(expected, rel=1e-6)


def test_a_discriminator_without_a_semantic_head_is_an_error_that_names_the_remedy():
    step = Step({"source_label": torch.zeros(1, 2, 2).long()}, {"fake_target": None})
    with pytest.raises(PluginError, match="needs a discriminator with a semantic head"):
        SemanticDiscriminator(num_classes=3).generator_loss(step)


# ---- class weights

COUNTS = ClassCounts(torch.tensor([60, 8, 32]), torch.tensor([100, 52, 48]))


def test_the_set_of_these_tests_has_the_counts_of_these_tests():
    assert [counts.tolist() for counts in count_classes(SET)] == [counts.tolist() for counts in COUNTS]


@pytest.mark.parametrize(
    ("scheme", "raw"),
    [
        ("none", [1, 1, 1]),
        ("inverse_frequency", [1 / 0.60, 1 / 0.08, 1 / 0.32]),
        ("median_frequency", [100 / 60, 52 / 8, 48 / 32]),
        ("inverse_log", [1 / math.log(1.62), 1 / math.log(1.10), 1 / math.log(1.34)]),
    ],
)
def test_class_weights_are_the_published_formula_over_their_mean(scheme, raw):
    mean = 0.60 * raw[0] + 0.08 * raw[1] + 0.32 * raw[2]
    weights = class_weights(COUNTS, scheme=scheme, clip=100.0)
    assert weights.tolist() == pytest.approx([value / mean for value in raw], rel=1e-12)


def test_clipped_weights_worked_by_hand():
    # 1/p is 5/3, 12.5, 3.125; over their mean of 3 0.556, 4.17, 1.04. Clipped to 2, the car has 0.16 of the mean; road
    # and sky share the other 0.84 in proportion 1/p, of which each takes half: 0.42 / 0.6 and 0.42 / 0.32
    weights = class_weights(COUNTS, scheme="inverse_frequency", clip=2.0)
    assert weights.tolist() == pytest.approx([0.7, 2.0, 1.3125], rel=1e-12)


@pytest.mark.parametrize("scheme", ["none", "inverse_frequency", "median_frequency", "inverse_log"])
@pytest.mark.parametrize("clip", [1.0, 1.5, 3.0, 10.0, 1e6])
@pytest.mark.parametrize("pixels", [[60, 8, 32], [99990, 9, 1], [1, 1, 1], [5, 0, 7], [3, 0, 0]])
def test_weights_have_mean_1_over_the_pixels_and_keep_within_the_clip(scheme, clip, pixels):
    counts = ClassCounts(torch.tensor(pixels), torch.tensor([sum(pixels) if count else 0 for count in pixels]))
    weights = class_weights(counts, scheme=scheme, clip=clip)
    share = counts.pixels.double() / counts.pixels.sum()
    assert (share * weights).sum().item() == pytest.approx(1, abs=1e-12)
    assert weights.isfinite().all()
    assert weights.min() >= 1 / clip - 1e-15
    assert weights.max() <= clip


def test_a_class_that_was_not_seen_weighs_at_least_as_much_as_any_other():
    counts = ClassCounts(torch.tensor([60, 0, 1]), torch.tensor([61, 0, 61]))
    for scheme in ("inverse_frequency", "median_frequency", "inverse_log"):
        weights = class_weights(counts, scheme=scheme, clip=10.0)
        assert weights[1] >= weights[2] > weights[0]


def test_pixel_weights_follow_the_label_and_are_1_where_it_is_ignored():
    weights = torch.tensor([0.5, 4.0, 2.0])
    assert pixel_weights(weights, torch.tensor([[[0, 255], [2, 1]]])).tolist() == [[[0.5, 1.0], [2.0, 4.0]]]


# ---- weighted reconstruction


def cycle_step(dtype=torch.float64):
    names = ["source", "target", "rec_source", "rec_target"]
    images = {name: draw(2, 3, 4, 5, seed=i, dtype=dtype).requires_grad_() for i, name in enumerate(names)}
    return Step({**images, "source_label": random_label(2, 4, 5, num_classes=3, seed=8)}, {})


def test_weighted_distance_is_the_literal_formula():
    image, original, weights = draw(2, 3, 4, 5, seed=0), draw(2, 3, 4, 5, seed=1), draw(2, 4, 5, seed=2).abs()
    total = 0.0
    for n in range(2):
        for y in range(4):
            for x in range(5):
                values = [abs(image[n, c, y, x].item() - original[n, c, y, x].item()) for c in range(3)]
                total += weights[n, y, x].item() * sum(values) / 3
    assert weighted_distance(image, original, weights).item() == pytest.approx(total / 40, rel=1e-12)


def test_weighted_reconstruction_worked_by_hand():
    # road at distance 0.3, car at 0.1, an ignored pixel at 0.2: weights 0.7 and 2 (see above) and 1
    source = torch.zeros(1, 3, 1, 3)
    rec = torch.tensor([0.3, -0.1, 0.2]).expand(1, 3, 1, 3).clone().requires_grad_()
    target = torch.zeros(1, 3, 1, 3)
    label = torch.tensor([[[0, 1, 255]]])
    step = Step(
        {"source": source, "rec_source": rec, "target": target, "rec_target": target + 0.5, "source_label": label}, {}
    )
    loss = WeightedReconstruction(num_classes=3, class_weights="inverse_frequency", clip=2.0)
    loss.prepare(SET, SET)
    error = loss.generator_loss(step)
    error.backward()
    assert error.item() == pytest.approx((0.7 * 0.3 + 2 * 0.1 + 0.2) / 3 + 0.5)
    expected = torch.tensor([0.7, -2.0, 1.0]).expand(1, 3, 1, 3) / 9
    torch.testing.assert_close(rec.grad, expected)


@pytest.mark.parametrize("size", [(64, 96), (37, 53)])
def test_without_weights_it_is_cycle_to_the_last_bit(size):
    results = []
    for loss in (Cycle(), WeightedReconstruction(num_classes=3, class_weights="none")):
        torch.manual_seed(0)
        to_target, to_source = ResNet(channels=4, blocks=1), ResNet(channels=4, blocks=1)
        height, width = (4 * (side // 4) for side in size)
        source, target = (draw(2, 3, height, width, seed=i, dtype=torch.float32).tanh() for i in range(2))
        images = {
            "source": source,
            "target": target,
            "rec_source": to_source(to_target(source)),
            "rec_target": to_target(to_source(target)),
            "source_label": random_label(2, height, width, num_classes=3, seed=8),
        }
        loss.prepare(SET, SET)
        error = loss.generator_loss(Step(images, {}))
        error.backward()
        results.append([error.detach(), *(p.grad for p in (*to_target.parameters(), *to_source.parameters()))])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_predicted_weights_follow_the_target_heads_class():
    step = cycle_step()
    step.semantics["target"] = draw(2, 3, 4, 5, seed=9)
    loss = WeightedReconstruction(num_classes=3, target_weights="predicted").double()
    loss.prepare(SET, SET)
    weights = class_weights(count_classes(SET), scheme="median_frequency", clip=10.0)
    guess = step.semantics["target"].argmax(dim=1)
    expected = weighted_distance(step.rec_source, step.source, pixel_weights(weights, step.source_label))
    expected = expected + weighted_distance(step.rec_target, step.target, weights[guess])
    assert loss.generator_loss(step).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({}, False),
        ({"target_weights": "predicted"}, True),
        ({"target_weights": "predicted", "class_weights": "none"}, False),
    ],
)
def test_semantic_heads_are_needed_only_to_predict_weights(options, needs):
    loss = WeightedReconstruction(num_classes=3, **options)
    assert loss.needs_semantics == loss.needs_discriminator == needs


def test_measured_weights_are_in_the_checkpoint():
    loss, resumed = WeightedReconstruction(num_classes=3), WeightedReconstruction(num_classes=3)
    loss.prepare(SET, SET)
    assert torch.equal(resumed.class_weights.weights, torch.ones(3))
    resumed.load_state_dict(loss.state_dict())
    expected = class_weights(count_classes(SET), scheme="median_frequency", clip=10.0).float()
    assert torch.equal(resumed.class_weights.weights, expected)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (WeightedReconstruction, {"clip": 0.5}, "clip must be 1 or more, got 0.5"),
        (WeightedReconstruction, {"clip": math.nan}, "clip must be 1 or more, got nan"),
        (SemanticDiscriminator, {"confidence": 1.5}, "confidence must be from 0 to 1, got 1.5"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(build, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build(num_classes=3, **options)


# --- edges that stay where they are ---


def edge(columns, low, high):
    """An image that is ``low`` for so many columns and then ``high``."""
    image = torch.full((1, 3, 6, 8), float(low))
    image[..., columns:] = high
    return image


def test_contrast_may_change_as_a_whole_and_an_edge_may_not_move():
    assert float(gradient_distance(edge(4, -0.2, 0.2), edge(4, -0.8, 0.9))) == pytest.approx(0, abs=1e-6)
    # One edge gone and one come, each 1 / mean of what there is: 6 of 42 differences across, twice, at 42 / 6.
    assert float(gradient_distance(edge(3, -0.2, 0.2), edge(4, -0.8, 0.9))) == pytest.approx(2)


def test_an_even_image_has_no_edge_to_be_divided_by():
    image = torch.zeros(1, 3, 6, 8, requires_grad=True)
    gradient_distance(image, edge(4, -0.5, 0.5)).backward()
    assert image.grad.isfinite().all()
