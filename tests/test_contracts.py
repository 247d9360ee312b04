"""The checks that plugin authors run on their own components, and the shared error texts."""

import pytest
import tiny
import torch
from torch import nn
from torch.nn import functional as F

from daframework.errors import DataError, PluginError, RecipeError, unknown
from daframework.interfaces import Discriminator, DiscriminatorOutput, Generator, ImageDataset, Loss, Sample, Scores
from daframework.metrics import cross_entropy
from daframework.testing import (
    check_dataset,
    check_discriminator,
    check_generator,
    check_loss,
    check_network,
    check_size,
    check_task,
)

SIZE = {"num_classes": 3, "height": 8, "width": 12}


class Made(Generator):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, image):
        return self.make(image)


class Judged(Discriminator):
    def __init__(self, make, has_semantics=False):
        super().__init__()
        self.make, self.has_semantics = make, has_semantics

    def forward(self, image):
        return self.make(image)


def test_sound_components_pass():
    check_generator(tiny.Painter(), height=8, width=12)
    check_discriminator(tiny.Judge(num_classes=3), num_classes=3, height=8, width=12)
    check_discriminator(tiny.Judge(num_classes=3, semantic=True), num_classes=3, height=8, width=12, batch_size=2)
    check_task(tiny.pixels(num_classes=3), num_classes=3, height=8, width=12)
    check_dataset(tiny.blocks(split="train"))


@pytest.mark.parametrize(
    "make, says",
    [
        (
            lambda image: image[:, :, 1:],
            r"must give torch\.float32 \(1, 3, 8, 12\), got torch\.float32 \(1, 3, 7, 12\)",
        ),
        (lambda image: image.double(), r"got torch\.float64 \(1, 3, 8, 12\)"),
        (lambda image: (image, image), "got tuple"),
        (lambda image: image * 0 + 1.5, r"must give values in \[-1, 1\], got 1\.5 to 1\.5"),
        (lambda image: image * torch.nan, r"must give values in \[-1, 1\], got nan to nan"),
    ],
)
def test_a_generator_gives_images_like_its_input(make, says):
    with pytest.raises(PluginError, match=f"generator Made .*{says}"):
        check_generator(Made(make), height=8, width=12)


@pytest.mark.parametrize("given", [[], [abs]])
def test_a_generator_translates_with_one_generator_or_more(given):
    generator = Made(lambda image: image)
    generator.translators = lambda: given
    with pytest.raises(PluginError, match=r"Made must give one or more generators in translators\(\), got \["):
        check_generator(generator, height=8, width=12)


@pytest.mark.parametrize(
    "make, promised, says",
    [
        (lambda image: image, False, "must give a DiscriminatorOutput, got torch.float32"),
        (
            lambda image: DiscriminatorOutput(image, None),
            False,
            r"must give realness \(1, 1, h, w\), got .*\(1, 3, 8, 12\)",
        ),
        (lambda image: DiscriminatorOutput(image.mean(), None), False, r"must give realness \(1, 1, h, w\)"),
        (
            lambda image: DiscriminatorOutput(image[:, :1], None),
            True,
            r"has_semantics=True: semantics must be \(1, 2, 8, 12\), got None",
        ),
        (
            lambda image: DiscriminatorOutput(image[:, :1], image[:, :2]),
            False,
            r"has_semantics=False: semantics must be None, got \(1, 2, 8, 12\)",
        ),
        (
            lambda image: DiscriminatorOutput(image[:, :1], lambda: image[:, :2, ::2]),
            True,
            r"semantics must be \(1, 2, 8, 12\), got \(1, 2, 4, 12\)",
        ),
    ],
)
def test_a_discriminator_gives_what_it_promises(make, promised, says):
    with pytest.raises(PluginError, match=f"discriminator Judged .*{says}"):
        check_discriminator(Judged(make, promised), num_classes=2, height=8, width=12)


