import math

import pytest
import torch
from attrs import frozen
from torch import Tensor

from daf_cyclegan.adversarial import (
    hinge,
    hinge_discriminator,
    hinge_generator,
    lsgan,
    lsgan_discriminator,
    lsgan_generator,
    vanilla,
    vanilla_discriminator,
    vanilla_generator,
)
from daf_cyclegan.reconstruction import Cycle, Identity, distance
from daframework.interfaces import DiscriminatorOutput


@frozen(eq=False)
class Step:
    """A step's images as given tensors; asking for one that is not given fails."""

    images: dict[str, Tensor]
    realness: dict[str, Tensor]
    domains: tuple[str, ...] = ("target", "source")

    def __getattr__(self, name):
        return self.images[name]

    def judged(self, image):
        return DiscriminatorOutput(self.realness[image], None)


@frozen(eq=False)
class Domain:
    domain: str
    real_output: DiscriminatorOutput
    fake_output: DiscriminatorOutput


def draw(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def domain(real, fake):
    return Domain("source", DiscriminatorOutput(real, None), DiscriminatorOutput(fake, None))


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


GENERATOR = {
    lsgan_generator: lambda x: (x - 1) ** 2,
    vanilla_generator: lambda x: -math.log(sigmoid(x)),
    hinge_generator: lambda x: -x,
}
DISCRIMINATOR = {
    lsgan_discriminator: (lambda x: (x - 1) ** 2 / 2, lambda x: x**2 / 2),
    vanilla_discriminator: (lambda x: -math.log(sigmoid(x)) / 2, lambda x: -math.log(1 - sigmoid(x)) / 2),
    hinge_discriminator: (lambda x: max(0, 1 - x), lambda x: max(0, 1 + x)),
}


def mean(function, values):
    values = values.flatten().tolist()
    return sum(function(value) for value in values) / len(values)


@pytest.mark.parametrize("function", GENERATOR, ids=lambda f: f.__name__)
def test_generator_side_is_the_literal_formula(function):
    fake = draw(2, 1, 3, 4, seed=0)
    assert function(fake).item() == pytest.approx(mean(GENERATOR[function], fake), rel=1e-13)


@pytest.mark.parametrize("function", DISCRIMINATOR, ids=lambda f: f.__name__)
def test_discriminator_side_is_the_literal_formula(function):
    real, fake = draw(2, 1, 3, 4, seed=1), draw(3, 1, 2, 2, seed=2)
    on_real, on_fake = DISCRIMINATOR[function]
    assert function(real, fake).item() == pytest.approx(mean(on_real, real) + mean(on_fake, fake), rel=1e-13)


@pytest.mark.parametrize(
    ("function", "real", "fake", "value", "real_gradient", "fake_gradient"),
    [
        # (3 - 1)^2 / 2 + 2^2 / 2; the derivatives are 3 - 1 and 2
        (lsgan_discriminator, 3.0, 2.0, 4.0, 2.0, 2.0),
        # log 2 / 2 + log 2 / 2; -(1 - 1/2) / 2 and 1/2 / 2
        (vanilla_discriminator, 0.0, 0.0, math.log(2), -0.25, 0.25),
        # 1 - 0.5, and 1 - 0.25
        (hinge_discriminator, 0.5, -0.25, 1.25, -1.0, 1.0),
        # both told apart by more than the margin: nothing to gain
        (hinge_discriminator, 1.5, -2.0, 0.0, 0.0, 0.0),
    ],
)
def test_discriminator_sides_worked_by_hand(function, real, fake, value, real_gradient, fake_gradient):
    real, fake = torch.tensor([real], requires_grad=True), torch.tensor([fake], requires_grad=True)
    loss = function(real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(value)
    assert (real.grad.item(), fake.grad.item()) == pytest.approx((real_gradient, fake_gradient))


@pytest.mark.parametrize(
    ("function", "fake", "value", "gradient"),
    [(lsgan_generator, 3.0, 4.0, 4.0), (vanilla_generator, 0.0, math.log(2), -0.5), (hinge_generator, 3.0, -3.0, -1.0)],
)
def test_generator_sides_worked_by_hand(function, fake, value, gradient):
    fake = torch.tensor([fake], requires_grad=True)
    loss = function(fake)
    loss.backward()
    assert loss.item() == pytest.approx(value)
    assert fake.grad.item() == pytest.approx(gradient)


def test_vanilla_is_finite_for_confident_logits():
    extreme = torch.tensor([-1e4, 1e4])
    assert vanilla_generator(extreme).item() == pytest.approx(5e3)
    assert vanilla_discriminator(extreme, extreme).item() == pytest.approx(5e3)


@pytest.mark.parametrize(
    ("factory", "generator", "discriminator"),
    [
        (lsgan, lsgan_generator, lsgan_discriminator),
        (vanilla, vanilla_generator, vanilla_discriminator),
        (hinge, hinge_generator, hinge_discriminator),
    ],
)
def test_an_adversarial_loss_adds_the_domains_that_are_translated_to(factory, generator, discriminator):
    loss = factory()
    target, source = draw(2, 1, 3, 4, seed=3), draw(2, 1, 3, 4, seed=4)
    step = Step({}, {"fake_target": target, "fake_source": source})
    assert loss.needs_discriminator
    assert not loss.needs_semantics
    assert torch.equal(loss.generator_loss(step), generator(target) + generator(source))
    assert torch.equal(loss.discriminator_loss(domain(target, source)), discriminator(target, source))
    one_sided = Step({}, {"fake_target": target}, domains=("target",))
    assert torch.equal(loss.generator_loss(one_sided), generator(target))


@pytest.mark.parametrize("factory", [lsgan, vanilla, hinge])
def test_half_precision_logits_are_averaged_in_single_precision(factory):
    fake = torch.full((1, 1, 64, 64), 1.0078125, dtype=torch.bfloat16)
    exact = fake.float()
    step = Step({}, {"fake_target": fake, "fake_source": fake})
    wanted = Step({}, {"fake_target": exact, "fake_source": exact})
    assert torch.equal(factory().generator_loss(step), factory().generator_loss(wanted))
    assert torch.equal(
        factory().discriminator_loss(domain(fake, fake)), factory().discriminator_loss(domain(exact, exact))
    )


def test_distance_is_the_mean_over_images_channels_and_pixels():
    one, other = draw(2, 3, 4, 5, seed=5), draw(2, 3, 4, 5, seed=6)
    expected = mean(abs, one - other)
    assert distance(one, other).item() == pytest.approx(expected, rel=1e-13)


RECONSTRUCTIONS = [(Cycle, "rec_source", "rec_target"), (Identity, "idt_source", "idt_target")]


def step_of(source_name, target_name):
    names = ["source", "target", source_name, target_name]
    return Step({name: draw(2, 3, 4, 5, seed=i).requires_grad_() for i, name in enumerate(names)}, {})


@pytest.mark.parametrize(("build", "source_name", "target_name"), RECONSTRUCTIONS)
def test_reconstruction_is_the_weighted_sum_of_both_domains(build, source_name, target_name):
    step = step_of(source_name, target_name)
    source = mean(abs, getattr(step, source_name) - step.source)
    target = mean(abs, getattr(step, target_name) - step.target)
    assert build().generator_loss(step).item() == pytest.approx(source + target, rel=1e-13)
    weighted = build(source_weight=0.5, target_weight=3.0)
    assert weighted.generator_loss(step).item() == pytest.approx(0.5 * source + 3 * target, rel=1e-13)
    assert build().discriminator_loss(domain(None, None)) is None
    assert not build().needs_discriminator


@pytest.mark.parametrize(("build", "source_name", "target_name"), RECONSTRUCTIONS)
def test_gradients_of_reconstruction_are_signs_over_the_number_of_values(build, source_name, target_name):
    step = step_of(source_name, target_name)
    build(target_weight=2.0).generator_loss(step).backward()
    made, target = getattr(step, target_name), step.target
    torch.testing.assert_close(made.grad, 2 * torch.sign(made - target).detach() / made.numel())


@pytest.mark.parametrize(("build", "source_name", "target_name"), RECONSTRUCTIONS)
def test_an_image_of_weight_0_is_not_even_made(build, source_name, target_name):
    step = step_of(source_name, target_name)
    only_source = Step({name: step.images[name] for name in ("source", source_name)}, {})
    only_target = Step({name: step.images[name] for name in ("target", target_name)}, {})
    total = build().generator_loss(step).item()
    apart = build(target_weight=0).generator_loss(only_source) + build(source_weight=0).generator_loss(only_target)
    assert apart.item() == pytest.approx(total)


@pytest.mark.parametrize("build", [Cycle, Identity])
@pytest.mark.parametrize("weights", [(-1.0, 1.0), (0.0, 0.0)])
def test_weights_that_make_no_loss_are_refused(build, weights):
    with pytest.raises(ValueError, match="0 or more and not both 0"):
        build(source_weight=weights[0], target_weight=weights[1])
