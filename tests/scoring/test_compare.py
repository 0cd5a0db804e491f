"""Two models on the same images; test_coverage.py says whether the intervals are honest."""

import math

import numpy as np
import pytest

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.compare import Comparison, compare_classes, compare_models
from foldseg.scoring.scores import SCORES, bootstrap, score

LABELS = LabelSet(
    tuple(LabelClass(n, (i, 0, 0), (i,), scored=n != "road") for i, n in enumerate(("road", "car", "bus")))
)
NAMES: list[ScoreName] = list(SCORES)


def counts(images: int, seed: int, skill: float, truth_seed: int = 0) -> np.ndarray:
    """(images, 3, 3): about `skill` of each class is found, a little invented; no bus in the last image."""
    truth = np.random.default_rng(truth_seed).integers(100, 1000, (images, 3))
    truth[-1, 2] = 0
    found = np.random.default_rng(seed).uniform(skill - 0.1, skill + 0.1, (images, 3))
    shared = np.round(truth * found).astype(np.int64)
    return np.stack([shared, truth, truth + (truth > 0) * 5], -1)


A, B, GROUPS = counts(24, seed=1, skill=0.8), counts(24, seed=2, skill=0.6), np.repeat([*"abcdefgh"], 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_difference_is_the_first_score_minus_the_second(name: ScoreName) -> None:
    found, back = compare_models(name, A, B, LABELS, GROUPS), compare_models(name, B, A, LABELS, GROUPS)
    expected = score(name, A, LABELS).value - score(name, B, LABELS).value
    assert found.difference == pytest.approx(expected)
    assert found.interval[0] < expected < found.interval[1]
    assert found.interval[0] > 0 and found.probability > 0.99
    assert (-back.difference, -back.interval[1], -back.interval[0], 1 - back.probability) == pytest.approx(
        (found.difference, *found.interval, found.probability)
    )


@pytest.mark.parametrize("name", NAMES)
def test_equals_are_equal(name: ScoreName) -> None:
    assert compare_models(name, A, A, LABELS, GROUPS) == Comparison(0.0, (0.0, 0.0), 0.5)
    assert set(compare_classes(name, A, A, LABELS, GROUPS).values()) == {Comparison(0.0, (0.0, 0.0), 0.5)}


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_compared_each_by_itself(name: ScoreName) -> None:
    worse_cars = A.copy()
    worse_cars[:, 1, 0] = B[:, 1, 0]
    found = compare_classes(name, A, worse_cars, LABELS, GROUPS)
    assert list(found) == ["road", "car", "bus"]
    assert found["road"] == found["bus"] == Comparison(0.0, (0.0, 0.0), 0.5)
    both = score(name, A, LABELS).per_class["car"], score(name, worse_cars, LABELS).per_class["car"]
    assert found["car"].difference == pytest.approx(both[0] - both[1])
    assert found["car"].interval[0] > 0


def test_both_are_drawn_alike() -> None:
    """A model that is better by the same on every image is better without doubt, however much the images differ."""
    hard = np.linspace(0.3, 0.7, 24)[:, None] * np.ones((24, 3))
    truth = np.full((24, 3), 1000)
    models = [np.stack([np.round(truth * (hard + gain)), truth, truth], -1).astype(np.int64) for gain in (0.01, 0.0)]
    low, high = compare_models("pixel_accuracy", *models, LABELS, GROUPS).interval
    assert (low, high) == pytest.approx((0.01, 0.01), abs=1e-4)
    alone = bootstrap("pixel_accuracy", models[0], LABELS, GROUPS).interval()
    assert alone[1] - alone[0] > 0.1


def test_what_is_undefined_stays_so() -> None:
    nothing = A.copy()
    nothing[:, 2] = 0  # no bus in truth and prediction
    bus = compare_classes("dataset_miou", nothing, A, LABELS, GROUPS)["bus"]
    assert np.isnan([bus.difference, *bus.interval, bus.probability]).all()
    one_group = compare_models("dataset_miou", A, B, LABELS, np.zeros(24))
    assert one_group.difference > 0 and math.isnan(one_group.probability)


@pytest.mark.parametrize("wrong", [A[:-1], A[:, :2], A[0]])
def test_counts_of_other_images_or_classes_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected \(images, classes, 3\) = \(24, 3, 3\)"):
        compare_models("dataset_miou", A, wrong, LABELS, GROUPS)
    with pytest.raises(ValueError, match="expected"):
        compare_classes("dataset_miou", wrong, A, LABELS, GROUPS)
