"""A grid of sample images: what the generators and discriminators make of a few source images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from daframework.adapt.labelled import knowing
from daframework.data.stream import to_bytes, to_float
from daframework.data.whole import apply_padded, stack_images, stack_labels, weights_dtype
from daframework.interfaces import SEMANTIC, Discriminator, Generator, Sample
from daframework.metrics import confusion_matrix, mean_iou
from daframework.networks import DIRECTIONS, Networks

_GAP = 2
_JUDGED = {"source": "source", "fake_target": "target"}  # images with labels, and whose discriminator judges them


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
    head, rec_source where nothing translates back, and label where there are no classes.
    Returns (3, height, width) uint8.
    """
    forward, backward = (networks.generators.get(direction) for direction in DIRECTIONS)
    assert forward is not None, "every recipe translates from source to target"
    judge = networks.discriminators.get("target")
    used = [network for network in (translator, backward, judge) if network is not None]
    with _evaluating(*used):
        image = to_float(stack_images(samples).to(device)).to(weights_dtype(translator))
        translate: Callable[[Tensor], Tensor] = translator
        if isinstance(translator, Generator) and samples[0].label is not None:
            translate = knowing(translator, stack_labels(samples).to(device))
        fake = apply_padded(translate, image, forward.multiple, forward.smallest)
        columns = [image, fake]
        if backward is not None:
            columns.append(apply_padded(backward, fake, backward.multiple, backward.smallest))
        pictures = [to_bytes(column).cpu() for column in columns]
        if samples[0].label is not None:
            pictures.append(SEMANTIC.render(stack_labels(samples), palette))
        if judge is not None and judge.has_semantics:
            logits = apply_padded(partial(_semantics, judge), fake, judge.multiple)
            pictures.append(SEMANTIC.render(logits.argmax(1).cpu(), palette))
    return tiled(pictures)


@torch.no_grad()
def head_scores(
    translator: nn.Module, networks: Networks, samples: Iterable[Sample], device: torch.device
) -> dict[str, float]:
    """How well the semantic heads segment what they judge, as mIoU.

    That of the source on ``samples`` goes by "source", that of the target on what ``translator`` makes of them by
    "fake_target". A discriminator without a semantic head has none, and neither have samples without a labelled pixel.
    """
    forward = networks.generators[DIRECTIONS[0]]
    judges = {image: networks.discriminators.get(domain) for image, domain in _JUDGED.items()}
    heads = {image: judge for image, judge in judges.items() if judge is not None and judge.has_semantics}
    matrices: dict[str, Tensor] = {}
    with _evaluating(translator, *heads.values()):
        for sample in samples if heads else ():
            source = to_float(stack_images([sample]).to(device)).to(weights_dtype(translator))
            for image, judge in heads.items():
                shown = source
                if image == "fake_target":
                    shown = apply_padded(translator, source, forward.multiple, forward.smallest)
                logits = apply_padded(partial(_semantics, judge), shown, judge.multiple)
                label = stack_labels([sample]).long()
                matrix = confusion_matrix(logits.argmax(1).cpu(), label, logits.shape[1])
                matrices[image] = matrices.get(image, 0) + matrix
    scores = {image: mean_iou(matrix) for image, matrix in matrices.items()}
    return {image: miou for image, miou in scores.items() if miou is not None}


@contextmanager
def _evaluating(*networks: nn.Module) -> Iterator[None]:
    """In eval mode inside, and in the mode they were in after."""
    training = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, mode in zip(networks, training, strict=True):
            network.train(mode)


def _semantics(judge: Discriminator, image: Tensor) -> Tensor:
    semantics = judge(image).semantics
    assert isinstance(semantics, Tensor), "a discriminator that has_semantics gives them"
    return semantics


def tiled(columns: Sequence[Tensor]) -> Tensor:
    """Columns of pictures, (N, 3, H, W) uint8 each -> one picture with a white gap between them."""
    count, _, height, width = columns[0].shape
    grid = torch.full((3, count * (height + _GAP) - _GAP, len(columns) * (width + _GAP) - _GAP), 255, dtype=torch.uint8)
    for across, column in enumerate(columns):
        for down, picture in enumerate(column):
            top, left = down * (height + _GAP), across * (width + _GAP)
            grid[:, top : top + height, left : left + width] = picture
    return grid
