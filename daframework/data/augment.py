"""Random changes of images on the device, drawn for each image; what moves pixels moves those of the label too."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from daframework.compute.ranks import count_ranks, own_share
from daframework.interfaces import SEMANTIC, LabelType
from daframework.recipes.tables import AugmentTable


def augmented(
    image: Tensor,
    label: Tensor,
    tables: Sequence[AugmentTable],
    random: Sequence[torch.Generator],
    label_type: LabelType = SEMANTIC,
) -> tuple[Tensor, Tensor]:
    """Image (N, 3, H, W) in [-1, 1] and label (N, ...), each pair changed as its own of ``tables`` says.

    Geometry, colours and the colours of classes are drawn from ``random`` in turn, for each table as if all images were
    its own: what an image draws hangs on its place alone, and not on which others a rank has.
    """
    together = {table: [place for place, own in enumerate(tables) if own == table] for table in tables}
    if len(together) == 1:
        return _augmented(image, label, tables[0], random, label_type)
    changed, begun = (image.clone(), label.clone()), [one.get_state() for one in random]
    for table, places in together.items():
        for one, state in zip(random, begun, strict=True):
            one.set_state(state)
        for whole, part in zip(changed, _augmented(image, label, table, random, label_type), strict=True):
            whole[places] = part[places]
    return changed


def _augmented(
    image: Tensor, label: Tensor, table: AugmentTable, random: Sequence[torch.Generator], label_type: LabelType
) -> tuple[Tensor, Tensor]:
    geometry, colors, class_colors = random
    image, label = augment_geometry(image, label, table, geometry, label_type)
    return augment_colors(augment_classes(image, label, table, class_colors), table, colors), label


def augment_geometry(
    image: Tensor, label: Tensor, table: AugmentTable, random: torch.Generator, label_type: LabelType = SEMANTIC
) -> tuple[Tensor, Tensor]:
    """Image (N, 3, H, W) and label (N, ...) enlarged and turned about their centre, each pair with its own draw.

    The image is interpolated bilinearly and mirrored beyond its edges; the label is read at the nearest pixel, and
    invalid beyond its edges.
    """
    if tuple(table.scale) == (1.0, 1.0) and not table.rotation:
        return image, label
    # Here, because it takes half a second to import and most recipes do without.
    from kornia.geometry.transform import get_rotation_matrix2d, warp_affine

    size = (image.shape[-2], image.shape[-1])
    low, high = table.scale
    scale = _draw(low, high, random, image).view(-1, 1).repeat(1, 2)
    angle = _draw(-table.rotation, table.rotation, random, image)
    centre = image.new_tensor([(size[1] - 1) / 2, (size[0] - 1) / 2]).repeat(len(image), 1)
    matrix = get_rotation_matrix2d(centre, angle, scale)
    moved = warp_affine(image, matrix, size, mode="bilinear", padding_mode="reflection")
    warp = partial(warp_affine, M=matrix, dsize=size, mode="nearest", padding_mode="zeros")
    return moved, label_type.moved(label, warp, scale[:, 0])


def augment_classes(image: Tensor, label: Tensor, table: AugmentTable, random: torch.Generator) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> the same, half of the images in other colours for each class of their label (N, H, W).

    What is ignored there counts as a class of its own.
    """
    if not table.class_colors:
        return image

    def draw(*shape: int) -> Tensor:
        return _draw(-1, 1, random, image, shape)

    strength = table.class_colors * draw(1, 1).abs() * (draw(1, 1) < 0)
    # 256 draws for each image, so that they do not depend on which classes it shows.
    gain, shift = (strength * (draw(256, 1) + draw(256, 3) / 3) for _ in range(2))
    images = torch.arange(len(image), device=image.device).view(-1, 1, 1)
    factor, added = (one[images, label.long()].permute(0, 3, 1, 2) for one in (1 + gain, shift / 2))
    return ((image + 1) / 2 * factor + added).clamp(0, 1) * 2 - 1


def augment_colors(image: Tensor, table: AugmentTable, random: torch.Generator) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> the same, each image with its own draw of every change ``table`` asks for.

    Changes come in the order gamma, gain, brightness, contrast, saturation, hue, blur, clipped to the range after each.
    """
    changes = (table.gamma, table.brightness, table.contrast, table.saturation, table.hue, table.blur)
    if not any(changes) and tuple(table.gain) == (1.0, 1.0):
        return image
    from kornia.enhance import adjust_contrast_with_mean_subtraction, adjust_gamma, adjust_hue, adjust_saturation
    from kornia.filters import gaussian_blur2d

    def draw(low: float, high: float) -> Tensor:
        return _draw(low, high, random, image)

    def share(by: float) -> Tensor:
        return draw(1 - by, 1 + by)

    unit = (image + 1) / 2
    if table.gamma:
        unit = adjust_gamma(unit, draw(-table.gamma, table.gamma).exp())
    if tuple(table.gain) != (1.0, 1.0):
        unit = (unit * draw(*table.gain).view(-1, 1, 1, 1)).clamp(0, 1)
    if table.brightness:
        unit = (unit * share(table.brightness).view(-1, 1, 1, 1)).clamp(0, 1)
    if table.contrast:
        # Kornia's plain adjust_contrast multiplies, which is brightness over again.
        unit = adjust_contrast_with_mean_subtraction(unit, share(table.contrast)).clamp(0, 1)
    if table.saturation:
        unit = adjust_saturation(unit, share(table.saturation)).clamp(0, 1)
    if table.hue:
        unit = adjust_hue(unit, draw(-table.hue, table.hue) * (2 * torch.pi)).clamp(0, 1)
    if table.blur:
        # Three standard deviations on either side, and no more than mirroring at the edges has pixels for.
        reach = min(math.ceil(3 * table.blur), min(unit.shape[-2:]) - 1)
        sigma = draw(0, table.blur).clamp(min=1e-3).view(-1, 1).repeat(1, 2)
        unit = gaussian_blur2d(unit, 2 * reach + 1, sigma).clamp(0, 1)
    return unit * 2 - 1


def _draw(low: float, high: float, random: torch.Generator, image: Tensor, shape: Sequence[int] = ()) -> Tensor:
    """(N, *shape) uniform numbers for N images, drawn on the CPU so that one seed draws the same on every device.

    Drawn for the images of all ranks, so that they are the same however many processes share those.
    """
    drawn = own_share(torch.rand(len(image) * count_ranks(), *shape, generator=random))
    return (drawn * (high - low) + low).to(image.device)
