"""Intervals keep what they promise: simulated data whose true score is known, five hundred times.

Every trial is a data set of its own: groups (drives) of two to six images. Streets of a group are alike: how large its
classes are, whether they occur and how well they are found is mostly the group's. The truth is the score of a
population of 40,000 groups.
"""

from functools import cache
from types import MappingProxyType

import numpy as np
import pytest

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelClass, LabelSet
from foldseg.scoring.compare import Comparison, compare_models
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Resampled
from foldseg.scoring.scores import bootstrap, score

TRIALS, SAMPLES, IMAGES, POPULATION = 500, 250, 6, 40_000
PIXELS = np.array([20_000, 8_000, 2_000, 400])  # of road, building, car, signal in a typical image
SKILL = np.array([3.0, 2.0, 1.0, 0.0])  # logit of the share of a class's pixels that is found
PRESENCE = np.array([1.0, 1.0, 0.9, 0.6])  # share of the groups, roughly, whose images mostly have the class
LABELS = LabelSet(tuple(LabelClass(n, (i, 0, 0), (i,)) for i, n in enumerate(("road", "building", "car", "signal"))))
SCORES: tuple[ScoreName, ...] = ("dataset_miou", "image_mean_iou_present")


def simulate(shape: tuple[int, ...], seed: int, gain: float = 0.1) -> tuple[Counts, Counts, np.ndarray]:
    """Counts (*shape, IMAGES, classes, 3) of two models on the images of groups, and which images there are.

    The second model finds what the first does, give or take a little by group and image, and `gain` (a logit) more.
    """
    rng, classes = np.random.default_rng(seed), len(LABELS)

    def effects(of_group: float, of_image: float) -> np.ndarray:
        group = rng.normal(0, of_group, (*shape, 1, classes))
        return group + rng.normal(0, of_image, (*shape, IMAGES, classes))

    truth = PIXELS * np.exp(effects(0.6, 0.3)) * (rng.random((*shape, IMAGES, classes)) < 0.9)
    truth = np.round(truth * (rng.random((*shape, 1, classes)) < PRESENCE))
    skill = SKILL + effects(0.5, 0.3) + rng.normal(0, 0.4, (*shape, 1, 1))  # the last: of all classes of a group
    models = []
    for own_skill in (skill, skill + gain + effects(0.2, 0.2)):
        shared = np.round(truth / (1 + np.exp(-own_skill)))
        invented = np.round((truth - shared + 50) * np.exp(rng.normal(0, 0.3, truth.shape)))
        models.append(np.stack([shared, truth, shared + invented], -1).astype(np.int64))
    return models[0], models[1], np.arange(IMAGES) < rng.integers(2, IMAGES + 1, shape)[..., None]


@cache
def truths() -> MappingProxyType[ScoreName, tuple[float, float]]:
    """Score -> its value of each model in the population."""
    first, second, there = simulate((POPULATION,), seed=1)
    pair = first[there], second[there]
    return MappingProxyType({n: (score(n, pair[0], LABELS).value, score(n, pair[1], LABELS).value) for n in SCORES})


@cache
def trials(groups: int) -> list[tuple[Counts, Counts, np.ndarray]]:
    """Data sets of so many groups: counts of both models (images, classes, 3), and the group of each image."""
    first, second, there = simulate((TRIALS, groups), seed=groups)
    of_image = np.repeat(np.arange(groups), IMAGES).reshape(groups, IMAGES)
    return [(a[own], b[own], of_image[own]) for a, b, own in zip(first, second, there, strict=True)]


@cache
def resampled(name: ScoreName, groups: int) -> list[Resampled]:
    return [bootstrap(name, counts, LABELS, of_image, SAMPLES) for counts, _, of_image in trials(groups)]


def coverage(intervals: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize("groups", [8, 20])
@pytest.mark.parametrize("name", SCORES)
def test_the_interval_covers_the_truth_as_often_as_it_says(name: ScoreName, groups: int) -> None:
    intervals = [one.interval() for one in resampled(name, groups)]
    assert 0.92 <= coverage(intervals, truths()[name][0]) <= 0.98
    widths = np.diff(intervals)[:, 0]
    assert np.median(widths) < 0.25  # it is no use if it covers everything


@pytest.mark.parametrize("name", SCORES)
def test_drawing_images_would_promise_too_much(name: ScoreName) -> None:
    """What the tests above guard against: neighbours are nearly the same picture."""
    by_image = [bootstrap(name, counts, LABELS, np.arange(len(counts)), SAMPLES) for counts, _, _ in trials(20)[:200]]
    assert coverage([one.interval() for one in by_image], truths()[name][0]) < 0.88


@pytest.mark.parametrize("name", SCORES)
def test_percentiles_of_few_groups_would_promise_too_much(name: ScoreName) -> None:
    percentiles = [tuple(np.nanquantile(one.values, [0.025, 0.975])) for one in resampled(name, 8)]
    assert coverage(percentiles, truths()[name][0]) < 0.92


@cache
def comparisons(name: ScoreName, groups: int) -> list[Comparison]:
    return [compare_models(name, b, a, LABELS, of_image, SAMPLES) for a, b, of_image in trials(groups)]


@pytest.mark.parametrize("groups", [8, 20])
@pytest.mark.parametrize("name", SCORES)
def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says(name: ScoreName, groups: int) -> None:
    first, second = truths()[name]
    found = comparisons(name, groups)
    assert 0.005 < second - first < 0.05
    assert 0.92 <= coverage([one.interval for one in found], second - first) <= 0.98
    # What is common to both falls out: the difference is known far better than the scores
    width = np.median([np.diff(one.interval) for one in found])
    assert width < 0.5 * np.median([np.diff(one.interval()) for one in resampled(name, groups)])


@pytest.mark.parametrize("name", SCORES)
def test_the_probability_is_right_about_equals(name: ScoreName) -> None:
    """Models that take turns by group are equals: no more than 5% are told apart at 95%, and half go either way."""
    rng = np.random.default_rng(0)
    probabilities = []
    for first, second, of_image in trials(8):
        swapped = (rng.random(8) < 0.5)[of_image, None, None]
        pair = np.where(swapped, second, first), np.where(swapped, first, second)
        probabilities.append(compare_models(name, *pair, LABELS, of_image, SAMPLES).probability)
    sure = np.abs(np.array(probabilities) - 0.5) > 0.475
    assert 0.005 <= sure.mean() <= 0.08
    assert 0.43 <= np.mean(np.array(probabilities) > 0.5) <= 0.57
