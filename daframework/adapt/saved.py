"""What a training of the translation keeps on disk, so that it goes on exactly as if it had never stopped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from daframework.adapt.pool import ImagePool
from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.storage import checkpoint


def save(
    path: Path, counts: tuple[int, int], parts: Mapping[str, Any], pools: Mapping[str, ImagePool], *, last: bool
) -> None:
    """Keep everything that an exact continuation needs; ``counts`` are steps done and images of a domain seen.

    ``parts`` hold the objectives as ``generators`` and ``discriminators``; one is None that the recipe does without.
    """
    state = {name: part.state_dict() for name, part in parts.items() if part is not None}
    pooled = {domain: pool.state_dict() for domain, pool in pools.items()}
    numbers = {"done": counts[0], "seen": counts[1]}
    checkpoint.save(path, {**numbers, "pools": pooled, **state}, keep_previous=not last)


def restore(
    path: Path, session: Session, parts: Mapping[str, Any], pools: Mapping[str, ImagePool], images_a_step: int
) -> tuple[int, int]:
    """Go on from what was saved; steps done, and images of a domain seen, by however many ranks."""
    state = from_first(lambda: checkpoint.load(path, torch.device("cpu")))
    if state is None:
        return 0, 0
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    for domain, pool in pools.items():
        pool.load_state_dict(state["pools"][domain], session.fabric.device)
    done = int(state["done"])
    return done, int(state.get("seen", done * images_a_step))
