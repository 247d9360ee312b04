"""Made-up image and label files, and what a dataset read of them."""

import numpy as np
from PIL import Image


def write(path, pixels):
    """Values 0 to 255 in a file of the kind that its name says: (H, W) in grey, (H, W, 3) in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def write_palette(path, ids, *, bits=None):
    """A palette PNG, mode P, whose indices are the ids; its colours are none of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(ids, dtype=np.uint8))
    image.putpalette([255 - index for index in range(256) for _ in range(3)])
    image.save(path, **({"bits": bits} if bits else {}))
    with Image.open(path) as written:
        assert written.mode == "P"


def write_deep(path, ids):
    """A grey PNG of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, dtype=np.uint16)).save(path)


def picture(seed=0, shape=(5, 8, 3)):
    """Noise, another for every seed."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def names(dataset):
    """The names of a dataset's images, in order."""
    return [dataset.unlabelled(index).name for index in range(len(dataset))]


def pixels(sample):
    """A sample's image (H, W, 3)."""
    return sample.image.numpy().transpose(1, 2, 0)
