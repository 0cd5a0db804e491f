"""The members' weights, searched on OOF: from pixels gathered once, not by blending images for every trial."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import Continuous, HillClimbing, WeightSearch, WeightsStep
from foldseg.config.schema.choice import check_entries
from foldseg.data.labels import Mask
from foldseg.ensemble.disagreement import MemberSample, observe_members
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.inference.class_rule import choose_rule

Weights = NDArray[np.float64]
"""(members,), or (members, classes). Those of a class sum to 1."""

_SWEEPS = 3
"""Sweeps over the classes, if each has weights of its own."""
_SHARE = 0.25
"""Share that a member gains in one class at a time."""


class WeightsOperation(Operation[WeightsStep]):
    """Blend the members again, with fitted weights."""

    @property
    def is_fitted(self) -> bool:
        """Whether there is something to fit: always. Weights that are given are settings of the members."""
        return True

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Blend the members again. Members of weight 0 are left out."""
        assert params is not None
        blender, rule = context.spec.blender(), choose_rule(context.labels)
        for maps, weight in zip(context.read_members(), params["weights"], strict=True):
            if np.any(weight):
                blender.add(maps, weight, rule.decide(maps, 255.0), context.id)
        return Prediction.of_probabilities(blender.finish(), context.labels)

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Gather the pixels that weights can change."""
        return observe_members(context, prediction.labels, truth, max_bytes, self.settings.per_class)

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Search the weights of the highest score."""
        sample = MemberSample(observations, spec)
        search = self.settings.search
        weights = SEARCHES[type(search)](sample, search, spec.weights)
        return {"weights": _search_per_class(sample, weights) if self.settings.per_class else weights}

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return member -> weight, or member -> class -> weight."""
        weights = params["weights"].round(4)
        if weights.ndim == 1:
            return dict(zip(spec.members, weights.tolist(), strict=True))
        rows = [dict(zip(spec.labels.names, row, strict=True)) for row in weights.tolist()]
        return dict(zip(spec.members, rows, strict=True))


def _hill_climbing(sample: MemberSample, search: HillClimbing, given: Weights) -> Weights:
    """Add the member that helps most, again and again, from none on; return the best mixture on the way.

    The given weights are returned if no mixture is better.
    """
    times = np.zeros(len(sample.terms))
    best, best_value = given / given.sum(), sample.value(given)
    total = sample.total(times)
    for _ in range(search.rounds):
        values = []
        for member, step in enumerate(np.eye(len(times))):
            values.append(sample.value_of(sample.with_one_more(total, times + step, member)))
        chosen = int(np.argmax(values))
        times[chosen] += 1
        total = sample.with_one_more(total, times, chosen)
        if values[chosen] > best_value + 1e-9:
            best, best_value = times / times.sum(), values[chosen]
    return best


def _continuous(sample: MemberSample, search: Continuous, given: Weights) -> Weights:
    """Move the logarithms of all weights together, starting from the given ones."""
    from scipy.optimize import minimize  # slow to import, and worker processes need none of it

    def weights_of(logs: NDArray[np.float64]) -> Weights:
        weights = np.exp(logs - logs.max())
        return weights / weights.sum()

    start = np.log(given / given.sum())
    simplex = np.vstack([start, start + np.eye(len(start))])  # each corner multiplies one member by e
    options = {"initial_simplex": simplex, "maxfev": 60 * len(start), "xatol": 0.01, "fatol": 1e-6}
    best = minimize(lambda logs: -sample.value(weights_of(logs)), start, method="Nelder-Mead", options=options)
    is_better = -best.fun > sample.value(given) + 1e-9
    return weights_of(best.x) if is_better else given / given.sum()


SEARCHES: dict[type[WeightSearch], Callable[[MemberSample, Any, Weights], Weights]] = {
    HillClimbing: _hill_climbing,
    Continuous: _continuous,
}
check_entries(SEARCHES, WeightSearch, "ensemble/steps/weights.py: SEARCHES")


def _search_per_class(sample: MemberSample, weights: Weights) -> Weights:
    """Give single members more of single classes as long as the score rises: (members, classes)."""
    members, classes = sample.terms.shape[:2]
    best_weights = np.repeat(weights[:, None], classes, 1)
    total = sample.total(best_weights)
    best = sample.value_of(total)
    for _ in range(_SWEEPS):
        before = best
        for index in range(classes):
            for member in range(members):
                trial = best_weights[:, index] * (1 - _SHARE)
                trial[member] += _SHARE
                old = total[index].copy()
                total[index] = trial.astype(np.float32) @ sample.terms[:, index]
                value = sample.value_of(total)
                if value > best + 1e-9:
                    best, best_weights[:, index] = value, trial
                else:
                    total[index] = old
        if best <= before:
            break
    return best_weights
