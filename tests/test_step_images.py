import gc
from collections import Counter
from itertools import pairwise

import pytest
import tiny
import torch

from daframework.adapt.step import DiscriminatorObjective, DomainImages, Fake, GeneratorObjective, StepImages
from daframework.errors import PluginError
from daframework.interfaces import DiscriminatorOutput, Generator, Loss
from daframework.networks import Networks, Term

GAN, CYCLE, IDENTITY, SEGMENT = tiny.LeastSquares, tiny.Cycle, tiny.Identity, tiny.Segment


class Same(Loss):
    """Asks for what every other loss asks for."""

    def generator_loss(self, images):
        return images.fake_target.mean() + images.judged("fake_target").realness.mean() + images.rec_source.mean()

    def discriminator_loss(self, images):
        return images.fake_output.realness.mean() + images.rec_output.realness.mean()


class Step:
    """One step of both objectives on counted networks."""

    def __init__(self, *losses, semantic=True):
        torch.manual_seed(0)
        self.generators = {name: tiny.Painter() for name in ("source_to_target", "target_to_source")}
        self.discriminators = {name: tiny.Judge(num_classes=3, semantic=semantic) for name in ("source", "target")}
        terms = [Term(str(place), 2.0, loss()) for place, loss in enumerate(losses)]
        self.runs = []
        for name, network in (self.generators | self.discriminators).items():
            network.register_forward_pre_hook(lambda _, given, name=name: self.runs.append((name, given[0].clone())))
        networks = Networks(self.generators, self.discriminators, terms)
        self.generator_objective = GeneratorObjective(networks)
        self.discriminator_objective = DiscriminatorObjective(networks)
        self.source, self.target = torch.rand(2, 2, 3, 8, 8) * 2 - 1
        self.label = torch.randint(3, (2, 8, 8))

    def generate(self):
        return self.generator_objective(self.source, self.label, self.target)

    def judge(self, made):
        fakes = {d: Fake(made.images[f"fake_{d}"], self.label if d == "target" else None) for d in ("source", "target")}
        rebuilt = {d: made.images[f"rec_{d}"] for d in ("source", "target") if f"rec_{d}" in made.images}
        return self.discriminator_objective({"source": self.source, "target": self.target}, self.label, fakes, rebuilt)

    def counts(self):
        found = Counter(name for name, _ in self.runs)
        return [found[n] for n in ("source_to_target", "target_to_source", "source", "target")]


@pytest.mark.parametrize(
    "losses, generating, judging",
    [
        ([GAN], [1, 1, 1, 1], [0, 0, 2, 2]),
        ([CYCLE], [2, 2, 0, 0], [0, 0, 0, 0]),
        ([IDENTITY], [1, 1, 0, 0], [0, 0, 0, 0]),
        ([GAN, CYCLE], [2, 2, 1, 1], [0, 0, 2, 2]),
        ([GAN, CYCLE, IDENTITY], [3, 3, 1, 1], [0, 0, 2, 2]),
        ([SEGMENT], [1, 0, 0, 1], [0, 0, 1, 1]),
        ([GAN, CYCLE, SEGMENT], [2, 2, 1, 1], [0, 0, 2, 2]),
        ([Same], [1, 1, 0, 1], None),
        ([Same, GAN, CYCLE, IDENTITY, SEGMENT], [3, 3, 1, 1], [0, 0, 3, 3]),
    ],
)
def test_every_image_is_made_and_judged_once_and_only_if_a_loss_asks(losses, generating, judging):
    step = Step(*losses)
    made = step.generate()
    assert step.counts() == generating
    if judging is not None and "fake_source" in made.images:
        step.runs.clear()
        step.judge(made)
        assert step.counts() == judging


def test_no_network_sees_one_input_twice_within_an_objective():
    step = Step(Same, GAN, CYCLE, IDENTITY, SEGMENT)
    made = step.generate()
    assert no_repetition(step.runs)
    step.runs.clear()
    step.judge(made)
    assert no_repetition(step.runs)


def no_repetition(runs):
    """Whether no network saw an input twice, of the inputs that were seen."""
    ordered = sorted(runs, key=lambda run: (run[0], float(run[1].detach().sum())))
    return runs and not any(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairwise(ordered))


