"""A grid of sample images: what the generators and discriminators make of a few source images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daframework.build import DIRECTIONS, Networks
from daframework.data.stream import to_bytes, to_float
from daframework.data.whole import apply_padded, stack_images, stack_labels, weights_dtype
from daframework.interfaces import Discriminator, Sample

COLUMNS = ("source", "fake_target", "rec_source", "label", "semantics")
_GAP = 2


@torch.no_grad()
def sample_grid(
    translator: nn.Module,
    networks: Networks,
    samples: Sequence[Sample],
    palette: Sequence[tuple[int, int, int]],
    device: torch.device,
) -> Tensor:
    """A row for each sample, all of one size: source, fake_target by ``translator``, rec_source, label, semantics.

    The last column is the target discriminator's segmentation of fake_target; it is missing where there is no semantic
    head, and rec_source where nothing translates back. Returns (3, height, width) uint8.
    """
    forward, backward = (networks.generators.get(direction) for direction in DIRECTIONS)
    assert forward is not None, "every recipe translates from source to target"
    judge = networks.discriminators.get("target")
    used = [network for network in (translator, backward, judge) if network is not None]
    training = [network.training for network in used]
    for network in used:
        network.eval()
    image = to_float(stack_images(samples).to(device)).to(weights_dtype(translator))
    fake = apply_padded(translator, image, forward.multiple, forward.smallest)
    columns = [image, fake]
    if backward is not None:
        columns.append(apply_padded(backward, fake, backward.multiple, backward.smallest))
    pictures = [to_bytes(column).cpu() for column in columns]
    pictures.append(colored(stack_labels(samples), palette))
    if judge is not None and judge.has_semantics:
        logits = apply_padded(lambda padded: _semantics(judge, padded), fake, judge.multiple)
        pictures.append(colored(logits.argmax(1).cpu(), palette))
    for network, mode in zip(used, training, strict=True):
        network.train(mode)
    return tiled(pictures)


def _semantics(judge: Discriminator, image: Tensor) -> Tensor:
    semantics = judge(image).semantics
    assert isinstance(semantics, Tensor), "a discriminator that has_semantics gives them"
    return semantics


def colored(label: Tensor, palette: Sequence[tuple[int, int, int]]) -> Tensor:
    """Class indices (N, H, W) -> their colours (N, 3, H, W) uint8; ignored pixels are black."""
    colors = torch.zeros(256, 3, dtype=torch.uint8)
    colors[: len(palette)] = torch.tensor(palette, dtype=torch.uint8)
    return colors[label.long()].permute(0, 3, 1, 2)


def tiled(columns: Sequence[Tensor]) -> Tensor:
    """Columns of pictures, (N, 3, H, W) uint8 each -> one picture with a white gap between them."""
    count, _, height, width = columns[0].shape
    grid = torch.full((3, count * (height + _GAP) - _GAP, len(columns) * (width + _GAP) - _GAP), 255, dtype=torch.uint8)
    for across, column in enumerate(columns):
        for down, picture in enumerate(column):
            top, left = down * (height + _GAP), across * (width + _GAP)
            grid[:, top : top + height, left : left + width] = picture
    return grid
