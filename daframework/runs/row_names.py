"""What the rows of a run are called. Here, since who only names one should not wait for torch."""

SOURCE_ONLY = "source_only"
ORACLE = "oracle"
_SELF_TRAINED = "+self_training"


def self_trained(row: str) -> str:
    """The row whose models go on from those of ``row`` with self-training; no recipe can be called so."""
    return f"{row}{_SELF_TRAINED}"


def begun_from(row: str) -> str:
    """The row that a self-trained one goes on from; any other row itself."""
    return row.removesuffix(_SELF_TRAINED)
