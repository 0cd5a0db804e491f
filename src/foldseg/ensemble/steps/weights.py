"""The members' weights, searched on OOF: from pixels gathered once, not by blending images for every trial."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import Continuous, HillClimbing, WeightSearch, WeightsStep
from foldseg.config.schema.choice import check_entries
from foldseg.data.labels import LabelSet, Mask
from foldseg.ensemble.blend import Blender, Probabilities, argmax
from foldseg.ensemble.disagreement import MemberSample, observe_members
from foldseg.ensemble.sample import Arrays
from foldseg.ensemble.scene import Params, Result, Scene, Target
from foldseg.scoring.counts import Counts

Weights = NDArray[np.float64]
"""(members,), or (members, classes); those of a class sum to 1."""

_SWEEPS = 3  # over the classes, when each has weights of its own
_SHARE = 0.25  # that a member gains in one class, at a time


def check(settings: WeightsStep, config: Ensemble, labels: LabelSet) -> None:
    """Accept every ensemble."""


def is_fitted(settings: WeightsStep) -> bool:
    """Return that they are: weights that are given stand with the members."""
    return True


def apply(settings: WeightsStep, params: Params | None, result: Result, scene: Scene) -> Result:
    """Blend the members anew; without weights, what was blended with the given ones stays."""
    return result if params is None else Result.of(_reblended(scene, params["weights"]))


def _reblended(scene: Scene, weights: Weights) -> Probabilities:
    blender = Blender(type(scene.blend), [scene.labels.names.index(name) for name in scene.blend.union])
    for maps, weight in zip(scene.members(), weights, strict=True):
        if np.any(weight):
            blender.add(maps, weight, argmax(maps), scene.id)
    return blender.finish()


def observe(
    settings: WeightsStep, result: Result, truth: Mask, scene: Scene, target: Target, most: int
) -> dict[str, NDArray[Any]]:
    """Gather the pixels that weights can change."""
    return observe_members(scene, result.labels, truth, most, settings.per_class)


def fit(settings: WeightsStep, observations: Sequence[Arrays], target: Target) -> Params:
    """Search the weights of the highest score."""
    sample = MemberSample(observations, target)
    weights = SEARCHES[type(settings.search)](sample, settings.search, target.weights)
    return {"weights": _per_class(sample, settings, weights) if settings.per_class else weights}


def _hill_climbing(sample: MemberSample, search: HillClimbing, given: Weights) -> Weights:
    """Start with the best member, add the one that helps most, again and again; return the best mixture on the way."""
    times = np.zeros(len(sample.terms))
    best, best_value = given / given.sum(), sample.value(given)
    total = sample.total(times)
    for _ in range(search.rounds):
        trials = (times + one for one in np.eye(len(times)))
        values = [sample.value_of(sample.with_one_more(total, trial, m)) for m, trial in enumerate(trials)]
        chosen = int(np.argmax(values))
        times[chosen] += 1
        total = sample.with_one_more(total, times, chosen)
        if values[chosen] > best_value + 1e-9:
            best, best_value = times / times.sum(), values[chosen]
    return best


def _continuous(sample: MemberSample, search: Continuous, given: Weights) -> Weights:
    """Move the logarithms of all weights together, from the given ones."""
    from scipy.optimize import minimize  # takes long to import, and blending processes need none of it

    def weights_of(logs: NDArray[np.float64]) -> Weights:
        weights = np.exp(logs - logs.max())
        return weights / weights.sum()

    start = np.log(given / given.sum())
    simplex = np.vstack([start, start + np.eye(len(start))])  # a factor of e for one member after the other
    options = {"initial_simplex": simplex, "maxfev": 60 * len(start), "xatol": 0.01, "fatol": 1e-6}
    found = minimize(lambda logs: -sample.value(weights_of(logs)), start, method="Nelder-Mead", options=options)
    return weights_of(found.x) if -found.fun > sample.value(given) + 1e-9 else given / given.sum()


SEARCHES: dict[type[WeightSearch], Callable[[MemberSample, Any, Weights], Weights]] = {
    HillClimbing: _hill_climbing,
    Continuous: _continuous,
}
check_entries(SEARCHES, WeightSearch, "ensemble/steps/weights.py: SEARCHES")


def _per_class(sample: MemberSample, settings: WeightsStep, weights: Weights) -> Weights:
    """Give single members more of single classes as long as the score rises."""
    members, classes = sample.terms.shape[:2]
    found = np.repeat(weights[:, None], classes, 1)
    total = sample.total(found)
    best = sample.value_of(total)
    for _ in range(_SWEEPS):
        before = best
        for index in range(classes):
            for member in range(members):
                trial = found[:, index] * (1 - _SHARE)
                trial[member] += _SHARE
                old = total[index].copy()
                total[index] = trial.astype(np.float32) @ sample.terms[:, index]
                value = sample.value_of(total)
                if value > best + 1e-9:
                    best, found[:, index] = value, trial
                else:
                    total[index] = old
        if best <= before:
            break
    return found


def describe(params: Params, target: Target, members: Sequence[str]) -> dict[str, Any]:
    """Member -> weight, or member -> class -> weight."""
    weights = params["weights"].round(4)
    if weights.ndim == 1:
        return dict(zip(members, weights.tolist(), strict=True))
    rows = [dict(zip(target.labels.names, row, strict=True)) for row in weights.tolist()]
    return dict(zip(members, rows, strict=True))


def compare(
    settings: WeightsStep, observations: Sequence[Arrays], parts: NDArray[np.intp], before: Counts, target: Target
) -> dict[str, Any]:
    """Return nothing: there are no alternatives."""
    return {}
