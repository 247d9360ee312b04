"""Random colours on the device, drawn for each image. Labels are not touched: no colour change moves a pixel."""

import torch
from torch import Tensor

from daframework.tables import AugmentTable


def augment_colors(image: Tensor, table: AugmentTable, random: torch.Generator) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> the same, each image with its own draw of every change ``table`` asks for.

    Changes come in the order gamma, gain, brightness, contrast, saturation, hue, clipped to the range after each.
    """
    if table == AugmentTable():
        return image
    # Here, because it takes half a second to import and most recipes do without.
    from kornia.enhance import adjust_contrast_with_mean_subtraction, adjust_gamma, adjust_hue, adjust_saturation

    count, device = image.shape[0], image.device

    def draw(low: float, high: float) -> Tensor:
        return (torch.rand(count, generator=random) * (high - low) + low).to(device)

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
    return unit * 2 - 1