class Painted(tiny.Painter):
    """A painter, a weight of its own, and one thing that is done with what it paints."""

    def __init__(self, change):
        super().__init__()
        self.change, self.factor, self.hidden = change, nn.Parameter(torch.ones(())), torch.rand(())

    def forward(self, image):
        return self.change(self, super().forward(image) * self.factor, image)


def overwritten(self, painted, image):
    image.zero_()
    return painted


@pytest.mark.parametrize(
    "change, says",
    [
        (overwritten, "must not write to the image"),
        (lambda self, painted, image: painted * self.hidden, "the same with a state that was saved"),
        (lambda self, painted, image: image * self.body[0].weight.sum(), "no gradient reaches its parameter factor"),
        (lambda self, painted, image: painted * self.factor.log().sqrt(), "the gradient of .* must be finite"),
        (lambda self, painted, image: painted + torch.rand((), generator=DRAWN), "the same for the same image"),
        (
            lambda self, painted, image: painted / (not torch.is_autocast_enabled("cpu")),
            "what Painted gives under bf16 autocast must be finite",
        ),
    ],
)
def test_a_network_can_be_trained_and_saved(change, says):
    with pytest.raises(PluginError, match=says):
        check_network(Painted(change), Painted(change), height=8, width=12)


DRAWN = torch.Generator().manual_seed(0)


class Weighed(Loss):
    def __init__(self, generator=None, discriminator=None, **needs):
        super().__init__()
        self.sides, self.factor = (generator, discriminator), nn.Parameter(torch.ones(()))
        vars(self).update(needs)

    def generator_loss(self, images):
        return self.sides[0] and self.sides[0](images) * self.factor

    def discriminator_loss(self, images):
        return self.sides[1] and self.sides[1](images)


@pytest.mark.parametrize(
    "loss, says",
    [
        (Weighed(), "must have a side"),
        (Weighed(None, lambda images: 0.5, needs_discriminator=True), "must give a scalar tensor or None, got float"),
        (Weighed(lambda images: images.source.mean((1, 2, 3))), r"must give a scalar, got a tensor of shape \(2,\)"),
        (Weighed(lambda images: images.fake_target.mul_(0.5).mean()), "must not write to what it is given"),
        (Weighed(lambda images: images.judged("fake_target").realness.mean()), "the recipe has none for the target"),
        (
            Weighed(lambda images: images.judged("fake_target").semantics.mean(), needs_discriminator=True),
            "'NoneType' object has no attribute 'mean'",
        ),
        (
            Weighed(lambda images: F.cross_entropy(images.fake_target, images.source_label, ignore_index=255)),
            "generator/loss of loss Weighed must be finite",
        ),
        (
            Weighed(None, lambda images: images.real_output.realness.mean(), needs_discriminator=True),
            "no gradient reaches its parameter factor",
        ),
    ],
)
def test_a_loss_gives_scalars_says_what_it_needs_and_writes_to_nothing(loss, says):
    with pytest.raises((PluginError, AttributeError), match=says):
        check_loss(loss, **SIZE)


def test_a_sound_loss_passes_whichever_sides_it_has():
    check_loss(Weighed(lambda images: cross_entropy(images.fake_target, images.source_label)), **SIZE)
    check_loss(tiny.Segment(), **SIZE)
    check_loss(tiny.Features(), **SIZE, directions=["source_to_target"])
    with pytest.raises(PluginError, match="has no such generator"):
        check_loss(tiny.Cycle(), **SIZE, directions=["source_to_target"])


class Wrong(tiny.Pixels):
    def __init__(self, model=None, loss=None, **others):
        super().__init__(2, 4, 1)
        self.made, self.found = model, loss
        vars(self).update(others)

    def model(self):
        return self.made or super().model()

    def loss(self, prediction, label):
        return self.found(prediction, label) if self.found else super().loss(prediction, label)


