"""Is one model better than another? Both are scored on the same images, and resampled by the same groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Resampled, resample
from foldseg.scoring.scores import SCORES, class_ratios


@dataclass(frozen=True)
class Comparison:
    """How much better a is than b: positive differences speak for a."""

    difference: float
    """score of a - score of b, in -1..1; NaN where one of them is undefined"""
    interval: tuple[float, float]
    """95% interval of the difference; NaN with fewer than two groups"""
    probability: float
    """that a is better: 0.5 if they are equal, above 0.975 where the interval lies above 0; NaN where there is none"""


def paired(
    name: ScoreName,
    counts_a: Counts,
    counts_b: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two models by a score of `foldseg.scoring.scores.SCORES`; the difference is a - b.

    `counts_a`, `counts_b`: (images, classes, 3) int64 as in `foldseg.scoring.counts`, of the same images in the same
    order, classes those of `labels`; `groups`: (images,) of any type, the group of each image. What is common to both
    models, such as how hard the streets of a group are, falls out of the difference, so its interval is far narrower
    than those of the scores. ValueError when shapes differ.
    """
    _check(counts_a, counts_b, labels, groups)
    a, b = (SCORES[name].ratios(counts, labels) for counts in (counts_a, counts_b))
    return _comparison(resample(a, groups, samples, seed, minus=b))


def paired_classes(
    name: ScoreName,
    counts_a: Counts,
    counts_b: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare two models class by class (`Score.per_class`), as `paired` does; class name -> comparison.

    A class is resampled by the groups that have it.
    """
    _check(counts_a, counts_b, labels, groups)
    a, b = (class_ratios(name, counts) for counts in (counts_a, counts_b))
    return {
        class_name: _comparison(resample(a.term(index), groups, samples, seed, minus=b.term(index)))
        for index, class_name in enumerate(labels.names)
    }


def _check(counts_a: Counts, counts_b: Counts, labels: LabelSet, groups: NDArray[np.generic]) -> None:
    expected = (len(groups), len(labels), 3)
    for counts in (counts_a, counts_b):
        if counts.shape != expected:
            raise ValueError(f"counts are {counts.shape}, expected (images, classes, 3) = {expected}")


def _comparison(difference: Resampled) -> Comparison:
    return Comparison(difference.value, difference.interval(), difference.probability())
