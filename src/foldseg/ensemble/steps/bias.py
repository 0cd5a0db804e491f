"""A factor per class on its probability: rare classes want more than the argmax gives them, or less.

Pixels whose most probable class no factor within the limit can overtake are counted once. For the others, a class's
counts at every factor come from histograms of the factor at which it begins to win them, so that a sweep over the
classes is a handful of passes over the sample, whatever the number of factors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import BiasStep
from foldseg.data.labels import LabelSet, Mask
from foldseg.ensemble.blend import normalised
from foldseg.ensemble.sample import Arrays, PixelSample, observed, subset
from foldseg.ensemble.scene import Params, Result, Scene, Target
from foldseg.scoring.counts import PREDICTION, SHARED, Counts

_LEVELS = 65  # factors that are tried for each class, evenly on a logarithmic scale; the middle one is 1
_SWEEPS = 4


def check(settings: BiasStep, config: Ensemble, labels: LabelSet) -> None:
    """Accept every ensemble."""


def is_fitted(settings: BiasStep) -> bool:
    """Return that it always is."""
    return True


def apply(settings: BiasStep, params: Params | None, result: Result, scene: Scene) -> Result:
    """Multiply and normalise."""
    assert params is not None
    factors = params["factors"].astype(np.float32)
    return Result.of(normalised(result.as_probabilities() * factors[:, None, None]))


def observe(
    settings: BiasStep, result: Result, truth: Mask, scene: Scene, target: Target, most: int
) -> dict[str, NDArray[Any]]:
    """Keep the pixels in which some class is within limit**2 of the most probable one."""
    maps = result.quantised()
    classes = len(maps)
    top_two = np.partition(maps, -2, axis=0)[-2:] if classes > 1 else np.stack([maps[0] * 0, maps[0]])
    open_ = top_two[0] * np.float32(settings.limit**2) >= top_two[1]
    places = subset(scene.id, truth.size, max(1, most * 16 // classes))
    return observed(truth, result.labels, open_, places, maps.reshape(classes, -1)[:, places].T, most // classes)


def fit(settings: BiasStep, observations: Sequence[Arrays], target: Target) -> Params:
    """Change one class's factor after the other, each to the best of all levels, until nothing rises."""
    sample = PixelSample.of(observations)
    levels = np.geomspace(1 / settings.limit, settings.limit, _LEVELS).astype(np.float32)
    values = np.ascontiguousarray(sample.vectors.T).astype(np.float32)  # (classes, n)
    factors = np.ones(len(values), np.float32)
    best = -1.0
    for _ in range(_SWEEPS):
        before = best
        for index in range(len(values)):
            scores = np.array([target.value(c) for c in _counts_at(sample, values, factors, index, levels)])
            winners = np.flatnonzero(scores >= scores.max() - 1e-12)
            chosen = winners[np.abs(winners - _LEVELS // 2).argmin()]  # of equal ones the gentlest
            factors[index], best = levels[chosen], scores[chosen]
        if best <= before + 1e-9:
            break
    return {"factors": factors}


def _counts_at(
    sample: PixelSample, values: NDArray[np.float32], factors: NDArray[np.float32], index: int, levels: NDArray[Any]
) -> Counts:
    """Counts (levels, images, classes, 3) for every factor of class `index`, the others' as they are."""
    rivals = values * factors[:, None]
    rivals[index] = -1.0
    rival = rivals.argmax(0).astype(np.uint8)
    height, own = rivals.max(0), values[index]
    ratio = np.divide(height, own, out=np.full_like(own, np.inf), where=own > 0)
    # The first level at which the class beats its strongest rival; argmax gives ties to the lower index
    needed = np.where(index < rival, np.searchsorted(levels, ratio), np.searchsorted(levels, ratio, side="right"))
    images, classes = sample.open.shape
    counts = np.repeat(sample.counts(rival)[None].astype(np.float64), len(levels), 0)

    def switched(of: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """(levels, images, classes) pixels that have gone over to the class, by what they were labelled before."""
        weights = sample.stands_for if where is None else np.where(where, sample.stands_for, 0.0)
        place = (needed * images + sample.image) * classes + of
        table = np.bincount(place, weights, (len(levels) + 1) * images * classes)
        return table.reshape(-1, images, classes)[:-1].cumsum(0)

    counts[..., PREDICTION] -= switched(rival)
    counts[..., SHARED] -= switched(rival, rival == sample.truth)
    counts[:, :, index, PREDICTION] += switched(np.zeros_like(rival)).sum(-1)
    counts[:, :, index, SHARED] += switched(np.zeros_like(rival), sample.truth == index).sum(-1)
    return np.rint(counts).astype(np.int64)


def describe(params: Params, target: Target, members: Sequence[str]) -> dict[str, Any]:
    """Class -> factor."""
    return dict(zip(target.labels.names, params["factors"].round(4).tolist(), strict=True))


def compare(
    settings: BiasStep, observations: Sequence[Arrays], parts: NDArray[np.intp], before: Counts, target: Target
) -> dict[str, Any]:
    """Return nothing: there are no alternatives."""
    return {}
