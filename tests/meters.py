"""A task that is not segmentation, for tests of what shows results: a number a pixel, in metres, the lower error the
better; and data that has such labels, with classes or without.
"""

import torch
from tiny import Blocks
from torch import nn

from daframework import hookimpl
from daframework.interfaces import ImageDataset, LabelType, Metric, MetricValues, Sample, Task
from daframework.scores import PERCENT


class Distances(LabelType):
    """Metres, (H, W) float32; 0 where nothing was measured."""

    name, invalid, dtype = "distance", 0.0, torch.float32

    def problem(self, label, height, width):
        return None if tuple(label.shape) == (height, width) else "must be of its image's size"

    def example(self, height, width, num_classes, random):
        return torch.rand(height, width, generator=random) + 1

    def render(self, label, palette):
        """Grey by distance: the farthest of all is white."""
        return (255 * label / label.max()).clamp(0, 255).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)

    def key(self):
        return [("0 m", (0, 0, 0)), ("farthest", (255, 255, 255))]


class Lit(ImageDataset):
    """`Blocks`, in which what is bright is far: up to 51 m."""

    def __init__(self, look, split, images, classes):
        self.blocks = Blocks(look, split, images, (32, 48), ("road", "sky", "tree"))
        self.labels = ("semantic", "distance") if classes else ("distance",)
        self.classes, self.palette = (self.blocks.classes, self.blocks.palette) if classes else ((), ())

    def __len__(self):
        return len(self.blocks)

    def __getitem__(self, index):
        found = self.blocks[index]
        distance = (found.image.float().mean(0) + self.blocks.shift) / 5
        return Sample(found.image, found.label if self.classes else None, found.name, {"distance": distance})


def lit(*, split: str, look: str = "bright", images: int = 20, classes: bool = False) -> Lit:
    """Blocks with distances."""
    return Lit(look, split, images, classes)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image):
        return 20 + 10 * self.body(image)[:, 0]


class Ranging(Task):
    label_type = Distances()
    metrics = (Metric("abs_error", "m", higher_is_better=False), Metric("within_2_m", PERCENT, higher_is_better=True))

    def model(self):
        return Network()

    def loss(self, prediction, label):
        return ((prediction - label).abs() * (label > 0)).mean()

    def statistics(self, prediction, label):
        valid = label > 0
        apart = (prediction - label).abs().double()[valid]
        return torch.stack([apart.sum(), (apart < 2).double().sum(), valid.double().sum()])

    def scores(self, statistics):
        apart, near, count = statistics.tolist()
        return MetricValues({"abs_error": apart / count, "within_2_m": near / count})


def ranging() -> Ranging:
    """How far each pixel is."""
    return Ranging()


@hookimpl
def daf_datasets():
    return {"lit": lit}


@hookimpl
def daf_tasks():
    return {"ranging": ranging}
