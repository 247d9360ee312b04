"""Find images that are there twice, above all those that training and test share.

Images are compared by their decoded pixels, not by the bytes of their files: they are decoded anyway, a dataset need
not have files, and the same picture saved once more, as by another program or without its metadata, is still the same.
"""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from daframework.dataset_interface import Array, ImageDataset
from daframework.fingerprint import digest_bytes


@frozen
class Contents:
    """A set's ``images``, each by its file or name and its `content_digest`; ``test`` if models are scored on it."""

    title: str
    test: bool
    images: Sequence[tuple[str, str]]


def content_digest(image: Array) -> str:
    """A text that two images (C, H, W) uint8 share only if they have the same size and the same pixels."""
    return digest_bytes([repr(image.shape).encode(), np.ascontiguousarray(image).data.cast("B")])


def same_files(first: ImageDataset, second: ImageDataset) -> bool:
    """Whether both hold the images of the same files in the same order; nothing is decoded."""
    if not len(first) or len(first) != len(second):
        return False
    files = ((first.file(index), second.file(index)) for index in range(len(first)))
    return all(one is not None and one == other for one, other in files)


def find_duplicates(sets: Sequence[Contents]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A line for each image that is there more than once, after its set's title: errors, then warnings.

    An image of a test set that a training set holds is an error; one that its own set holds before is a warning. Two
    training sets that share images are a warning, one for all.
    """
    errors, warnings = list[tuple[str, str]](), list[tuple[str, str]]()
    known: list[tuple[Contents, dict[str, str]]] = []
    for one in sets:
        own: dict[str, str] = {}
        for where, digest in one.images:
            if (before := own.setdefault(digest, where)) != where:
                line = f"{where}: the same image as {before}, also of {one.title}; keep one of them"
                warnings.append((one.title, line))
        for other, first in known:
            shared = [(where, first[digest]) for digest, where in own.items() if digest in first]
            if one.test != other.test:
                errors += [(one.title, _shared(where, one.title, before, other.title)) for where, before in shared]
            elif shared:
                both = f"{one.title} and {other.title} share {len(shared)} images"
                warnings.append((one.title, f"{shared[0][0]}: {both}, this one among them; take them out of one"))
        known.append((one, own))
    return errors, warnings


def _shared(where: str, title: str, first: str, other: str) -> str:
    what = "is in" if where == first else f"the same image as {first}, which is in"
    return f"{where}: of {title}, {what} {other} too; take it out of one: a test must show images never trained on"
