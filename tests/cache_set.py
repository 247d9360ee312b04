"""A set of image files for the tests of the cache, and ways to open it."""

import torch

from daf_driving.image_folder import ImageFolder
from daframework.data.cache.open import open_cached
from daframework.data.checked import Checked
from daframework.data.decode import write_image, write_label
from daframework.interfaces import SEMANTIC

IDS = {"0": "dark", "1": "bright", "7": "ignore"}
SHARD = 64  # images, where there are few of them


def write_set(root, count=SHARD + 6, sizes=((8, 12),), labels=True):
    """``count`` images of noise, whose sizes take turns, with labels; returns the root."""
    random = torch.Generator().manual_seed(count)
    for index in range(count):
        image = torch.randint(256, (3, *sizes[index % len(sizes)]), generator=random, dtype=torch.uint8)
        write_image(root / "images" / f"{index:04d}.png", image)
        if labels:
            ids = torch.tensor([0, 1, 7], dtype=torch.uint8)[image[0].long() % 3]
            write_label(root / "labels" / f"{index:04d}.png", ids)
    return root


def files(root, ids=IDS, **options):
    """The set in ``root`` as a dataset."""
    return ImageFolder(split="train", root=str(root), classes=["dark", "bright"], ids=ids, **options)


def cached(session, dataset, *, resize=None, labels=True, workers=2):
    """``dataset`` out of the cache."""
    return open_cached(session, dataset, name="the set", resize=resize, workers=workers, types=(SEMANTIC,) * labels)


def assert_same(some, others, *, labels=True):
    """Two sets hold the same to the last bit."""
    assert len(some) == len(others)
    for index in range(len(some)):
        one, other = ((each[index] if labels else each.unlabelled(index)) for each in (some, others))
        assert one.name == other.name and torch.equal(one.image, other.image)
        assert torch.equal(one.label, other.label) if labels else one.label is None and other.label is None


def checked(dataset, resize=None):
    """What the cached set must equal."""
    return Checked(dataset, resize)


def folders(one):
    """The folders of a cached set: of its images, and of its labels if it has them."""
    return [stored.part.folder for stored in one.stored]


def identity(paths):
    """What changes when a file is written anew, for each of ``paths``; reading it changes nothing here."""
    status = {path: path.stat() for path in paths}
    return {path: (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in status.items()}


def shards(one):
    """Every file of pixels of a cached set."""
    return sorted(path for folder in folders(one) for path in folder.glob("*.bin"))