def test_semantics_are_decoded_once_and_only_where_a_loss_looks():
    decoded = []

    class Lazy(tiny.Judge):
        def forward(self, image):
            features = self.encoder(image)
            return DiscriminatorOutput(self.realness(features), lambda: decoded.append(1) or self.semantics(features))

    image, label = torch.rand(1, 3, 8, 8), torch.zeros(1, 8, 8).long()
    judge = Lazy(num_classes=3, semantic=True)
    images = StepImages({"source_to_target": tiny.Painter()}, {"target": judge}, image, label, image)
    assert images.judged("fake_target").realness.shape[1] == 1 and not decoded
    for _ in range(2):
        assert images.judged("fake_target").semantics.shape == (1, 3, 8, 8)
    assert decoded == [1]
    assert DiscriminatorOutput(image, None).semantics is None and DiscriminatorOutput(image, image).semantics is image


def test_images_are_what_their_names_say():
    step = Step(GAN, CYCLE, IDENTITY)
    to_target, to_source = step.generators.values()
    images = StepImages(step.generators, step.discriminators, step.source, step.label, step.target)
    for name, expected in {
        "fake_target": to_target(step.source),
        "fake_source": to_source(step.target),
        "rec_source": to_source(to_target(step.source)),
        "rec_target": to_target(to_source(step.target)),
        "idt_target": to_target(step.target),
        "idt_source": to_source(step.source),
    }.items():
        assert torch.equal(getattr(images, name), expected), name
        domain = name.rpartition("_")[2]
        assert torch.equal(images.judged(name).realness, step.discriminators[domain](expected).realness), name


class Penalty(Loss):
    """A gradient penalty (arXiv 1704.00028) of the squared realness, which is not piecewise linear in the image."""

    def generator_loss(self, images):
        image, realness = images.fake_target, images.judged("fake_target").realness
        (gradient,) = torch.autograd.grad(realness.square().sum(), image, create_graph=True)
        return gradient.square().mean()


def test_a_gradient_penalty_is_minimised_like_any_other_loss():
    step = Step(Penalty)
    generator = step.generators["source_to_target"]
    image = generator(step.source)
    realness = step.discriminators["target"](image).realness
    (gradient,) = torch.autograd.grad(realness.square().sum(), image, create_graph=True)
    expected = torch.autograd.grad(2 * gradient.square().mean(), list(generator.parameters()))
    found = torch.autograd.grad(step.generate().total, list(generator.parameters()))
    assert all(map(torch.equal, found, expected)) and any(bool(one.any()) for one in found)


def test_images_go_with_their_step_and_do_not_wait_for_the_garbage_collector(request):
    step = Step(GAN, CYCLE, SEGMENT)
    request.addfinalizer(gc.enable)
    gc.collect()
    gc.disable()
    made = step.generate()
    made.total.backward()
    step.judge(made).total.backward()
    assert not [one for one in gc.get_objects() if type(one) in (StepImages, DomainImages, DiscriminatorOutput)]


def test_the_images_handed_on_carry_no_gradient():
    made = Step(GAN, CYCLE).generate()
    assert set(made.images) == {"fake_target", "fake_source", "rec_source", "rec_target"}
    assert not any(image.requires_grad for image in made.images.values())


def test_the_total_is_the_weighted_sum_of_the_unweighted_values():
    step = Step(GAN, CYCLE, SEGMENT)
    made = step.generate()
    assert list(made.values) == ["generator/0", "generator/1", "generator/2"]
    assert float(made.total.detach()) == pytest.approx(2 * sum(map(float, made.values.values())))
    judged = step.judge(made)
    assert set(judged.values) == {f"discriminator_{domain}/{name}" for domain in ("source", "target") for name in "02"}
    assert float(judged.total.detach()) == pytest.approx(2 * sum(map(float, judged.values.values())))


def test_the_discriminators_objective_reaches_no_generator():
    step = Step(GAN, CYCLE, SEGMENT)
    made = step.generate()
    step.judge(made).total.backward()
    assert all(parameter.grad is None for network in step.generators.values() for parameter in network.parameters())
    assert all(parameter.grad is not None for one in step.discriminators.values() for parameter in one.parameters())


