"""Fourier domain adaptation: the low frequencies' amplitudes of a target image."""

from collections.abc import Sequence
from copy import copy
from math import floor

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from daf_baselines.measured import Measured, draw, precise, spread_images
from daframework.data.checked import resize_image
from daframework.interfaces import Generator, ImageDataset

FAINT = 1e-3
"""An amplitude up to this counts as 0, whose phase is 0. At frequencies that an even image does not have, rounding
leaves some, with a phase by chance; one level more in one pixel is an amplitude of 1 at every frequency."""


class FDA(Measured):
    """Yang and Soatto 2020 (arXiv 2004.05498): (N, 3, H, W) in [-1, 1], any size -> same.

    Each image gets the amplitudes that a target image, drawn at random, has at low frequencies, and keeps its own
    phases. Computed on the scale of 0 to 255 and clipped to it. Nothing is trained.
    """

    targets: Tensor  # (K, 3, h, w) uint8

    def __init__(self, *, band: float | Sequence[float] = 0.05, limit: int = 200) -> None:
        """Keep the options; `prepare` reads the target images.

        Args:
            band: the paper's beta: amplitudes up to floor(band * the shorter side) periods an image, down and across,
                are taken over; 0 takes over the mean only, 0.5 all. Several values make an ensemble, a member each: the
                paper's multi-band transfer, for which it takes 0.01, 0.05 and 0.09. Alone it takes the first.
            limit: how many target images are kept to draw from, spread evenly over the set and resized to the first
                one's size. They are saved with the generator: 200 of 1024x512 pixels are 300 MiB.

        Raises:
            ValueError: an option has a value that is not allowed.
        """
        super().__init__(limit)
        self.bands = tuple(band) if isinstance(band, Sequence) else (band,)
        if not self.bands:
            raise ValueError(f"band must be a number or several, got {band!r}")
        for one in self.bands:
            if not 0 <= one <= 0.5:
                raise ValueError(f"band must be between 0 and 0.5, got {one}")
        self.register_buffer("targets", torch.empty(0, dtype=torch.uint8))

    def prepare(self, source: ImageDataset, target: ImageDataset) -> None:
        images = list(spread_images(target, self.limit))
        size = images[0].shape[-2:]
        self.keep("targets", torch.stack([resize_image(image, size) for image in images]))

    def translators(self) -> Sequence[Generator]:
        members = [copy(self) for _ in self.bands]  # which share the buffers
        for member, band in zip(members, self.bands, strict=True):
            member.bands = (band,)
        return members

    def translate(self, image: Tensor) -> Tensor:
        size = image.shape[-2:]
        source = (image.to(precise(image)) + 1) * 127.5
        target = draw(self.targets, len(image)).to(source)
        if target.shape[-2:] != size:
            target = interpolate(target, size, mode="bilinear", antialias=True)
        half_window = floor(min(size) * self.bands[0])
        swapped = swap_low_frequencies(source, target, half_window)
        return (swapped.clamp(0, 255) / 127.5 - 1).to(image.dtype)


def swap_low_frequencies(source: Tensor, target: Tensor, half_window: int) -> Tensor:
    """``source`` with the amplitudes of ``target`` at low frequencies, all (N, 3, H, W) of any range.

    The window (the paper's M_beta) is 2 * ``half_window`` + 1 high and wide around frequency 0, as far as the spectrum
    reaches: a square, as in the authors' code. The phases stay the source's, 0 where its amplitude is no more than
    `FAINT`. ``half_window`` is at most half of the shorter side.
    """
    # Real images have symmetric spectra, of which rfft2 gives the half with columns of frequency 0 and up.
    spectrum, low = torch.fft.rfft2(source), torch.fft.rfft2(target)
    rows = torch.arange(-half_window, half_window + 1, device=source.device)
    window = (..., rows, slice(half_window + 1))
    phase = spectrum[window].angle().where(spectrum[window].abs() > FAINT, 0)
    spectrum[window] = torch.polar(low[window].abs(), phase)
    swapped: Tensor = torch.fft.irfft2(spectrum, s=source.shape[-2:])
    return swapped
