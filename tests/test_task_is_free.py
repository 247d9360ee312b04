"""What a task learns is its own business: the core names classes only where the reason stands here."""

import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / "daframework"
WORDS = re.compile(r"\bmIoU\b|\bmious?\b|softmax|argmax|\b255\b|IGNORE_INDEX|confusion_matrix|cross_entropy")
REASONS = {
    "the defaults that a task hands over, and files that name no metrics": {
        "dataset_interface.py",
        "interfaces.py",
        "label_types.py",
        "scores.py",
        "semantics.py",
        "task_interface.py",
    },
    "what tasks and discriminators of classes are measured by": {"metrics.py"},
    "how well the semantic heads of discriminators see classes": {"adapt/samples.py", "runs/translation.py"},
    "what is refused for a task without classes": {
        "data/matching.py",
        "data/sampling.py",
        "downstream/self_training.py",
    },
    "labels of classes in files, their ids, colours and shares": {
        "cli/data/convert.py",
        "cli/data/preview.py",
        "cli/init.py",
        "data/checked.py",
        "data/conversion/labels.py",
        "data/decode.py",
        "data/frequencies.py",
        "data/label_files.py",
        "data/own_folders.py",
        "data/spaces.py",
    },
    "where an image is padded, its label of classes is ignored": {"adapt/labelled.py"},
    "contracts of losses, which are given semantic labels": {"testing/components.py"},
    "values of 8 bits, or a name's length": {
        "adapt/samples.py",
        "api.py",
        "data/checked.py",
        "data/checks/audit.py",
        "data/decode.py",
        "data/scaling.py",
        "data/stream.py",
        "report/sheets.py",
        "runs/prediction.py",
        "storage/files.py",
    },
    "the documented keys of a segmentation's results": {"storage/results.py"},
}
ALLOWED = set[str]().union(*REASONS.values())
NAMING = {str(file.relative_to(CORE)) for file in CORE.rglob("*.py") if WORDS.search(file.read_text(encoding="utf-8"))}


def test_no_file_of_the_core_names_classes_without_a_reason():
    assert sorted(NAMING - ALLOWED) == []


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_still_needed(reason):
    assert sorted(REASONS[reason] - NAMING) == []
