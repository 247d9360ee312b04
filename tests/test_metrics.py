from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling import args as OFFICIAL
from cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling import evaluateImgLists
from cityscapesscripts.helpers.labels import labels as LABELS
from PIL import Image
from segmentation_models_pytorch.losses import DiceLoss

from daf_driving.space_files import labels_of
from daframework.data.decode import read_label
from daframework.data.label_files import map_ids
from daframework.errors import DataError
from daframework.metrics import class_iou, confusion_matrix, mean_iou, mean_iou_of, pixel_accuracy, soft_dice
from daframework.scores import Metric


def random_maps(num_classes, *, seed, shape=(3, 17, 23), ignored=0.1):
    """Labels, some of them 255, and predictions that are right about two times in three."""
    random = np.random.default_rng(seed)
    label = random.integers(0, num_classes, shape)
    prediction = np.where(random.random(shape) < 0.6, label, random.integers(0, num_classes, shape))
    label[random.random(shape) < ignored] = 255
    return prediction, label


def confuse(prediction, label, num_classes):
    return confusion_matrix(torch.as_tensor(prediction), torch.as_tensor(label), num_classes)


@pytest.mark.parametrize("num_classes", [2, 5, 19])
def test_scores_are_those_of_the_literal_formulas(num_classes):
    prediction, label = random_maps(num_classes, seed=num_classes)
    confusion = confuse(prediction, label, num_classes)

    counted = label != 255
    expected = []
    for c in range(num_classes):
        intersection = np.sum((prediction == c) & (label == c) & counted)
        union = np.sum(((prediction == c) | (label == c)) & counted)
        expected.append(np.float64(intersection) / np.float64(union))
    assert class_iou(confusion) == pytest.approx(expected, abs=1e-15)
    assert mean_iou(confusion) == pytest.approx(np.mean(expected), abs=1e-15)
    assert pixel_accuracy(confusion) == pytest.approx(np.mean((prediction == label)[counted]), abs=1e-15)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_soft_dice_is_that_of_segmentation_models_pytorch(num_classes):
    torch.manual_seed(0)
    label = torch.as_tensor(random_maps(num_classes, seed=1)[1])
    label[label == 1] = 0  # a class that no pixel shows
    logits = torch.randn(3, num_classes, 17, 23, requires_grad=True)
    wanted = DiceLoss("multiclass", ignore_index=255)(logits, label)
    (gradient,) = torch.autograd.grad(wanted, logits)
    found = soft_dice(logits, label)
    assert torch.allclose(found, wanted) and torch.allclose(torch.autograd.grad(found, logits)[0], gradient, atol=1e-8)
    assert float(soft_dice(logits, torch.full_like(label, 255))) == 0