@pytest.mark.parametrize(
    "task, says",
    [
        (Wrong(model=nn.Conv2d(3, 4, 1)), r"the model of task Wrong must give \(2, 2, 8, 12\), got .*\(2, 4, 8, 12\)"),
        (Wrong(loss=lambda p, y: p.mean((1, 2, 3))), r"the loss of task Wrong must be a scalar, got .*\(2,\)"),
        (
            Wrong(loss=lambda p, y: F.cross_entropy(p, y, ignore_index=255)),
            "must be finite where no pixel is valid, got nan",
        ),
        (Wrong(statistics=lambda p, y: torch.tensor([[len(y), 1], [0, 0]])), "statistics of task Wrong must add up"),
        (
            Wrong(scores=lambda statistics: Scores(50.0, 0.5, ())),
            "mIoU of task Wrong must be from 0 to 1, got 50.0",
        ),
        (Wrong(mious=lambda statistics: torch.tensor([2.0])), "primary of task Wrong must give what scores gives"),
    ],
)
def test_a_task_covers_every_class_and_bears_images_without_labels(task, says):
    with pytest.raises(PluginError, match=says):
        check_task(task, num_classes=2, height=8, width=12)


class Faulty(ImageDataset):
    classes = ("a", "b")
    palette = ((0, 0, 0), (1, 1, 1))

    def __init__(self, sample=None, count=1):
        self.sample, self.count = sample, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.sample


class Renaming(Faulty):
    def unlabelled(self, index):
        return Sample(self.sample.image, None, "y")


def test_a_dataset_keeps_its_promises():
    image, label = torch.zeros(3, 4, 4, dtype=torch.uint8), torch.full((4, 4), 2, dtype=torch.uint8)
    with pytest.raises(PluginError, match="dataset Faulty is empty"):
        check_dataset(Faulty(count=0))
    with pytest.raises(DataError, match=r"label of x: id 2 \(16 pixels have such ids\) is not a class"):
        check_dataset(Faulty(Sample(image, label, "x")))
    with pytest.raises(DataError, match="has no label"):
        check_dataset(Faulty(Sample(image, None, "x")))
    check_dataset(Faulty(Sample(image, None, "x")), labelled=False)

    class Telling(Faulty):
        def unlabelled(self, index):
            return self.sample

    with pytest.raises(PluginError, match=r"unlabelled\(0\) must have no label"):
        check_dataset(Telling(Sample(image, label // 2, "x")))

    class Local(Faulty):
        pass

    with pytest.raises(PluginError, match="dataset Local must be picklable, to be read in worker processes: "):
        check_dataset(Local(Sample(image, label // 2, "x")))
    with pytest.raises(PluginError, match=r"unlabelled\(0\) must give the image and name of \[0\]"):
        check_dataset(Renaming(Sample(image, label // 2, "x")))

    class Colourless(Faulty):
        palette = ()

    with pytest.raises(PluginError, match="has 2 classes and 0 palette colours"):
        check_dataset(Colourless())


@pytest.mark.parametrize(
    "multiple, size, near", [(8, (20, 30), "16 x 32"), (8, (1, 8), "8 x 8"), (32, (31, 95), "32 x 96")]
)
def test_a_size_that_does_not_fit_comes_with_the_nearest_that_does(multiple, size, near):
    with pytest.raises(
        PluginError, match=f"net needs height and width that are multiples of {multiple}, .* {near} would"
    ):
        check_size("net", multiple, *size)
    check_size("net", multiple, 2 * multiple, multiple)


def test_a_recipe_error_holds_every_problem():
    error = RecipeError(["one", "two"])
    assert error.problems == ["one", "two"] and str(error) == "one\ntwo"
    assert RecipeError("one").problems == ["one"]


def test_an_unknown_name_comes_with_what_is_known():
    assert unknown("loss", "gn", ["cycle", "gan"]) == "no loss named 'gn'; did you mean 'gan'? (known: cycle, gan)"
    assert unknown("loss", "zzz", ["cycle", "gan"]) == "no loss named 'zzz' (known: cycle, gan)"
    assert unknown("loss", "gan", []) == "no loss named 'gan' (known: none)"
