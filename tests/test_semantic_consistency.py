import math

import pytest
import torch
from test_semantic_losses import Step
from torch import nn

from daf_baselines.semantic_consistency import SemanticConsistency
from daframework.metrics import cross_entropy

CLASSES = 3


class Recording(nn.Module):
    """A segmenter that can show what it was asked to segment."""

    def __init__(self, body):
        super().__init__()
        self.body, self.seen = body, []

    def forward(self, image):
        self.seen.append(image)
        return self.body(image)


def segmenter(dtype=torch.float64):
    """With batch norm and dropout, so that a model in training mode would be found out."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, CLASSES, 1)]
    return Recording(nn.Sequential(*layers)).to(dtype)


def step(*, labelled=True, dtype=torch.float64, names=("source", "target", "fake_target", "fake_source")):
    """Images, the fakes with gradient, and a label of which a third is to be ignored."""
    random = torch.Generator().manual_seed(1)
    given = {name: torch.rand(2, 3, 4, 5, generator=random, dtype=dtype) * 2 - 1 for name in names}
    label = torch.randint(0, CLASSES, (2, 4, 5), generator=random)
    label[torch.rand(label.shape, generator=random) < 1 / 3] = 255
    for name, image in given.items():
        image.requires_grad_(name.startswith("fake"))
    return Step(given | {"source_label": label if labelled else torch.full_like(label, 255)}, {})


def built(model, **options):
    loss = SemanticConsistency(**options)
    loss.take_source_model(model)
    return loss


def literal(logits, label):
    """Mean of -log of the right class's probability, pixel by pixel, over those that are labelled."""
    errors = []
    for scores, classes in zip(logits.tolist(), label.tolist(), strict=True):
        for y, row in enumerate(classes):
            for x, truth in enumerate(row):
                if truth != 255:
                    odds = [math.exp(scores[c][y][x]) for c in range(len(scores))]
                    errors.append(-math.log(odds[truth] / sum(odds)))
    return sum(errors) / len(errors)


@pytest.mark.parametrize("source_label", ["given", "predicted"])
def test_it_is_the_literal_formula_with_pixels_to_ignore(source_label):
    model, given = segmenter(), step()
    loss = built(model, source_label=source_label, source_weight=0.5, target_weight=3.0)
    seen = {name: model(image).detach() for name, image in given.images.items() if name != "source_label"}
    label = {"given": given.source_label, "predicted": seen["source"].argmax(1)}[source_label]
    source, target = literal(seen["fake_target"], label), literal(seen["fake_source"], seen["target"].argmax(1))
    assert loss.generator_loss(given).item() == pytest.approx(0.5 * source + 3 * target, rel=1e-12)
    assert loss.discriminator_loss(None) is None
    assert not loss.needs_discriminator


def test_translations_learn_and_the_segmenter_does_not():
    model = segmenter()
    loss, given = built(model), step()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss.generator_loss(given).backward()
    assert given.fake_target.grad.any()
    assert given.fake_source.grad.any()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_segmenter_stays_in_eval_mode_while_the_loss_trains():
    loss, given = built(segmenter().train()), step()
    loss.train()
    first, second = loss.generator_loss(given), loss.generator_loss(given)
    assert torch.equal(first, second)


def test_the_segmenter_is_neither_trained_nor_saved_with_the_loss():
    loss = built(segmenter())
    assert loss.needs_source_model
    assert list(loss.modules()) == [loss]
    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "names", "seen"),
    [
        ({"target_weight": 0}, ["fake_target"], ["fake_target"]),
        ({"target_weight": 0, "source_label": "predicted"}, ["source", "fake_target"], ["source", "fake_target"]),
        ({"source_weight": 0}, ["target", "fake_source"], ["target", "fake_source"]),
    ],
)
def test_a_side_of_weight_0_is_not_even_made_or_segmented(options, names, seen):
    model, given = segmenter(), step(names=names)
    assert built(model, **options).generator_loss(given).item() > 0
    assert [next(name for name in names if given.images[name] is image) for image in model.seen] == seen


def test_half_precision_logits_are_averaged_in_single_precision():
    logits = torch.randn(1, CLASSES, 64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    label = torch.zeros(1, 64, 64, dtype=torch.int64)
    assert torch.equal(cross_entropy(logits, label), cross_entropy(logits.float(), label))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_weight": -1.0}, "source_weight and target_weight must be 0 or more and not both 0, got -1.0 and 1.0"),
        (
            {"source_weight": 0, "target_weight": 0},
            "source_weight and target_weight must be 0 or more and not both 0, got 0 and 0",
        ),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        SemanticConsistency(**options)
