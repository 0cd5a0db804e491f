"""Compares two models: both are scored on the same images, and resampled by the same groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Resampled, resample
from foldseg.scoring.scores import class_ratios, define_score


@dataclass(frozen=True)
class Comparison:
    """How much better model a is than model b. A positive difference means that a is better."""

    difference: float
    """Score of a - score of b, in -1..1. NaN where one of them is undefined."""
    interval: tuple[float, float]
    """95% interval of the difference. NaN with fewer than two groups."""
    probability: float
    """The probability that a is better: 0.5 if they are equal, above 0.975 if the interval lies above 0. NaN without
    an interval."""


def compare_models(
    name: ScoreName,
    counts_a: Counts,
    counts_b: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two models by a score of `foldseg.scoring.scores.SCORES`, or one of one's own. The difference is a - b.

    `counts_a`, `counts_b`: (images, classes, 3) int64 as in `foldseg.scoring.counts`, of the same images in the same
    order and the classes of `labels`. `groups`: (images,) of any type, the group of each image. The comparison is
    paired: what both models have in common, such as how hard the streets of a group are, falls out of the difference.
    So its interval is far narrower than those of the scores. ValueError when shapes differ.
    """
    _check_shapes(counts_a, counts_b, labels, groups)
    definition = define_score(name)
    ratios_a, ratios_b = definition.ratios(counts_a, labels), definition.ratios(counts_b, labels)
    return _comparison_of(resample(ratios_a, groups, samples, seed, minus=ratios_b))


def compare_classes(
    name: ScoreName,
    counts_a: Counts,
    counts_b: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare two models class by class (`Score.per_class`), as `compare_models` does: class name -> comparison.

    A class is resampled by the groups that have it.
    """
    _check_shapes(counts_a, counts_b, labels, groups)
    ratios_a, ratios_b = class_ratios(name, counts_a), class_ratios(name, counts_b)
    comparisons = {}
    for index, class_name in enumerate(labels.names):
        difference = resample(ratios_a.term(index), groups, samples, seed, minus=ratios_b.term(index))
        comparisons[class_name] = _comparison_of(difference)
    return comparisons


def _check_shapes(counts_a: Counts, counts_b: Counts, labels: LabelSet, groups: NDArray[np.generic]) -> None:
    expected = (len(groups), len(labels), 3)
    for counts in (counts_a, counts_b):
        if counts.shape != expected:
            raise ValueError(f"counts are {counts.shape}, expected (images, classes, 3) = {expected}")


def _comparison_of(difference: Resampled) -> Comparison:
    return Comparison(difference.value, difference.interval(), difference.probability())
