"""Tries a function of counts on a small example: whether it is a score, and what it depends on.

The contract test of the entries of `scores.py: SCORES` uses the same functions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from foldseg.data.labels import LabelClass, LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.class_values import ClassValue
from foldseg.scoring.counts import PREDICTION, SHARED, Counts, count_pixels
from foldseg.scoring.intervals import Floats, Ratios
from foldseg.scoring.score_definition import ScoreDefinition

EXAMPLE_LABELS = LabelSet(tuple(LabelClass(f"class_{i}", (i, 0, 0), (i,), scored=i > 0) for i in range(4)))
"""Four classes, of which the first is not scored."""
_ROUNDING = 1e-9


def count_example(right: float, seed: int = 0) -> Counts:
    """Return counts (6, 4, 3) of images of 48 pixels, of which a share `right` is right and others by chance.

    Some pixels are void. The last image has only classes 0 and 1, and only these are predicted for it.
    """
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, 4, (6, 6, 8), dtype=np.uint8)
    predictions = np.where(rng.random(truths.shape) < right, truths, rng.integers(0, 4, truths.shape)).astype(np.uint8)
    truths[-1] //= 2
    predictions[-1] //= 2
    if right == 1:
        predictions[-1] = truths[-1]
    truths[rng.random(truths.shape) < 0.1] = 255
    return np.stack([count_pixels(t, p, len(EXAMPLE_LABELS)) for t, p in zip(truths, predictions, strict=True)])


def find_fault(function: Callable[[Counts, LabelSet], Any]) -> str | None:
    """Return what is wrong with a function as a score, None if nothing is.

    A score is a `Ratios` of sums over images, in 0..1, whose rows each depend on one image alone. It is as high for a
    perfect prediction as for any other.
    """
    for counts in (count_example(0.9), count_example(0.3, 1), count_example(1.0), count_example(0.0, 2)[:1]):
        before = counts.copy()
        try:
            ratios = function(counts, EXAMPLE_LABELS)
        except Exception as error:  # whatever the user's function raises
            return f"raises on an example: {type(error).__name__}: {error}"
        fault = _find_fault_of_result(ratios, len(counts))
        if fault is not None:
            return fault
        if not np.array_equal(before, counts):
            return "changes the counts that it is given"
        single = function(counts[:1], EXAMPLE_LABELS)
        if not np.allclose(single.numerators, ratios.numerators[:1]):
            return "gives an image other numerators if there are other images; they should depend on it alone"
        if not np.allclose(single.denominators, ratios.denominators[:1]):
            return "gives an image other denominators if there are other images; they should depend on it alone"
    values = [_value(function(counts, EXAMPLE_LABELS)) for counts in (count_example(1.0), count_example(0.5))]
    if not values[0] >= values[1] - _ROUNDING:
        return f"is {values[0]:.4f} for a perfect prediction and {values[1]:.4f} for another; higher should be better"
    return None


def _find_fault_of_result(ratios: Any, images: int) -> str | None:
    """Return what is wrong with what a function returned, None if nothing is."""
    if not isinstance(ratios, Ratios):
        found = type(ratios).__name__
        return f"returns a {found}; expected foldseg.scoring.intervals.Ratios(numerators, denominators)"
    for name, values in (("numerators", ratios.numerators), ("denominators", ratios.denominators)):
        if not isinstance(values, np.ndarray) or values.ndim != 2 or len(values) != images or not values.shape[1]:
            shape = getattr(values, "shape", type(values).__name__)
            return f"returns {name} {shape}; expected (images, terms), here ({images}, terms)"
        if not np.issubdtype(values.dtype, np.number) or np.issubdtype(values.dtype, np.complexfloating):
            return f"returns {name} of dtype {values.dtype}; expected float64"
        if not np.isfinite(values).all() or (values < 0).any():
            return f"returns {name} that are negative or not finite; leave an image out by two zeros"
    if ratios.numerators.shape != ratios.denominators.shape:
        return f"returns numerators {ratios.numerators.shape} and denominators {ratios.denominators.shape}"
    value = _value(ratios)
    if np.isnan(value) or not -_ROUNDING <= value <= 1 + _ROUNDING:
        return f"has the value {value:.4f} on an example; expected 0..1"
    return None


def _value(ratios: Ratios) -> float:
    return float(ratios.values(np.ones((1, len(ratios.numerators))))[0])


def define_by_trial(function: Callable[..., Any], class_value: ClassValue, name: str) -> ScoreDefinition:
    """Return the definition of a user's function. What it states is found by trying. FoldsegError if it is no score."""
    fault = find_fault(function)
    if fault is not None:
        raise FoldsegError(f"{name}: {fault}")

    def ratios(counts: Counts, labels: LabelSet) -> Ratios:
        result = function(counts, labels)
        return Ratios(result.numerators.astype(np.float64), result.denominators.astype(np.float64))

    return ScoreDefinition(
        ratios,
        class_value,
        "scored" if depends_on_scored_alone(ratios) else "all",
        has_term_per_class=has_term_per_class(ratios),
        counts_excess=falls_by_excess(ratios),
    )


def depends_on_scored_alone(ratios: Callable[[Counts, LabelSet], Ratios]) -> bool:
    """Whether a score stays the same if the counts of a class that is not scored change."""
    counts = count_example(0.9)
    other = counts.copy()
    other[:, 0] //= 2
    return _value(ratios(other, EXAMPLE_LABELS)) == _value(ratios(counts, EXAMPLE_LABELS))


def has_term_per_class(ratios: Callable[[Counts, LabelSet], Ratios]) -> bool:
    """Whether a score's terms are its classes, in their order, and each depends on no other class's prediction."""
    classes = [1, 2, 3] if depends_on_scored_alone(ratios) else [0, 1, 2, 3]
    counts = count_example(0.9)
    terms = _terms(ratios, counts)
    if len(terms) != len(classes):
        return False
    for place, index in enumerate(classes):
        other = counts.copy()
        other[:, index, PREDICTION] += 3
        other[:, index, SHARED] //= 2
        if np.flatnonzero(_terms(ratios, other) != terms).tolist() != [place]:
            return False
    return True


def falls_by_excess(ratios: Callable[[Counts, LabelSet], Ratios]) -> bool:
    """Whether a score falls if scored classes are predicted for more pixels."""
    counts = count_example(0.9)
    excess = counts.copy()
    excess[:, 1:, PREDICTION] += 20
    return _value(ratios(excess, EXAMPLE_LABELS)) < _value(ratios(counts, EXAMPLE_LABELS))


def _terms(ratios: Callable[[Counts, LabelSet], Ratios], counts: Counts) -> Floats:
    return ratios(counts, EXAMPLE_LABELS).terms(np.ones((1, len(counts))))[0]
