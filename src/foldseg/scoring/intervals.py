"""Confidence intervals of scores, and of differences between two scores: a bootstrap over groups of images.

All scores of this project are means of ratios of sums over images, so their standard errors have a closed form. That
makes a studentised bootstrap possible: it resamples the distance of a score from the truth in standard errors, not the
score itself. Percentiles of resampled scores are too narrow for few groups (tests/scoring/test_coverage.py simulates
it).
"""

import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

_BATCH = 256  # resamples that are computed together: memory does not grow with their number
_LARGE_GROUP = 1 / 3  # share of the images: if a group is as large, intervals are too narrow
_ROUNDING = 1e-12  # scores and errors that differ by less are equal but for rounding


@dataclass(frozen=True)
class Ratios:
    """A score in 0..1: the mean over terms of sum(numerators) / sum(denominators), both (units, terms) float64 >= 0.

    Sums are over units, which are images or groups of images. A term whose denominators are all 0 is left out.
    """

    numerators: Floats
    denominators: Floats

    def by_group(self, groups: NDArray[np.generic]) -> "Ratios":
        """Return the sums over each group's units. Groups are sorted by name."""
        names, group_of_unit = np.unique(groups, return_inverse=True)
        sums = np.zeros((2, len(names), self.numerators.shape[1]))
        np.add.at(sums[0], group_of_unit, self.numerators)
        np.add.at(sums[1], group_of_unit, self.denominators)
        return Ratios(sums[0], sums[1])

    def only(self, units: NDArray[np.bool_]) -> "Ratios":
        """Return the ratios of some of the units."""
        return Ratios(self.numerators[units], self.denominators[units])

    def term(self, index: int) -> "Ratios":
        """Return one term as a score of its own."""
        return Ratios(self.numerators[:, [index]], self.denominators[:, [index]])

    def terms(self, weights: Floats) -> Floats:
        """Return the ratios (trials, terms) for weights (trials, units). NaN where the denominators are 0."""
        denominators = weights @ self.denominators
        undefined = np.full(denominators.shape, np.nan)
        return np.divide(weights @ self.numerators, denominators, out=undefined, where=denominators > 0)

    def values(self, weights: Floats) -> Floats:
        """Return the scores (trials,) for weights (trials, units). NaN where every term is left out."""
        return nanmean(self.terms(weights), -1)

    def linearise(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return scores (trials,) for weights (trials, units), and their derivatives by each weight (trials, units).

        The variance of a score is the sum of weight * derivative ** 2 (the infinitesimal jackknife; Davison and
        Hinkley, 1997, section 2.7).
        """
        ratios = self.terms(weights)
        is_defined = ~np.isnan(ratios)
        per_term = is_defined / np.maximum(is_defined.sum(1, keepdims=True), 1)
        scale = np.divide(per_term, weights @ self.denominators, out=per_term, where=is_defined)
        slope = np.where(is_defined, ratios, 0.0) * scale
        return nanmean(ratios, -1), scale @ self.numerators.T - slope @ self.denominators.T


@dataclass(frozen=True)
class Resampled:
    """A score, or a difference between two, with its standard error; NaN where it is undefined.

    `values` and `errors` (samples,) are those of the resamples. `least` is the smallest possible value: 0 for a score,
    -1 for a difference. The largest is 1.
    """

    value: float
    error: float
    values: Floats
    errors: Floats
    least: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the studentised interval (low, high), which is symmetric on a logit scale (Hall, 1988, JRSS B 50).

        NaN where the score is undefined, where it is exactly 0 or 1, and where fewer than two groups have a part in it.
        (A class that was never found shows no spread, but in the next group it may be found.) With two or three groups
        the interval is everything that is possible: a twentieth of the resamples consists of one group only, and these
        say nothing.
        """
        if math.isnan(self.error) or self.value in (self.least, 1.0):
            return math.nan, math.nan
        if self.error < _ROUNDING:
            return self.value, self.value
        reach = float(np.quantile(self._distances(), confidence, method="higher"))
        middle = float(_logit(self.value, self.least))
        step = self.error * float(_slope(self.value, self.least))
        return _from_logit(middle - reach * step, self.least), _from_logit(middle + reach * step, self.least)

    def probability(self) -> float:
        """Return the probability that a difference is above 0: 0.5 if it is 0, NaN where there is no interval.

        It is one minus half the level at which the interval would reach 0. So it is above 0.975 where the 95% interval
        lies above 0. The share of resamples above 0, which others often show, is not used: for equal models and 8
        groups it is as certain in 13% of comparisons instead of 5%.
        """
        if math.isnan(self.error):
            return math.nan
        if abs(self.value) < _ROUNDING:
            return 0.5
        distance = abs(_logit(self.value, self.least) - _logit(0.0, self.least))
        with np.errstate(divide="ignore", invalid="ignore"):  # without spread 0 is further away than from any resample
            distance = distance / (self.error * _slope(self.value, self.least))
        distances = self._distances()
        tail = (float((distances >= distance).sum()) + 1) / (len(distances) + 1) / 2
        return 1 - tail if self.value > 0 else tail

    def _distances(self) -> Floats:
        """Return the distance of each resample from the value on the logit scale, in its own standard errors.

        Undefined resamples are left out. The distance is infinite where a resample has no spread: it is of one group.
        """
        is_defined = ~np.isnan(self.values)
        values, errors = self.values[is_defined], self.errors[is_defined]
        with np.errstate(divide="ignore", invalid="ignore"):  # scores of 0 or 1, and without spread, are handled below
            logit_distances = np.abs(_logit(values, self.least) - _logit(self.value, self.least))
            distances = logit_distances / (errors * _slope(values, self.least))
        has_no_spread = errors < _ROUNDING
        distances[np.isnan(distances) | has_no_spread] = np.inf
        distances[has_no_spread & (np.abs(values - self.value) < _ROUNDING)] = 0.0
        return distances


def resample(
    ratios: Ratios, groups: NDArray[np.generic], samples: int, seed: int, minus: Ratios | None = None
) -> Resampled:
    """Resample a score of images, or the difference ratios - minus of two scores of the same images.

    Groups (images,) are drawn with replacement, as many as have a part in the score. Images are not drawn one by one:
    neighbouring frames are nearly the same picture, so the interval would be too narrow (cluster bootstrap; Davison and
    Hinkley, 1997, section 3.8).
    """
    scores = [score.by_group(groups) for score in (ratios, minus) if score is not None]
    has_part = np.any([score.denominators.any(1) for score in scores], 0)
    scores = [score.only(has_part) for score in scores]
    number = int(has_part.sum())
    value, error = _evaluate(scores, np.ones((1, number)))
    draws = np.zeros((samples, 0)) if number == 0 else _draw_groups(number, samples, seed)
    batches = [_evaluate(scores, draws[start : start + _BATCH]) for start in range(0, samples, _BATCH)]
    values = np.concatenate([batch_values for batch_values, _ in batches])
    errors = np.concatenate([batch_errors for _, batch_errors in batches])
    return Resampled(float(value[0]), float(error[0]), values, errors, 0.0 if minus is None else -1.0)


def warn_of_large_group(groups: NDArray[np.generic]) -> None:
    """Log that intervals are too narrow if one of the groups (images,) holds a third of the images or more.

    In simulations of such data sets 95% intervals cover the truth in 88% to 93%.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) > 1 and sizes.max() >= _LARGE_GROUP * len(groups):
        logger.warning(
            "group %s holds %.0f%% of the images: intervals promise too much then, those of 95%% cover the truth in "
            "88%% to 93%% of cases", names[sizes.argmax()], 100 * sizes.max() / len(groups),
        )  # fmt: skip


@lru_cache(maxsize=1)  # the same draws serve every class and both models of a comparison
def _draw_groups(groups: int, samples: int, seed: int) -> Floats:
    """Return how often each group is drawn in each resample: (samples, groups), read-only."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=samples).astype(np.float64)
    draws.flags.writeable = False
    return draws


def _evaluate(scores: list[Ratios], weights: Floats) -> tuple[Floats, Floats]:
    """Return values (trials,) and standard errors (trials,) of a score, or of the first minus the second.

    `weights`: (trials, groups).
    """
    values, influences = scores[0].linearise(weights)
    for other in scores[1:]:
        other_values, other_influences = other.linearise(weights)
        values -= other_values
        influences -= other_influences
    groups = weights.shape[1]
    if groups < 2:
        return values, np.full(values.shape, np.nan)
    variances = np.einsum("tg,tg,tg->t", weights, influences, influences) * groups / (groups - 1)
    return values, np.where(np.isnan(values), np.nan, np.sqrt(variances))


def nanmean(values: Floats, axis: int) -> Floats:
    """Return the mean of the values that are not NaN. Where all are NaN it is NaN, without a warning."""
    is_defined = ~np.isnan(values)
    number = is_defined.sum(axis)
    total = np.where(is_defined, values, 0.0).sum(axis)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def _share(values: Floats | float, least: float) -> Floats:
    """Map least..1 to 0..1."""
    return (np.asarray(values, np.float64) - least) / (1 - least)


def _logit(values: Floats | float, least: float) -> Floats:
    """Map least..1 to all numbers, so that no interval leaves least..1."""
    share = _share(values, least)
    with np.errstate(divide="ignore"):
        return np.log(share) - np.log1p(-share)


def _slope(values: Floats | float, least: float) -> Floats:
    """Return the derivative of `_logit`."""
    share = _share(values, least)
    with np.errstate(divide="ignore"):
        return 1 / (share * (1 - share) * (1 - least))


def _from_logit(logit: float, least: float) -> float:
    """Invert `_logit`, without overflow."""
    return float(least + (1 - least) * 0.5 * (1 + math.tanh(0.5 * logit)))
