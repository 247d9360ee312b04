"""Semantic adversarial training (arXiv 1810.05852): discriminators that also segment, and reconstruction by class."""

from collections.abc import Mapping
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_discriminators() -> Mapping[str, Any]:
    """Offer ``semantic``."""
    from daf_semantic_cyclegan.discriminator import semantic

    return {"semantic": semantic}


@hookimpl
def daf_losses() -> Mapping[str, Any]:
    """Offer ``semantic_discriminator``, ``weighted_reconstruction`` and ``gradient_content``."""
    from daf_semantic_cyclegan.losses import GradientContent, SemanticDiscriminator, WeightedReconstruction

    return {
        "semantic_discriminator": SemanticDiscriminator,
        "weighted_reconstruction": WeightedReconstruction,
        "gradient_content": GradientContent,
    }
