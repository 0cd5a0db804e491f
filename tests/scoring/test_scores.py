"""Scores against hand-computed tables."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldseg.config.schema import ScoreName
from foldseg.data import camvid, signate
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.class_values import iou, present_iou
from foldseg.scoring.counts import count_pixels
from foldseg.scoring.scores import (
    SCORES,
    Score,
    bootstrap,
    bootstrap_classes,
    class_ratios,
    score,
)

AB = LabelSet((LabelClass("a", (0, 0, 0), (0,)), LabelClass("b", (1, 1, 1), (1,))), void_ids=(255,))
ABC = LabelSet((LabelClass("rest", (0, 0, 0), (0,), scored=False), *[LabelClass(n, (i, 1, 1), (i,)) for i, n in
                enumerate("bc", 1)]))  # fmt: skip
NAMES: list[ScoreName] = list(SCORES)


def counts(*images: tuple[list[int], list[int]], classes: int = 2) -> np.ndarray:
    """(truth, prediction) of each image, one row of pixels -> (images, classes, 3)."""
    return np.stack([count_pixels(np.array([t], np.uint8), np.array([p], np.uint8), classes) for t, p in images])


def values(labels: LabelSet, table: np.ndarray, names: Iterable[ScoreName]) -> dict[str, float]:
    return {name: score(name, table, labels).value for name in names}


NAN = math.nan


@pytest.mark.parametrize(
    ("truth", "prediction", "dataset", "dice", "image", "accuracy", "per_class"),
    [
        # b is absent in both: left out
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0, 1.0, 1.0, 1.0, [1.0, NAN]),
        # b is absent in the truth: IoU of b is 0 / 2; the contest's score leaves it out
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.25, 1 / 3, 0.5, 0.5, [0.5, 0.0]),
        # b is absent in the prediction: 0 in both
        ([0, 0, 1, 1], [0, 0, 0, 0], 0.25, 1 / 3, 0.25, 0.5, [0.5, 0.0]),
        # I / U is 1/3 and 1/3; I / (P + T) would be 1/4
        ([0, 0, 1, 1], [0, 1, 0, 1], 1 / 3, 1 / 2, 1 / 3, 0.5, [1 / 3, 1 / 3]),
        # void counts nowhere: the last two pixels do not exist
        ([0, 1, 255, 255], [0, 1, 0, 1], 1.0, 1.0, 1.0, 1.0, [1.0, 1.0]),
        # all void: undefined
        ([255, 255], [0, 1], NAN, NAN, NAN, NAN, [NAN, NAN]),
        # nothing right
        ([0, 0, 1], [1, 1, 0], 0.0, 0.0, 0.0, 0.0, [0.0, 0.0]),
    ],
)
def test_one_image_of_two_classes(
    truth: list[int],
    prediction: list[int],
    dataset: float,
    dice: float,
    image: float,
    accuracy: float,
    per_class: list[float],
) -> None:
    """Defects 5 and 6: an absent class that is 0 here and skipped there; I / (P + T) instead of I / U."""
    table = counts((truth, prediction))
    expected = {
        "dataset_miou": dataset,
        "dataset_miou_scored": dataset,
        "dataset_mean_dice": dice,
        "image_mean_iou_present": image,
        "pixel_accuracy": accuracy,
    }
    assert values(AB, table, expected) == pytest.approx(expected, nan_ok=True)
    assert list(score("dataset_miou", table, AB).per_class.values()) == pytest.approx(per_class, nan_ok=True)


def test_two_images_by_hand() -> None:
    """Classes rest (not scored), b, c.

    Image 1: truth r b b c, prediction r b c c: IoU r 1, b 1/2, c 1/2; mean of b and c: 0.5.
    Image 2: truth r r r b, prediction r r b b: IoU r 2/3, b 1/2; c is not in the truth: 0.5. With c predicted
    nowhere. Image 3 has no scored class in its truth and is left out, although b is predicted in it.
    Whole set: r 6/8, b 2/5 (shared 2, true 3, predicted 4), c 1/2; Dice r 12/14, b 4/7, c 2/3.
    """
    table = counts(([0, 1, 1, 2], [0, 1, 2, 2]), ([0, 0, 0, 1], [0, 0, 1, 1]), ([0, 0, 0, 0], [0, 0, 0, 1]), classes=3)
    rest, b, c = (1 + 2 + 3) / (1 + 3 + 4), 2 / (3 + 4 - 2), 1 / 2
    expected = {
        "dataset_miou": (rest + b + c) / 3,
        "dataset_miou_scored": (b + c) / 2,
        "dataset_mean_dice": (12 / 14 + 4 / 7 + 2 / 3) / 3,
        "image_mean_iou_present": (0.5 + 0.5) / 2,
        "pixel_accuracy": (3 + 3 + 3) / 12,
    }
    assert values(ABC, table, expected) == pytest.approx(expected)


def test_the_contests_score_means_over_images_not_over_pixels() -> None:
    """Image 1 has IoU 1 for a; image 2 has 0 for a and 0 for b: (1 + 0) / 2, however large image 1 is."""
    table = counts(([0] * 1000, [0] * 1000), ([0, 1], [1, 0]))
    assert score("image_mean_iou_present", table, AB).value == pytest.approx(0.5)
    # per class: a is in the truth of both images, b in that of one
    assert score("image_mean_iou_present", table, AB).per_class == pytest.approx({"a": 0.5, "b": 0.0})


@pytest.mark.parametrize("name", NAMES)
def test_predicting_everything_as_foreground_lowers_the_score(name: ScoreName) -> None:
    """Defect 1: without row and column 0 of the confusion, false positives on the background cost nothing."""
    truth = [0] * 6 + [1] * 3
    right, greedy = counts((truth, truth)), counts((truth, [1] * 9))
    assert score(name, right, AB).value == 1
    assert score(name, greedy, AB).value < 0.5
    by_itself = {"IoU": 1 / 3, "mean IoU of images": 1 / 3, "Dice coefficient": 1 / 2, "F2": 15 / 21}
    expected = by_itself.get(SCORES[name].class_value.name)
    if expected is not None:
        assert score(name, greedy, AB).per_class["b"] == pytest.approx(expected)


@pytest.mark.parametrize("labels", [camvid.LABELS, signate.LABELS, signate.LABELS.select("scored")], ids=len)
@pytest.mark.parametrize("name", NAMES)
def test_the_classes_of_a_score_are_those_of_the_label_set(labels: LabelSet, name: ScoreName) -> None:
    """Defect 2: a class that silently drops out of the score that chooses the model."""
    truth = np.arange(len(labels), dtype=np.uint8)[None]
    table = count_pixels(truth, truth, len(labels))[None]
    assert score(name, table, labels).per_class == dict.fromkeys(labels.names, 1.0)
    assert score(name, table, labels).name == name


@pytest.mark.parametrize("index", range(20))
def test_every_scored_class_that_is_missed_costs_a_quarter(index: int) -> None:
    """Defect 2: car is index 0 of the 20 labels and was never scored."""
    labels = signate.LABELS
    truth = np.arange(20, dtype=np.uint8)[None]
    wrong = truth.copy()
    wrong[0, index] = 19 if index != 19 else 18
    table = count_pixels(truth, wrong, 20)[None]
    expected = 0.75 if labels.scored[index] else 1.0
    assert score("image_mean_iou_present", table, labels).value == pytest.approx(expected)
    assert score("dataset_miou_scored", table, labels).value == pytest.approx(expected)


def test_iou_is_nan_only_where_there_is_nothing() -> None:
    table = np.array([[2, 3, 4], [0, 3, 0], [0, 0, 4], [0, 0, 0]])
    assert iou(table).tolist() == pytest.approx([2 / 5, 0, 0, NAN], nan_ok=True)
    assert present_iou(table).tolist() == pytest.approx([2 / 5, 0, NAN, NAN], nan_ok=True)


def random_table(images: int, seed: int = 0) -> np.ndarray:
    """Counts of random rows of 9 pixels, three classes; the first image's truth holds no scored class.

    Six of ten pixels are right, and others by chance.
    """
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, 3, (images - 1, 9))
    predictions = np.where(rng.random(truths.shape) < 0.6, truths, rng.integers(0, 3, truths.shape))
    rows = zip(truths.tolist(), predictions.tolist(), strict=True)
    return counts(([0] * 9, [0] * 4 + [1] * 5), *rows, classes=3)


@pytest.mark.parametrize("name", NAMES)
@given(weights=st.lists(st.integers(0, 3), min_size=5, max_size=5), seed=st.integers(0, 5))
def test_a_weight_is_a_repetition_of_the_image(name: ScoreName, weights: list[int], seed: int) -> None:
    """The bootstrap's weighted scores equal brute force on the repeated images."""
    table = random_table(5, seed)
    trials = np.array([weights], np.float64)
    repeated = np.repeat(table, weights, axis=0)
    expected = score(name, repeated, ABC) if len(repeated) else Score(name, NAN, dict.fromkeys(ABC.names, NAN))
    assert SCORES[name].ratios(table, ABC).values(trials)[0] == pytest.approx(expected.value, nan_ok=True)
    per_class = class_ratios(name, table).terms(trials)[0].tolist()
    assert per_class == pytest.approx(list(expected.per_class.values()), nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
def test_bootstrap_is_deterministic_and_its_seed_matters(name: ScoreName) -> None:
    table, groups = random_table(30), np.arange(30)
    first = bootstrap(name, table, ABC, groups, 300, seed=1)
    assert first.values.shape == first.errors.shape == (300,)
    assert np.array_equal(first.values, bootstrap(name, table, ABC, groups, 300, seed=1).values, equal_nan=True)
    assert not np.array_equal(first.values, bootstrap(name, table, ABC, groups, 300, seed=2).values, equal_nan=True)


def test_samples_are_evaluated_in_parts_which_changes_nothing() -> None:
    """256 at a time."""
    table, groups = random_table(12), np.arange(12) // 2
    long = bootstrap("dataset_miou", table, ABC, groups, 600).values
    assert len(np.unique(long)) > 100
    assert np.array_equal(long[:100], bootstrap("dataset_miou", table, ABC, groups, 100).values)


@pytest.mark.parametrize("name", NAMES)
def test_the_interval_contains_the_score(name: ScoreName) -> None:
    table = random_table(60)
    low, high = bootstrap(name, table, ABC, np.arange(60), 1000).interval()
    assert 0 < low < score(name, table, ABC).value < high < 1


@pytest.mark.parametrize("name", NAMES)
def test_every_class_has_an_interval_of_its_own(name: ScoreName) -> None:
    table, groups = random_table(60), np.arange(60)
    found = bootstrap_classes(name, table, ABC, groups, 500)
    assert {c: one.value for c, one in found.items()} == pytest.approx(score(name, table, ABC).per_class)
    for one in found.values():
        low, high = one.interval()
        assert 0 < low < one.value < high < 1


def test_bootstrap_draws_groups_not_images() -> None:
    """Two groups: both are drawn, or one of them twice. Three values and no more, whatever the images."""
    table = random_table(8)[1:]
    groups = np.array(["x", "y", "x", "y", "y", "x", "x"])
    possible = [
        score("dataset_miou", table[groups == "x"], ABC).value,
        score("dataset_miou", table[groups == "y"], ABC).value,
        score("dataset_miou", table, ABC).value,
    ]
    found = np.unique(bootstrap("dataset_miou", table, ABC, groups, 500).values)
    assert sorted(found) == pytest.approx(sorted(possible))


def test_neighbouring_frames_make_the_interval_wider_not_narrower() -> None:
    """Ten groups of ten equal frames know no more than ten frames: drawing images would say three times as much."""
    table = np.repeat(random_table(11)[1:], 10, axis=0)
    groups = np.repeat(np.arange(10), 10)
    by_group = bootstrap("dataset_miou", table, ABC, groups, 1000)
    alone = bootstrap("dataset_miou", table[::10], ABC, np.arange(10), 1000)
    as_images = bootstrap("dataset_miou", table, ABC, np.arange(100), 1000)
    assert by_group.interval() == pytest.approx(alone.interval())
    assert np.diff(by_group.interval()) > 2 * np.diff(as_images.interval())
