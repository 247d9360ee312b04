"""What a camera does to light on its way to a file: pure functions on images (3, H, W), 0 to 1."""

from math import exp
from random import Random

import numpy as np
from attrs import frozen

from daf_streets.raster import Floats
from daf_streets.scene import Range


@frozen
class Camera:
    """The ranges of one camera; each image draws its own values."""

    exposure: Range  # gain
    warmth: Range  # of the white balance: red up and blue down by this fraction
    gamma: Range
    saturation: Range
    defocus: Range  # deviation in pixels of an image 64 pixels high; it grows with the root of the height
    motion: Range  # the same, along x only
    vignette: Range  # how much darker the corners are, a fraction
    noise: Range  # deviation at full brightness


def photograph(image: Floats, camera: Camera, rng: Random) -> Floats:
    """Take a picture of ``image`` with one draw of the camera's values."""
    _, height, width = image.shape
    scale = (height / 64) ** 0.5
    warmth = rng.uniform(*camera.warmth)
    gain = np.array([1 + warmth, 1.0, 1 - warmth], np.float32) * np.float32(rng.uniform(*camera.exposure))
    motion, defocus = rng.uniform(*camera.motion) * scale, rng.uniform(*camera.defocus) * scale
    image = blur(blur(image, 1, defocus), 2, (defocus**2 + motion**2) ** 0.5)
    image = image * (gain[:, None, None] * vignette(height, width, rng.uniform(*camera.vignette)))
    image = saturate(image, rng.uniform(*camera.saturation))
    image = np.maximum(image, 0) ** np.float32(rng.uniform(*camera.gamma))
    return image + sensor_noise(image, rng.uniform(*camera.noise), rng.getrandbits(64))


def blur(image: Floats, axis: int, deviation: float) -> Floats:
    """A Gaussian along one axis, ``deviation`` in pixels; the edge's pixels are repeated."""
    if deviation < 0.2:
        return image
    radius = max(1, round(2 * deviation))
    offsets = [i / deviation for i in range(-radius, radius + 1)]
    taps = [exp(-0.5 * (offset * offset)) for offset in offsets]
    total = sum(taps)
    size = image.shape[axis]
    before = (slice(None),) * axis
    repeated = np.pad(image, [(radius, radius) if one == axis else (0, 0) for one in range(image.ndim)], "edge")
    blurred: Floats = repeated[*before, :size] * np.float32(taps[0] / total)
    for i, tap in enumerate(taps[1:], start=1):
        blurred += repeated[*before, i : i + size] * np.float32(tap / total)
    return blurred


def vignette(height: int, width: int, strength: float) -> Floats:
    """Brightness (H, W): 1 in the middle, 1 - ``strength`` in the corners."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    return 1 - np.float32(strength / 2) * (x * x + y * y)


def saturate(image: Floats, amount: float) -> Floats:
    """Move every colour away from its own grey (``amount`` > 1) or towards it."""
    grey = (image[0] + image[1] + image[2]) * np.float32(1 / 3)
    saturated: Floats = (image - grey) * np.float32(amount) + grey
    return saturated


def sensor_noise(image: Floats, strength: float, seed: int) -> Floats:
    """Shot noise, which grows with the square root of the light, over a floor; deviation ``strength`` at full light."""
    grain: Floats = np.random.Generator(np.random.SFC64(seed)).standard_normal(image.shape, np.float32)
    grain *= np.float32(strength) * np.sqrt(np.clip(image, 0.05, 1))
    return grain
