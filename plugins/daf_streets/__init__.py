"""Rendered street scenes with exact classes and depth in two looks: domain adaptation that needs no download."""

from collections.abc import Mapping
from typing import Any

from daframework import hookimpl


@hookimpl
def daf_datasets() -> Mapping[str, Any]:
    """Offer ``streets``."""
    from daf_streets.streets import Streets

    return {"streets": Streets}
