"""Components small enough to train in a test, offered as any plugin offers its own."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from daframework import hookimpl
from daframework.interfaces import (
    Discriminator,
    DiscriminatorOutput,
    Generator,
    ImageDataset,
    Loss,
    Sample,
    Scores,
    Task,
)
from daframework.metrics import class_iou, confusion_matrix, cross_entropy, mean_iou, pixel_accuracy

CLASSES = ("road", "sky", "tree")
PALETTE = ((128, 64, 128), (70, 130, 180), (0, 200, 0))


class Blocks(ImageDataset):
    """Two blocks on a road, in colours that depend on the look."""

    palette = PALETTE

    def __init__(self, look: str, split: str, images: int, size: Sequence[int], classes: Sequence[str]) -> None:
        self.shift = {"bright": 0, "dark": 90}[look]
        self.split, self.images, self.size, self.classes = split, images, tuple(size), tuple(classes)

    def __len__(self):
        return self.images

    def __getitem__(self, index):
        height, width = self.size
        random = torch.Generator().manual_seed(index + (1000 if self.split == "test" else 0) + 7 * self.shift)
        label = torch.zeros(height, width, dtype=torch.uint8)
        left = int(torch.randint(width // 2, (), generator=random))
        label[: height // 3, left : left + width // 2] = 1
        label[height // 2 :, : 1 + left // 2] = 2
        label[-1, -1] = 255
        colors = torch.tensor([[90, 90, 90], [40, 120, 220], [30, 160, 50]], dtype=torch.int64)
        image = colors[label.long().clamp(max=2)].permute(2, 0, 1) - self.shift
        noise = torch.randint(-25, 25, image.shape, generator=random)
        return Sample((image + noise).clamp(0, 255).to(torch.uint8), label, f"{self.split}/{index}")


class Guarded(Blocks):
    """Its labels may not be read."""

    def __getitem__(self, index):
        raise AssertionError("a label was asked for")

    def unlabelled(self, index):
        return Sample(super().__getitem__(index).image, None, "x")


class Pictures(ImageDataset):
    """The given images, (3, H, W) uint8, without labels."""

    classes = ("anything",)
    palette = ((0, 0, 0),)

    def __init__(self, images: Sequence[torch.Tensor]) -> None:
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return Sample(self.images[index], None, f"image {index}")


def blocks(
    *,
    split: str,
    look: str = "bright",
    images: int = 6,
    size: Sequence[int] = (32, 48),
    classes: Sequence[str] = CLASSES,
) -> Blocks:
    """Blocks on a road.

    Args:
        split: which part.
        look: "bright" or "dark".
        images: how many.
        size: height and width.
        classes: their names.
    """
    if look not in ("bright", "dark"):
        raise ValueError(f"look must be bright or dark, got {look!r}")
    return Blocks(look, split, images, size, classes)


class Painter(Generator):
    def __init__(self, *, channels: int = 4, multiple: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.multiple = multiple
        self.body = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(channels, 3, 3, padding=1)
        )

    def forward(self, image):
        return torch.tanh(self.body(image) + image)

    def features(self, image, layers):
        return [self.body[: layer + 1](image) for layer in layers]


class Judge(Discriminator):
    def __init__(self, *, num_classes: int, channels: int = 4, semantic: bool = False, multiple: int = 2) -> None:
        super().__init__()
        self.multiple = multiple
        self.has_semantics = semantic
        self.encoder = nn.Sequential(nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.realness = nn.Conv2d(channels, 1, 3, padding=1)
        self.semantics = nn.ConvTranspose2d(channels, num_classes, 2, stride=2) if semantic else None

    def forward(self, image):
        features = self.encoder(image)
        semantics = None if self.semantics is None else self.semantics(features)
        return DiscriminatorOutput(self.realness(features), semantics)


class LeastSquares(Loss):
    needs_discriminator = True

    def generator_loss(self, images):
        return sum((images.judged(f"fake_{domain}").realness - 1).square().mean() for domain in images.domains)

    def discriminator_loss(self, images):
        real, fake = images.real_output.realness, images.fake_output.realness
        return (mse_loss(real, torch.ones_like(real)) + mse_loss(fake, torch.zeros_like(fake))) / 2


class Cycle(Loss):
    def generator_loss(self, images):
        return l1_loss(images.rec_source, images.source) + l1_loss(images.rec_target, images.target)


class Identity(Loss):
    def generator_loss(self, images):
        return l1_loss(images.idt_target, images.target) + l1_loss(images.idt_source, images.source)


class Features(Loss):
    """What the generator sees in an image it sees in its translation."""

    def generator_loss(self, images):
        seen, again = (images.features(image, (0, 3)) for image in (images.source, images.fake_target))
        return sum(map(l1_loss, again, seen))


class Segment(Loss):
    """Both discriminators segment wherever there are labels; the generators help."""

    needs_discriminator = True
    needs_semantics = True

    def generator_loss(self, images):
        return cross_entropy(images.judged("fake_target").semantics, images.source_label)

    def discriminator_loss(self, images):
        output, label = (
            (images.real_output, images.real_label)
            if images.domain == "source"
            else (images.fake_output, images.fake_label)
        )
        return cross_entropy(output.semantics, label)


class Pixels(Task):
    def __init__(self, num_classes, channels, multiple):
        self.num_classes, self.channels, self.multiple = num_classes, channels, multiple

    def model(self):
        return nn.Sequential(
            nn.Conv2d(3, self.channels, 3, padding=1), nn.ReLU(), nn.Conv2d(self.channels, self.num_classes, 1)
        )

    def loss(self, prediction, label):
        return cross_entropy(prediction, label)

    def statistics(self, prediction, label):
        return confusion_matrix(prediction.argmax(1), label, self.num_classes)

    def scores(self, statistics):
        return Scores(mean_iou(statistics), pixel_accuracy(statistics), class_iou(statistics))


def pixels(*, num_classes: int, channels: int = 4, multiple: int = 1) -> Pixels:
    """A class for each pixel."""
    return Pixels(num_classes, channels, multiple)


@hookimpl
def daf_datasets():
    return {"blocks": blocks}


@hookimpl
def daf_generators():
    return {"painter": Painter}


@hookimpl
def daf_discriminators():
    return {"judge": Judge}


@hookimpl
def daf_losses():
    return {
        "least_squares": LeastSquares,
        "tiny_cycle": Cycle,
        "tiny_identity": Identity,
        "tiny_features": Features,
        "segment": Segment,
    }


@hookimpl
def daf_tasks():
    return {"pixels": pixels}
