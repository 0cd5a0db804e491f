"""Chooses, for each scored class, the best of some candidates, e.g. of thresholds, by any score of counts.

Curves hold what a choice needs: the counts (images, scored classes, candidates, 3) that each class has with each
candidate. Nothing is segmented again.
"""

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.names import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.scoring.counts import Counts
from foldseg.scoring.intervals import Floats
from foldseg.scoring.scores import define_score

Choice = NDArray[np.intp]
"""(scored classes,): the number of a candidate for each."""

_ROUNDING = 1e-12  # scores that differ by less are equal but for rounding
_ROUNDS = 20
"""Most rounds over the classes, if these depend on each other. Each round only stops earlier, since scores rise."""


def score_candidates(name: ScoreName, counts: NDArray[np.integer], labels: LabelSet) -> Floats:
    """Return the score of each candidate, (candidates,), in 0..1. NaN where it is undefined.

    `counts`: (candidates, images, classes, 3), with the classes of `labels`.
    """
    ones, ratios = np.ones((1, counts.shape[1])), define_score(name).ratios
    return np.array([ratios(of_candidate, labels).values(ones)[0] for of_candidate in counts], np.float64)


def choose_candidates(name: ScoreName, curves: NDArray[np.integer], labels: LabelSet) -> Choice:
    """Return the candidates of the highest score, one for each scored class.

    `curves`: (images, scored classes, candidates, 3). Of candidates that are equally good, the middle one is taken.
    The choice is exact for a score with a term per class. For any other score, one class after the other is improved
    until none can be; that need not be the best of all choices.
    """
    classes, candidates = curves.shape[1:3]
    if define_score(name).has_term_per_class:
        return np.array([_find_middle_of_best(values) for values in score_terms(name, curves, labels)], np.intp)
    choice = np.full(classes, candidates // 2, np.intp)
    for _ in range(_ROUNDS):
        before = choice.copy()
        for index in range(classes):
            values = _vary_class(name, curves, labels, choice, index)
            if not values[choice[index]] >= np.nanmax(values, initial=-np.inf) - _ROUNDING:
                choice[index] = _find_middle_of_best(values)
        if np.array_equal(choice, before):
            break
    return choice


def score_terms(name: ScoreName, curves: NDArray[np.integer], labels: LabelSet) -> Floats:
    """Return what each scored class adds to a score with a term per class: (scored classes, candidates), in 0..1.

    A class that is nowhere has 1: it is left out of the mean, which is better than a 0.
    """
    candidates, ones = curves.shape[2], np.ones((1, len(curves)))
    choices = np.broadcast_to(np.arange(candidates)[:, None], (candidates, curves.shape[1]))
    ratios = define_score(name).ratios
    terms = [ratios(select_candidates(curves, choice, labels), labels).terms(ones)[0] for choice in choices]
    values = np.nan_to_num(np.stack(terms, 1), nan=1.0)
    return values[labels.scored] if define_score(name).classes == "all" else values


def _vary_class(name: ScoreName, curves: NDArray[np.integer], labels: LabelSet, choice: Choice, index: int) -> Floats:
    """Return the score for each candidate of one scored class, (candidates,), while the others keep theirs."""
    values = []
    for candidate in range(curves.shape[2]):
        varied = choice.copy()
        varied[index] = candidate
        values.append(score_candidates(name, select_candidates(curves, varied, labels)[None], labels)[0])
    return np.array(values)


def select_candidates(curves: NDArray[np.integer], choice: NDArray[np.integer], labels: LabelSet) -> Counts:
    """Return the counts (images, classes, 3) of a choice, (scored classes,) or (images, scored classes).

    They are 0 for classes that are not scored.
    """
    number = curves.shape[:2]
    chosen = np.broadcast_to(choice, number).astype(np.intp)
    counts = np.zeros((number[0], len(labels), 3), np.int64)
    counts[:, labels.scored] = np.take_along_axis(curves, chosen[:, :, None, None], 2)[:, :, 0]
    return counts


def _find_middle_of_best(values: Floats) -> int:
    """Return the middle one of the candidates that are equally good and the best. NaN is worse than all."""
    defined = np.where(np.isnan(values), -np.inf, values)
    best = np.flatnonzero(defined >= defined.max() - _ROUNDING)
    return int(best[len(best) // 2])
