import math
import re
import subprocess
import sys

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from conftest import BOUND
from test_ranks import start_two
from torch import nn

from daf_depth.depth_network import DepthNetwork
from daf_depth.depth_task import Depth
from daframework.build import make
from daframework.errors import RecipeError
from daframework.registry import find, load_plugins
from daframework.testing import check_network

SMALL = {"encoder": "tu-mobilenetv3_small_050", "arch_options": {"encoder_depth": 3, "decoder_channels": [16, 16, 16]}}


def small(**options):
    """A network that is built and run in a few hundredths of a second."""
    return Depth(**SMALL, **options)


def random_batch(*, seed=0, shape=(2, 8, 12), invalid=0.2):
    random = torch.Generator().manual_seed(seed)
    prediction = torch.rand(shape, generator=random, dtype=torch.float64) * 40 + 1
    label = torch.rand(shape, generator=random, dtype=torch.float64) * 100
    label[torch.rand(shape, generator=random) < invalid] = 0
    return prediction, label


def image(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


# --- the network ---


@pytest.mark.parametrize("arch", sorted(smp.MODEL_ARCHITECTURES_MAPPING))
def test_every_architecture_gives_a_depth_at_each_pixel(arch):
    vit = {"encoder": "tu-vit_tiny_patch16_224", "encoder_options": {"dynamic_img_size": True}}
    built = Depth(arch=arch, **(vit if arch == "dpt" else {}))
    side = max(8 * built.multiple, 32)
    with torch.device("meta"):
        found = built.model()(torch.zeros(2, 3, side, side + 3 * built.multiple))
    assert found.shape == (2, side, side + 3 * built.multiple) and found.dtype == torch.float32


@pytest.mark.parametrize("head", ["sigmoid_disparity", "softplus"])
def test_networks_repeat_themselves_and_a_gradient_reaches_every_parameter_under_autocast_too(head):
    built = Depth(encoder=SMALL["encoder"], head=head)
    check_network(built.model(), built.model(), height=24, width=40)


@pytest.mark.parametrize("loss", ["silog", "l1"])
def test_the_losses_gradient_reaches_every_parameter(loss):
    torch.manual_seed(0)
    built, (_, label) = Depth(encoder=SMALL["encoder"], loss=loss), random_batch(shape=(2, 24, 40))
    model = built.model().train()
    built.loss(model(image(2, 3, 24, 40)), label.float()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(found is not None and found.isfinite().all() for found in gradients.values())
    # Not of every parameter: random weights may leave a unit without an input that is above 0.
    assert np.mean([bool(found.any()) for found in gradients.values()]) > 0.9


class Given(nn.Module):
    """In place of a network: the numbers that it gives."""

    def __init__(self, raw):
        super().__init__()
        self.raw = raw

    def forward(self, image):
        return self.raw[None, None, None, :]


def head(name, raw):
    return DepthNetwork(Given(torch.tensor(raw)), head=name, min_depth=0.5, max_depth=72.0)(torch.zeros(1, 3, 1, 1))


def test_sigmoid_disparity_goes_from_the_greatest_depth_to_the_least():
    found = head("sigmoid_disparity", [-100.0, 0.0, 100.0, 1.5])[0, 0]
    assert found[:3].tolist() == pytest.approx([72, 6, 0.5], rel=1e-5)  # 6 = sqrt(0.5 * 72)
    sigmoid = 1 / (1 + math.exp(-(1.5 - math.log(12))))
    assert float(found[3]) == pytest.approx(1 / (1 / 72 + (1 / 0.5 - 1 / 72) * sigmoid), rel=1e-5)


def test_softplus_adds_metres_to_the_least_depth_and_has_no_end():
    found = head("softplus", [-200.0, 0.0, 1000.0, 1.5])[0, 0]
    start = math.log(math.expm1(5.5))
    expected = [0.5, 6, 1000.5 + start, 0.5 + math.log1p(math.exp(1.5 + start))]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["sigmoid_disparity", "softplus"])
def test_depths_have_the_digits_of_float32_whatever_the_network_was_computed_in(name):
    model = small(head=name).model().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model.network(image(1, 3, 32, 48)).dtype == torch.bfloat16
        found = model(image(1, 3, 32, 48))
    assert found.dtype == torch.float32
    assert (found != found.bfloat16().float()).float().mean() > 0.9
    assert small().model().double()(image(1, 3, 32, 48).double()).dtype == torch.float64


def test_few_steps_learn_a_plain_scene():
    torch.manual_seed(0)
    label = torch.linspace(40, 4, 32).view(1, 32, 1).repeat(4, 1, 48)
    label[:, 8:24, 10:20], label[:, :4] = 6.0, 0.0
    picture = (label[:, None].clamp(min=1).log() / 2 - 1).repeat(1, 3, 1, 1) + 0.1 * torch.randn(4, 3, 32, 48)
    built = small()
    model = built.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        loss = built.loss(model(picture), label)
        loss.backward()
        optimiser.step()
    found = built.scores(built.statistics(model(picture).detach(), label)).values
    assert found["AbsRel"] < 0.15 and found["delta1"] > 0.8


# --- options ---


@pytest.mark.parametrize(
    "options, message",
    [
        ({"arch": "unett"}, "no arch named 'unett'; did you mean 'unet'?"),
        ({"min_depth": 0.0}, "min_depth must be above 0 and below max_depth, got 0.0 and 80.0"),
        ({"min_depth": 9.0, "max_depth": 9.0}, "min_depth must be above 0 and below max_depth, got 9.0 and 9.0"),
        ({"max_depth": math.inf}, "got 0.1 and inf"),
        ({"silog_variance": 1.1}, "silog_variance must be from 0 to 1, got 1.1"),
        ({"freeze_encoder": True}, "freeze_encoder keeps the encoder's weights, and encoder_weights gives it none"),
    ],
)
def test_bad_option_is_refused_in_one_line_before_anything_is_built(options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Depth(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["head", "loss"])
def test_a_choice_that_there_is_not_is_refused_and_the_others_named(option):
    component = find(load_plugins(), "task", "depth")
    with pytest.raises(RecipeError, match=rf"task\.{option}: must be one of '.*, got 'x'"):
        make(component, {option: "x"}, "task")


# --- loss and scores ---


@pytest.mark.parametrize("variance", [0.0, 0.85, 1.0])
def test_silog_is_the_published_formula_over_the_pixels_within_the_caps(variance):
    prediction, label = random_batch()
    mask = (label >= 0.1) & (label <= 80)
    assert (label > 80).any() and (label == 0).any()
    g = np.log(prediction[mask].numpy()) - np.log(label[mask].numpy())
    total = len(g)
    expected = 10 * math.sqrt((g**2).sum() / total - variance * g.sum() ** 2 / total**2)
    assert float(small(silog_variance=variance).loss(prediction, label)) == pytest.approx(expected, rel=1e-12)


def test_l1_is_the_mean_error_in_metres():
    prediction, label = torch.tensor([[[4.0, 10.0, 7.0, 99.0]]]), torch.tensor([[[5.0, 7.0, 0.0, 90.0]]])
    assert float(small(loss="l1").loss(prediction, label)) == 2.0


def test_with_all_variance_forgiven_scale_costs_nothing_and_the_gradient_is_finite():
    label = torch.full((1, 2, 2), 5.0)
    for factor in (1.0, 3.0):
        prediction = (label * factor).requires_grad_()
        loss = small(silog_variance=1.0).loss(prediction, label)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(0, abs=1e-5) and prediction.grad.isfinite().all()


@pytest.mark.parametrize("variance", [0.85, 1.0])
def test_silogs_gradient_is_that_of_its_formula(variance):
    prediction, label = random_batch(shape=(1, 3, 3))
    task = small(silog_variance=variance)
    assert torch.autograd.gradcheck(lambda x: task.loss(x, label), prediction.requires_grad_())


@pytest.mark.parametrize("loss", ["silog", "l1"])
def test_batch_without_depth_costs_nothing_and_is_no_nan(loss):
    prediction = torch.rand(1, 4, 4) + 1
    prediction.requires_grad_()
    found = small(loss=loss).loss(prediction, torch.zeros(1, 4, 4))
    found.backward()
    assert found.item() == 0 and torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("loss", ["silog", "l1"])
def test_loss_leaves_its_arguments_alone_and_does_not_see_invalid_pixels(loss):
    prediction, label = random_batch()
    before = prediction.clone(), label.clone()
    value = small(loss=loss).loss(prediction, label)
    assert torch.equal(prediction, before[0]) and torch.equal(label, before[1])
    beyond = (label < 0.1) | (label > 80)
    assert torch.equal(small(loss=loss).loss(prediction.masked_fill(beyond, 3.0), label), value)


@pytest.mark.parametrize("loss, expected", [("silog", 10 * math.sqrt(0.15) * math.log(80.5 / 80.3)), ("l1", 0.2)])
def test_under_autocast_a_target_keeps_its_digits(loss, expected):
    label = torch.full((1, 4, 4), 80.3)  # which bf16 would round to 80.5
    with torch.autocast("cpu", torch.bfloat16):
        found = small(loss=loss, max_depth=100.0).loss(torch.full((1, 4, 4), 80.5).bfloat16(), label)
    assert found.dtype == torch.float32 and float(found) == pytest.approx(expected, rel=1e-3)


def test_scores_have_a_value_for_each_metric_and_the_primary_one_is_the_relative_error():
    built, (prediction, label) = small(), random_batch()
    statistics = built.statistics(prediction, label)
    scores = built.scores(statistics)
    assert list(scores.values) == [metric.name for metric in built.metrics]
    assert all(metric.allows(scores.values[metric.name]) for metric in built.metrics)
    assert [metric.name for metric in built.metrics if metric.higher_is_better] == ["delta1", "delta2", "delta3"]
    assert scores.primary == scores.values["AbsRel"] and not scores.parts
    nothing = built.scores(torch.zeros_like(statistics))
    assert set(nothing.values.values()) == {None}


def test_primary_of_many_resamples_is_what_scores_gives_for_each():
    built = small()
    each = torch.stack([built.statistics(*random_batch(seed=seed)) for seed in range(5)])
    each = torch.cat([each, torch.zeros_like(each[:1])])
    random = torch.Generator().manual_seed(0)
    counts = torch.randint(3, (50, 6), generator=random).double()
    sums = torch.cat([counts @ each, torch.zeros(1, 9, dtype=torch.float64)])
    found = built.primary(sums)
    assert found.dtype == torch.float64 and found[-1].isnan()
    alone = [built.scores(one).primary for one in sums]
    assert alone[-1] is None
    assert [None if math.isnan(one) else one for one in found.tolist()] == alone


def test_statistics_follow_the_tasks_caps_and_median_scaling():
    prediction, label = random_batch()
    built = small(max_depth=50.0, median_scaling=True)
    assert built.statistics(prediction, label)[0] == ((label >= 0.1) & (label <= 50)).sum()
    assert torch.allclose(built.statistics(prediction * 7, label), built.statistics(prediction, label))
    assert not torch.allclose(small(max_depth=50.0).statistics(prediction, label), built.statistics(prediction, label))


# Each of two processes runs this.
SCRIPT = """
import torch, torch.distributed as dist
from daf_depth.depth_task import Depth
from daframework.compute.ranks import mean_over_ranks, own_share

random = torch.Generator().manual_seed(0)
whole = torch.rand(4, 3, 5, generator=random, dtype=torch.float64) * 20 + 1
label = torch.rand(4, 3, 5, generator=random, dtype=torch.float64) * 100
label[:2, 1:] = 0  # the ranks have different numbers of valid pixels
alone = {}
for loss in ("silog", "l1"):
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    value = Depth(loss=loss).loss(whole * factor, label)
    alone[loss] = value.detach(), *torch.autograd.grad(value, factor)
dist.init_process_group("gloo")
for loss, (value, gradient) in alone.items():
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    mine = Depth(loss=loss).loss(own_share(whole) * factor, own_share(label))
    torch.testing.assert_close(mean_over_ranks(mine.detach()), value)
    torch.testing.assert_close(mean_over_ranks(*torch.autograd.grad(mine, factor)), gradient)
    assert float(Depth(loss=loss).loss(own_share(whole), torch.zeros(2, 3, 5))) == 0
print("agreed")
"""


def test_of_two_processes_loss_and_gradient_are_those_of_all_images():
    for process in start_two(code=SCRIPT):
        assert process.communicate(timeout=BOUND) == ("agreed\n", "")


def test_the_name_of_the_task_is_known_before_its_libraries_are_imported():
    script = "import sys, daf_depth; daf_depth.daf_tasks(); print({'kornia', 'timm'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