def test_rows_are_labels_and_columns_predictions():
    confusion = confuse([[[0, 1, 1]]], [[[0, 0, 2]]], 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert confusion.dtype == torch.int64


def test_hand_worked_example():
    # class 0: 1 of 2; class 1: 0 of 2, only predicted; class 2: 0 of 1; the ignored pixel counts nowhere
    confusion = confuse([[[0, 1, 1, 0]]], [[[0, 0, 2, 255]]], 3)
    assert class_iou(confusion) == (0.5, 0.0, 0.0)
    assert mean_iou(confusion) == pytest.approx(1 / 6)
    assert pixel_accuracy(confusion) == pytest.approx(1 / 3)


@pytest.mark.parametrize("labels_hold", ["ids", "train ids"])
def test_cityscapes_own_evaluation_agrees_on_the_same_files(tmp_path, labels_hold):
    evaluated = [label for label in LABELS if 0 <= label.trainId < 255]
    num_classes = len(evaluated)
    train_id_to_id = np.array([label.id for label in evaluated], dtype=np.uint8)
    every_id = np.array([label.id for label in LABELS if label.id >= 0], dtype=np.uint8)
    to_class = labels_of("cityscapes", "cityscapes19").table

    whole = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    files = {"prediction": [], "label": []}
    for index in range(50):
        prediction, label = random_maps(num_classes, seed=index, shape=(20, 30))
        # class 3 occurs nowhere, class 5 only in predictions
        prediction[prediction == 3], label[(label == 3) | (label == 5)] = 4, 4
        random = np.random.default_rng(index)
        others = random.choice([one for one in every_id if to_class[int(one)] == 255], label.shape)
        ids = np.where(label == 255, others, train_id_to_id[label % 255 % num_classes]).astype(np.uint8)
        for kind, array in (("prediction", train_id_to_id[prediction]), ("label", ids)):
            path = tmp_path / f"{kind}{index}.png"
            Image.fromarray(array).save(path)
            files[kind].append(str(path))
        read = map_ids(read_label(path), to_class, where="") if labels_hold == "ids" else label
        whole += confuse(prediction[None], torch.from_numpy(read)[None].long(), num_classes)

    pixels_only = {"quiet": True, "JSONOutput": False, "evalInstLevelScore": False, "evalPixelAccuracy": False}
    arguments = SimpleNamespace(**{**vars(OFFICIAL), **pixels_only})
    expected = evaluateImgLists(files["prediction"], files["label"], arguments)

    scores = [expected["classScores"][label.name] for label in evaluated]
    ours = class_iou(whole)
    assert ours[3] is None and np.isnan(scores[3])
    assert ours[5] == scores[5] == 0
    assert [iou for iou in ours if iou is not None] == pytest.approx([s for s in scores if not np.isnan(s)], abs=1e-6)
    assert mean_iou(whole) == pytest.approx(expected["averageScoreClasses"], abs=1e-6)


def test_batches_add_up_to_the_whole():
    prediction, label = random_maps(7, seed=0, shape=(6, 11, 13))
    whole = confuse(prediction, label, 7)
    parts = [confuse(prediction[i:j], label[i:j], 7) for i, j in ((0, 1), (1, 4), (4, 6))]
    assert torch.equal(sum(parts), whole)
    assert int(whole.sum()) == np.sum(label != 255)


def test_absent_class_does_not_raise_or_lower_the_mean():
    prediction, label = random_maps(4, seed=1)
    with_absent_classes = confuse(prediction, label, 9)
    assert class_iou(with_absent_classes)[4:] == (None,) * 5
    assert mean_iou(with_absent_classes) == mean_iou(confuse(prediction, label, 4))


def test_class_that_is_only_predicted_counts_as_zero():
    confusion = confuse([[[0, 0, 1, 2]]], [[[0, 0, 1, 1]]], 4)
    assert class_iou(confusion) == (1.0, 0.5, 0.0, None)
    assert mean_iou(confusion) == 0.5


def test_nothing_labelled_gives_none_and_no_nan():
    confusion = confuse([[[0, 1]]], [[[255, 255]]], 3)
    assert class_iou(confusion) == (None, None, None)
    assert mean_iou(confusion) is None
    assert pixel_accuracy(confusion) is None


def test_perfect_prediction_scores_one():
    label = np.array([[[0, 1, 2, 255]]])
    confusion = confuse(np.array([[[0, 1, 2, 1]]]), label, 5)
    assert mean_iou(confusion) == 1.0
    assert pixel_accuracy(confusion) == 1.0


@pytest.mark.parametrize("wrong", [3, 254, -1])
def test_label_out_of_range_is_an_error_that_names_it(wrong):
    with pytest.raises(DataError, match=rf"a label holds {wrong}, and only 0 to 2 and 255"):
        confuse([[[0, 1]]], [[[0, wrong]]], 3)


def test_prediction_out_of_range_is_an_error():
    with pytest.raises(ValueError, match="a prediction holds 3"):
        confuse([[[0, 3]]], [[[0, 0]]], 3)


def test_shapes_that_differ_are_an_error_and_do_not_broadcast():
    with pytest.raises(ValueError, match="must have one shape"):
        confuse(np.zeros((2, 4, 4)), np.zeros((1, 4, 4)), 3)


def test_narrow_label_types_do_not_overflow():
    label = torch.full((1, 4, 4), 18, dtype=torch.uint8)
    confusion = confusion_matrix(label.clone(), label, 19)
    assert int(confusion[18, 18]) == 16


def test_means_of_many_matrices_are_those_of_each():
    absent = confuse([[[0, 0, 1, 2]]], [[[0, 0, 1, 1]]], 5)
    several = [absent, confuse(*random_maps(5, seed=0), 5), confuse(*random_maps(3, seed=1), 5)]
    found = mean_iou_of(torch.stack(several).unflatten(0, (3, 1)))
    assert found.shape == (3, 1) and found.dtype == torch.float64
    assert found[:, 0].tolist() == pytest.approx([mean_iou(one) for one in several], abs=1e-15)
    assert mean_iou_of(torch.stack([torch.zeros_like(absent), absent])).isnan().tolist() == [True, False]


def test_scores_stay_exact_where_float32_would_not():
    confusion = torch.tensor([[2**25 + 1, 0], [1, 2**25]])
    assert class_iou(confusion) == ((2**25 + 1) / (2**25 + 2), 2**25 / (2**25 + 1))


def test_a_metric_says_which_way_is_better_and_has_a_name_that_is_free():
    with pytest.raises(TypeError, match="higher_is_better"):
        Metric("AbsRel")
    for name in ("method", "notes", " ", "a\nb"):
        with pytest.raises(ValueError, match="a metric cannot be called"):
            Metric(name, higher_is_better=True)
    error = Metric("AbsRel", "m", higher_is_better=False)
    assert error.better(0.1, 0.2) and sorted([None, 0.3, 0.1], key=error.rank) == [0.1, 0.3, None]
    assert (error.text(0.12345), error.text(-0.0001, signed=True)) == ("0.123", "+0.000")
    assert error.allows(80.0) and not any(map(error.allows, (float("nan"), float("inf"), "1", True)))
