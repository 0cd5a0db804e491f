"""Scores of run-length contests: golden values, and slow references written as the contests' pages say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.counts import Counts, count_pixels
from foldseg.scoring.scores import score

SALT = LabelSet((LabelClass("rest", (0, 0, 0), (0,), scored=False), LabelClass("salt", (1, 1, 1), (255,))))
DEFECTS = LabelSet(tuple(LabelClass(f"c{i}", (i, 0, 0), (i,), scored=i > 0) for i in range(4)))
REFERENCES = {}


def counts_of(shared: int, truth: int, predicted: int, pixels: int = 10201) -> list[list[int]]:
    """Counts (2, 3) of an image of salt: background and salt."""
    union = truth + predicted - shared
    return [[pixels - union, pixels - truth, pixels - predicted], [shared, truth, predicted]]


def value(name: ScoreName, *images: tuple[int, int, int]) -> float:
    return score(name, np.array([counts_of(*image) for image in images]), SALT).value


@pytest.mark.parametrize(
    ("image", "dice", "iou", "precision"),
    [
        ((0, 0, 0), 1, 1, 1),  # both empty
        ((0, 0, 1), 0, 0, 0),  # a pixel too many in an empty image
        ((0, 7, 0), 0, 0, 0),  # missed
        ((0, 7, 7), 0, 0, 0),  # elsewhere
        ((7, 7, 7), 1, 1, 1),
        ((5, 10, 5), 2 / 3, 0.5, 0.0),  # an IoU of 0.5 does not pass the threshold 0.5
        ((51, 100, 51), 102 / 151, 0.51, 0.1),
        ((11, 20, 11), 22 / 31, 0.55, 0.1),  # 0.55 passes 0.50 alone
        ((6, 10, 6), 12 / 16, 0.6, 0.2),
        ((7, 10, 7), 14 / 17, 0.7, 0.4),
        ((95, 100, 95), 190 / 195, 0.95, 0.9),
        ((96, 100, 96), 192 / 196, 0.96, 1.0),
    ],
)
def test_an_image_of_one_class(image: tuple[int, int, int], dice: float, iou: float, precision: float) -> None:
    assert value("image_mean_dice", image) == pytest.approx(dice)
    assert value("image_mean_iou", image) == pytest.approx(iou)
    assert value("image_mean_precision", image) == pytest.approx(precision)


def test_images_count_alike_or_pixels_do() -> None:
    """A small object is missed, a large one is found but for half of it, and an image is empty."""
    images = ((0, 2, 0), (50, 100, 50), (0, 0, 0))
    assert value("image_mean_dice", *images) == pytest.approx((0 + 2 / 3 + 1) / 3)
    assert value("dataset_mean_dice_scored", *images) == pytest.approx(100 / 152)
    assert value("dataset_miou_scored", *images) == pytest.approx(50 / 102)


def test_f_measures_by_precision_and_recall() -> None:
    """Precision 30 / 40, recall 30 / 120."""
    precision, recall = 0.75, 0.25
    for name, beta in (
        ("dataset_mean_f05_scored", 0.5),
        ("dataset_mean_dice_scored", 1),
        ("dataset_mean_f2_scored", 2),
    ):
        expected = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
        assert value(name, (30, 120, 40)) == pytest.approx(expected)
    assert np.isnan(value("dataset_mean_f2_scored", (0, 0, 0)))


def reference(function):  # type: ignore[no-untyped-def]
    """Keep a slow score: a function of truths and predictions (images, H, W), of class indices."""
    REFERENCES[function.__name__] = function
    return function


def rows(truths: np.ndarray, predictions: np.ndarray):  # type: ignore[no-untyped-def]
    """Yield the masks of each image and scored class, as the rows of a submission."""
    for truth, prediction in zip(truths, predictions, strict=True):
        for index in (1, 2, 3):
            yield (truth == index), (prediction == index) & (truth != 255)


@reference
def image_mean_dice(truths: np.ndarray, predictions: np.ndarray) -> float:
    values = []
    for truth, prediction in rows(truths, predictions):
        total = truth.sum() + prediction.sum()
        values.append(1.0 if total == 0 else 2 * (truth & prediction).sum() / total)
    return float(np.mean(values))


@reference
def image_mean_iou(truths: np.ndarray, predictions: np.ndarray) -> float:
    values = []
    for truth, prediction in rows(truths, predictions):
        union = (truth | prediction).sum()
        values.append(1.0 if union == 0 else (truth & prediction).sum() / union)
    return float(np.mean(values))


@reference
def image_mean_precision(truths: np.ndarray, predictions: np.ndarray) -> float:
    """TP / (TP + FP + FN) of one object in the truth and one in the prediction, at each threshold."""
    values = []
    for truth, prediction in rows(truths, predictions):
        if not truth.any() and not prediction.any():
            values.append(1.0)
            continue
        union = (truth | prediction).sum()
        for threshold in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
            hits = int((truth & prediction).sum() / union > threshold)
            wrong, missed = int(prediction.any()) - hits, int(truth.any()) - hits
            values.append(0.1 * hits / (hits + wrong + missed))
        values[-10:] = [sum(values[-10:])]
    return float(np.mean(values))


def f_measure(truths: np.ndarray, predictions: np.ndarray, beta: float) -> float:
    values = []
    for index in (1, 2, 3):
        hits = ((truths == index) & (predictions == index)).sum()
        extra = ((truths != index) & (truths != 255) & (predictions == index)).sum()
        missed = ((truths == index) & (predictions != index)).sum()
        if hits + extra + missed:
            values.append((1 + beta**2) * hits / ((1 + beta**2) * hits + beta**2 * missed + extra))
    return float(np.mean(values)) if values else float("nan")


@reference
def dataset_mean_f05_scored(truths: np.ndarray, predictions: np.ndarray) -> float:
    return f_measure(truths, predictions, 0.5)


@reference
def dataset_mean_f2_scored(truths: np.ndarray, predictions: np.ndarray) -> float:
    return f_measure(truths, predictions, 2)


@reference
def dataset_mean_dice_scored(truths: np.ndarray, predictions: np.ndarray) -> float:
    return f_measure(truths, predictions, 1)


@pytest.mark.parametrize("name", REFERENCES)
@given(seed=st.integers(0, 2**32), present=st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, unique=True))
def test_scores_are_those_of_the_slow_references(name: ScoreName, seed: int, present: list[int]) -> None:
    """Truths hold some classes only, so whole classes are absent; predictions are mostly right."""
    rng = np.random.default_rng(seed)
    truths = rng.choice(present, (4, 3, 5)).astype(np.uint8)
    predictions = np.where(rng.random(truths.shape) < 0.8, truths, rng.integers(0, 4, truths.shape)).astype(np.uint8)
    truths[rng.random(truths.shape) < 0.1] = 255
    expected = REFERENCES[name](truths, predictions)
    assert score(name, count(truths, predictions), DEFECTS).value == pytest.approx(expected, nan_ok=True)


def count(truths: np.ndarray, predictions: np.ndarray) -> Counts:
    return np.stack([count_pixels(t, p, len(DEFECTS)) for t, p in zip(truths, predictions, strict=True)])
