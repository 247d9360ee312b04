"""What the rows of a run, and the stages that make them, are called. Here, since who only names one should not wait for
torch.
"""

SOURCE_ONLY = "source_only"
ORACLE = "oracle"
_SELF_TRAINED = "+self_training"
TRANSLATION, TRANSLATING, SCORING = "translation", "translating", "scoring"
_TRAINING = "training on "


def self_trained(row: str) -> str:
    """The row whose models go on from those of ``row`` with self-training; no recipe can be called so."""
    return f"{row}{_SELF_TRAINED}"


def begun_from(row: str) -> str:
    """The row that a self-trained one goes on from; any other row itself."""
    return row.removesuffix(_SELF_TRAINED)


def training_of(row: str) -> str:
    """The stage that trains the task model of ``row``."""
    return f"{_TRAINING}{row}"


def trained_in(stage: str) -> str | None:
    """The row whose task model is trained in ``stage``; None of any other stage."""
    return stage.removeprefix(_TRAINING) if stage.startswith(_TRAINING) else None