def test_the_generators_objective_neither_holds_nor_saves_the_discriminators():
    step = Step(GAN)
    held = {id(parameter) for parameter in step.generator_objective.parameters()}
    assert not any(id(parameter) in held for one in step.discriminators.values() for parameter in one.parameters())
    assert not any("encoder" in name for name in step.generator_objective.state_dict())


def test_labels_are_none_where_target_content_is_shown():
    image, label = torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8).long()
    seen = {}

    class Looks(Loss):
        def discriminator_loss(self, images):
            seen[images.domain] = (images.real_label, images.fake_label, images.rec_label)

    step = Step(Looks)
    step.discriminator_objective(
        {"source": image, "target": image},
        label,
        {"source": Fake(image, None), "target": Fake(image, label + 1)},
        {"source": image, "target": image},
    )
    real, fake, rec = seen["source"]
    assert torch.equal(real, label) and fake is None and torch.equal(rec, label)
    real, fake, rec = seen["target"]
    assert real is None and torch.equal(fake, label + 1) and rec is None


def test_a_domain_without_translations_is_not_judged():
    step = Step(GAN)
    made = step.generate()
    judged = step.discriminator_objective(
        {"source": step.source, "target": step.target},
        step.label,
        {"target": Fake(made.images["fake_target"], step.label)},
        {},
    )
    assert list(judged.values) == ["discriminator_target/0"]


# --- one direction only ---


@pytest.fixture
def one_sided():
    torch.manual_seed(0)
    source, target = torch.rand(2, 2, 3, 8, 8) * 2 - 1
    painter, judge = tiny.Painter(), tiny.Judge(num_classes=3)
    return StepImages({"source_to_target": painter}, {"target": judge}, source, source, target), painter, judge


def test_the_domains_are_those_that_something_is_translated_to(one_sided):
    step = Step(GAN)
    both = StepImages(step.generators, step.discriminators, step.source, step.label, step.target)
    assert both.domains == ("target", "source") and one_sided[0].domains == ("target",)


def test_one_direction_makes_and_judges_what_it_can(one_sided):
    images, painter, judge = one_sided
    for name, expected in {"fake_target": painter(images.source), "idt_target": painter(images.target)}.items():
        assert torch.equal(getattr(images, name), expected)
        assert torch.equal(images.judged(name).realness, judge(expected).realness)
    assert set(images.made()) == {"fake_target", "idt_target"}


@pytest.mark.parametrize("name", ["fake_source", "idt_source", "rec_source", "rec_target"])
def test_what_one_direction_cannot_make_is_refused_with_a_remedy(one_sided, name):
    for ask in (lambda: getattr(one_sided[0], name), lambda: one_sided[0].judged(name)):
        with pytest.raises(
            PluginError, match=r"no such generator; leave that loss out, or set translation\.directions"
        ):
            ask()


def test_a_domain_that_nothing_is_translated_to_is_not_judged(one_sided):
    with pytest.raises(PluginError, match="output on 'source', and the recipe has none for the source"):
        one_sided[0].judged("source")


# --- features ---


def test_features_are_those_of_the_generator_from_source_to_target():
    step = Step(GAN)
    images = StepImages(step.generators, step.discriminators, step.source, step.label, step.target)
    painter = step.generators["source_to_target"]
    for image in (images.source, images.fake_target):
        found = images.features(image, (3, 0))
        assert torch.equal(found[0], painter.body(image)) and torch.equal(found[1], painter.body[0](image))
    assert [name for name, _ in step.runs] == ["source_to_target"]  # for fake_target; features need no translation


def test_a_generator_that_offers_no_features_says_so():
    class Plain(Generator):
        def forward(self, image):
            return image

    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(TypeError, match="generator Plain offers no features"):
        StepImages({"source_to_target": Plain()}, {}, image, image, image).features(image, (0,))


def test_asking_for_what_the_recipe_does_not_have_says_what_is_missing():
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(
        PluginError, match="asks for a discriminator's output on 'fake_target', and the recipe has none"
    ):
        StepImages({"source_to_target": tiny.Painter()}, {}, image, image, image).judged("fake_target")
    domain = DomainImages("source", tiny.Judge(num_classes=2), image, Fake(image, None), None, None)
    with pytest.raises(PluginError, match="rec_source, which no loss of the generators makes; add a reconstruction"):
        _ = domain.rec_output
