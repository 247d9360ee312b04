"""What a new method is compared with: colour transfer, FDA, CyCADA, CUT and FastCUT."""

from collections.abc import Mapping
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_generators() -> Mapping[str, Any]:
    """Offer ``color_transfer``, ``class_color_transfer``, ``histogram_matching`` and ``fda``, which measure the domains
    and are not trained.
    """
    from daf_baselines.class_color_transfer import ClassColorTransfer
    from daf_baselines.color_transfer import ColorTransfer
    from daf_baselines.fda import FDA
    from daf_baselines.histogram_matching import HistogramMatching

    return {
        "color_transfer": ColorTransfer,
        "class_color_transfer": ClassColorTransfer,
        "histogram_matching": HistogramMatching,
        "fda": FDA,
    }


@hookimpl
def daf_losses() -> Mapping[str, Any]:
    """Offer ``semantic_consistency`` (CyCADA) and ``patch_nce`` (CUT)."""
    from daf_baselines.patch_nce import PatchNCE
    from daf_baselines.semantic_consistency import SemanticConsistency

    return {"semantic_consistency": SemanticConsistency, "patch_nce": PatchNCE}
