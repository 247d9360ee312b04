"""The checks that plugin authors run on their own components, and the shared error texts."""

import pytest
import tiny
import torch
from torch import nn

from daframework.errors import DataError, PluginError, RecipeError, unknown
from daframework.interfaces import Discriminator, DiscriminatorOutput, Generator, ImageDataset, Sample
from daframework.testing import check_dataset, check_discriminator, check_generator, check_size, check_task


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
            r"has_semantics is True: semantics must be \(1, 2, 8, 12\), got None",
        ),
        (
            lambda image: DiscriminatorOutput(image[:, :1], image[:, :2]),
            False,
            r"has_semantics is False: semantics must be None, got \(1, 2, 8, 12\)",
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


class Wrong(tiny.Pixels):
    def __init__(self, model=None, loss=None):
        super().__init__(2, 4, 1)
        self.made, self.found = model, loss

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
            Wrong(loss=lambda p, y: nn.functional.cross_entropy(p, y, ignore_index=255)),
            "must be finite where every pixel is ignored, got nan",
        ),
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
