"""What the rows of a run, and the stages that make them, are called. Here, since who only names one should not wait for
torch.
"""

from daframework.recipes.tables import DownstreamTable

SOURCE_ONLY = "source_only"
ORACLE = "oracle"
_SELF_TRAINED, _TARGET_NORMS = "+self_training", "+target_norms"
TRANSLATION, TRANSLATING, SCORING = "translation", "translating", "scoring"
_TRAINING = "training on "


def self_trained(row: str) -> str:
    """The row whose models go on from those of ``row`` with self-training; no recipe can be called so."""
    return f"{row}{_SELF_TRAINED}"


def target_normed(row: str) -> str:
    """The row whose models are those of ``row`` with batch norms that go by the target."""
    return f"{row}{_TARGET_NORMS}"


def rows_after(row: str, table: DownstreamTable | None = None) -> list[str]:
    """The rows whose models begin with those of ``row``, as ``[downstream]`` asks for them, or all; in their order."""
    norms, training = (True, True) if table is None else (table.target_norms > 0, table.self_training is not None)
    return [target_normed(row)] * norms + [self_trained(row)] * training


def begun_from(row: str) -> str:
    """The row whose models a self-trained or target-normed one begins with; any other row itself."""
    return row.removesuffix(_SELF_TRAINED).removesuffix(_TARGET_NORMS)


def training_of(row: str) -> str:
    """The stage that trains the task model of ``row``."""
    return f"{_TRAINING}{row}"


def trained_in(stage: str) -> str | None:
    """The row whose task model is trained in ``stage``; None of any other stage."""
    return stage.removeprefix(_TRAINING) if stage.startswith(_TRAINING) else None
