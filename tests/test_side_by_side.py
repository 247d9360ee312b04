"""Two parts of a step at the same time: the same numbers, whatever the losses ask for."""

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest
import tiny
import torch
from test_step_images import Step
from torch import nn

from daframework.adapt.ahead import Asked
from daframework.adapt.images import DomainImages, StepImages
from daframework.adapt.loop import _frozen
from daframework.adapt.objectives import DiscriminatorObjective, GeneratorObjective
from daframework.adapt.side_by_side import Part, allowed, half_of_the_cores, together
from daframework.build import Term
from daframework.errors import PluginError
from daframework.interfaces import DiscriminatorOutput, Loss
from daframework.recipe import parse

GAN, CYCLE, IDENTITY, SEGMENT = tiny.LeastSquares, tiny.Cycle, tiny.Identity, tiny.Segment


@pytest.fixture(autouse=True)
def two_threads():
    """As many as two parts need."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return [nn.Linear(3, 4).double(), nn.Linear(3, 4).double()]


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    return [torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def parts(layers, inputs):
    return [
        Part(lambda given, layer=layer: [layer(given), given * 2], [one], list(layer.parameters()))
        for layer, one in zip(layers, inputs, strict=True)
    ]


# --- two parts ---


def test_values_and_slopes_are_those_of_one_after_the_other(layers, inputs):
    (one, doubled), (other, _) = together(*parts(layers, inputs))
    (one.square().sum() + 3 * other.sum() + doubled.sum()).backward()
    found = [tensor.grad for tensor in (*inputs, *layers[0].parameters(), *layers[1].parameters())]
    for tensor in (*inputs, *layers[0].parameters(), *layers[1].parameters()):
        tensor.grad = None
    plain = [layer(given) for layer, given in zip(layers, inputs, strict=True)]
    assert torch.equal(one, plain[0]) and torch.equal(other, plain[1])
    (plain[0].square().sum() + 3 * plain[1].sum() + (inputs[0] * 2).sum()).backward()
    expected = [tensor.grad for tensor in (*inputs, *layers[0].parameters(), *layers[1].parameters())]
    assert all(map(torch.equal, found, expected))


def test_both_are_under_way_at_once_forward_and_back(inputs):
    meeting = threading.Barrier(2, timeout=60)

    class Meeting(torch.autograd.Function):
        @staticmethod
        def forward(ctx, given):
            meeting.wait()
            return given.clone()

        @staticmethod
        def backward(ctx, slopes):
            meeting.wait()
            return slopes

    (one,), (other,) = together(*(Part(lambda given: [Meeting.apply(given)], [given], []) for given in inputs))
    (one + other).sum().backward()
    assert torch.equal(inputs[0].grad, torch.ones_like(inputs[0]))


def test_what_nothing_depends_on_gets_no_slope(layers, inputs):
    layers[0].bias.requires_grad_(False)
    inputs[1].requires_grad_(False)
    (one, _), _ = together(*parts(layers, inputs))
    one.sum().backward()
    assert layers[0].weight.grad is not None and inputs[0].grad is not None
    assert layers[0].bias.grad is inputs[1].grad is layers[1].weight.grad is None


def test_a_graph_that_is_kept_can_be_gone_back_through_again(layers, inputs):
    (one, _), (other, _) = together(*parts(layers, inputs))
    total = (one + other).square().sum()
    first = torch.autograd.grad(total, inputs, retain_graph=True)
    again = torch.autograd.grad(total, inputs)
    assert all(map(torch.equal, first, again))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        total.backward()


def test_memory_is_let_go_of_on_the_way_back(layers, inputs):
    kept = []

    def work(given):
        between = layers[0](given).exp()
        kept.append(weakref.ref(between))
        return [between.sin()]

    (one,), (other,) = together(Part(work, [inputs[0]], list(layers[0].parameters())), Part(work, [inputs[1]], []))
    total = (one + other).sum()
    assert all(between() is not None for between in kept)
    total.backward()
    gc.collect()
    assert [between() for between in kept] == [None, None]


def test_slopes_of_slopes_are_refused_and_can_be_taken_inside_a_part(inputs):
    def inside(given):
        slope = torch.autograd.grad(given.pow(3).sum(), given, create_graph=True)[0]
        return [slope.sum()]

    (one,), (other,) = together(Part(inside, [inputs[0]], []), Part(lambda given: [given.sum()], [inputs[1]], []))
    (slope,) = torch.autograd.grad(one + other, inputs[0], retain_graph=True)
    torch.testing.assert_close(slope, 6 * inputs[0].detach())
    with pytest.raises(PluginError, match=r'needs hardware\.side_by_side = "never"'):
        torch.autograd.grad(one, inputs[0], create_graph=True)


@pytest.mark.parametrize("wrong", [0, 1])
def test_an_error_is_raised_when_both_have_ended(inputs, wrong):
    ended = []

    def fail(given):
        raise ValueError("no")

    def end(given):
        ended.append(True)
        return [given.sum()]

    works = [end, end]
    works[wrong] = fail
    with pytest.raises(ValueError, match="no"):
        together(*(Part(work, [given], []) for work, given in zip(works, inputs, strict=True)))
    assert ended == [True]


def test_both_compute_in_the_number_format_of_the_caller():
    layer, image = nn.Linear(3, 4), torch.randn(2, 3)
    two = [Part(lambda given: [layer(given)], [image], list(layer.parameters())) for _ in range(2)]
    for enabled in (True, False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = together(*two)
        assert [one.dtype for (one,) in found] == [torch.bfloat16 if enabled else torch.float32] * 2


def test_each_part_has_half_of_the_cores_which_are_given_back(inputs):
    torch.set_num_threads(6)
    seen = []
    part = Part(lambda given: seen.append(torch.get_num_threads()) or [given.sum()], [inputs[0]], [])
    with pytest.raises(KeyError), half_of_the_cores(True):
        together(part, part)
        raise KeyError
    assert seen == [3, 3] and torch.get_num_threads() == 6
    with half_of_the_cores(False):
        assert torch.get_num_threads() == 6


# --- the two objectives of a step ---


def objectives(step, side_by_side):
    """New objectives over the networks of ``step``."""
    terms = step.generator_objective.terms
    step.generator_objective = GeneratorObjective(
        step.generators, step.discriminators, terms, side_by_side=side_by_side
    )
    step.discriminator_objective = DiscriminatorObjective(step.discriminators, terms, side_by_side=side_by_side)


def trained(step, steps=3):
    """What ``step`` computes in the last of ``steps``: losses, images and slopes."""
    for _ in range(steps):
        step.runs.clear()
        for network in (*step.generators.values(), *step.discriminators.values()):
            network.zero_grad()
        with _frozen([weight for judge in step.discriminators.values() for weight in judge.parameters()]):
            made = step.generate()
            made.total.backward()
        judged = step.judge(made)
        if judged.total.requires_grad:
            judged.total.backward()
    networks = (*step.generators.values(), *step.discriminators.values())
    slopes = [weight.grad for network in networks for weight in network.parameters()]
    return made.values | judged.values, made.images, slopes


@pytest.mark.parametrize(
    "losses",
    [[GAN], [GAN, CYCLE], [GAN, CYCLE, IDENTITY], [GAN, CYCLE, IDENTITY, SEGMENT], [SEGMENT, GAN], [IDENTITY, GAN]],
)
def test_side_by_side_a_step_is_what_it_is_one_after_the_other(losses):
    found = []
    for side_by_side in (False, True):
        step = Step(*losses)
        objectives(step, side_by_side)
        found.append(trained(step))
        counts = step.counts()
        found[-1] += (counts,)
    (values, images, slopes, counts), (same_values, same_images, same_slopes, same_counts) = found
    assert list(values) == list(same_values) and list(images) == list(same_images) and counts == same_counts
    for name, one in (values | images).items():
        torch.testing.assert_close(one, (same_values | same_images)[name], rtol=0, atol=0)
    for one, other in zip(slopes, same_slopes, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_each_domain_has_a_thread_of_its_own_from_the_second_step_on():
    step = Step(GAN, CYCLE, IDENTITY, SEGMENT)
    objectives(step, True)
    seen = []
    for name, network in (step.generators | step.discriminators).items():
        network.register_forward_pre_hook(
            lambda _, given, name=name: seen.append((name.rpartition("_")[2], threading.get_ident()))
        )
    trained(step, 1)
    assert {thread for _, thread in seen} == {threading.get_ident()}
    seen.clear()
    trained(step, 1)
    by_domain = {name: {thread for domain, thread in seen if domain == name} for name in ("source", "target")}
    assert by_domain["source"] == {threading.get_ident()}
    assert len(by_domain["target"]) == 1 and by_domain["target"].isdisjoint(by_domain["source"])


class More(Loss):
    """Asks for less or more from step to step."""

    needs_discriminator = needs_semantics = True

    def __init__(self):
        super().__init__()
        self.step = 0

    def generator_loss(self, images):
        self.step += 1
        total = (images.judged("fake_target").realness.mean() + images.judged("fake_source").realness.mean()) * 0
        if self.step == 2:
            total = total + images.judged("fake_target").semantics.mean() + images.rec_source.mean()
            total = total + images.judged("rec_source").realness.mean()
        return total + images.fake_target.mean()


def test_a_loss_may_ask_for_more_than_in_the_first_step_or_for_less():
    found = []
    for side_by_side in (False, True):
        step = Step(More)
        objectives(step, side_by_side)
        found.append([float(step.generate().total.detach()) for _ in range(3)])
    assert found[0] == pytest.approx(found[1], abs=1e-7)


def test_images_go_with_their_step_and_do_not_wait_for_the_garbage_collector(request):
    step = Step(GAN, CYCLE, SEGMENT)
    objectives(step, True)
    trained(step, 2)
    request.addfinalizer(gc.enable)
    gc.collect()
    gc.disable()
    trained(step, 2)
    assert not [one for one in gc.get_objects() if type(one) in (StepImages, DomainImages, DiscriminatorOutput)]


def test_networks_that_draw_random_numbers_are_left_to_one_thread():
    step = Step(GAN, CYCLE)
    for network in step.generators.values():
        network.body[2].p = 0.5
    for judge in step.discriminators.values():
        judge.encoder.append(nn.Dropout(0.5))
    objectives(step, True)
    trained(step, 2)
    assert step.generator_objective.asked == Asked() and step.discriminator_objective.draws is True
    threads = set()
    for network in (*step.generators.values(), *step.discriminators.values()):
        network.register_forward_pre_hook(lambda *_: threads.add(threading.get_ident()))
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(trained(step, 1)[0])
    assert found[0] == found[1] and threads == {threading.get_ident()}


def test_what_was_asked_for_is_known_by_name():
    step = Step(GAN, CYCLE, SEGMENT)
    objectives(step, True)
    trained(step, 1)
    assert step.generator_objective.asked == Asked(
        ["fake_target", "fake_source", "rec_source", "rec_target"], ["fake_target", "fake_source"], ["fake_target"]
    )
    assert step.discriminator_objective.draws is False


def test_two_outputs_can_be_segmented_at_once():
    meeting = threading.Barrier(2, timeout=60)
    outputs = [DiscriminatorOutput(torch.zeros(1), lambda: torch.ones(1) * (meeting.wait() < 2)) for _ in range(2)]
    beside = threading.Thread(target=lambda: outputs[0].semantics)
    beside.start()
    assert torch.equal(outputs[1].semantics, torch.ones(1))
    beside.join()
    assert outputs[0].segmented and not meeting.broken


# --- where it is done ---


@pytest.mark.parametrize(
    "hardware, changes, expected",
    [
        ({}, {}, True),
        ({"side_by_side": "never"}, {}, False),
        ({"compile": "always"}, {}, False),
        ({"checkpoint_activations": True}, {}, False),
        ({}, {"profiled": True}, False),
        ({}, {"threads": 1}, False),
        ({}, {"ranks": 2}, False),
        ({}, {"device": "cuda"}, False),
        ({}, {"directions": 1}, False),
        ({}, {"judges": 0}, False),
        ({}, {"model": True}, False),
        ({}, {"channels": 30_000}, True),
        ({}, {"channels": 80_000}, False),  # 55 weights a channel, 24,576 pixels: operations are long
    ],
)
def test_it_is_done_where_a_cpu_has_cores_for_two_directions_of_short_operations(tables, hardware, changes, expected):
    asked = {"profiled": False, "threads": 2, "ranks": 1, "device": "cpu", "directions": 2, "judges": 2, "model": False}
    asked |= {"channels": 4} | changes
    tables["hardware"], tables["data"] = {"accelerator": "cpu"} | hardware, {"crop_size": [64, 96], "batch_size": 4}
    loss = GAN()
    loss.needs_source_model = asked["model"]
    with torch.device("meta"):
        painter = tiny.Painter(channels=asked["channels"])
    networks = SimpleNamespace(
        generators=dict.fromkeys(range(asked["directions"]), painter),
        discriminators=dict.fromkeys(range(asked["judges"])),
        terms=[Term("gan", 1.0, loss)],
    )
    fabric = SimpleNamespace(device=torch.device(asked["device"]), world_size=asked["ranks"])
    torch.set_num_threads(asked["threads"])
    assert allowed(networks, parse(tables, "r"), fabric, profiled=asked["profiled"]) is expected
