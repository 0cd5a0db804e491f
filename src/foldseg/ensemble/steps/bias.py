"""A factor per class on its probability. A score may want more of rare classes, or less, than the argmax gives them.

Pixels whose most probable class cannot be overtaken by any factor within the limit are counted once. For the others,
histograms say at which factor a class begins to win a pixel. They give the counts at all factors of a class together,
so one sweep over the classes is a handful of passes over the sample, whatever the number of factors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import BiasStep
from foldseg.data.labels import LabelSet, Mask
from foldseg.ensemble.blend import normalise
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.ensemble.sample import DRAWN, PixelSample, draw_places, observe_pixels
from foldseg.errors import FoldsegError
from foldseg.scoring.counts import PREDICTION, SHARED, Counts

_LEVELS = 65
"""Factors that are tried for each class, evenly on a logarithmic scale. The middle one is 1."""
_SWEEPS = 4


class BiasOperation(Operation[BiasStep]):
    """Multiply each class's probability by a fitted factor."""

    def check(self, config: Ensemble, labels: LabelSet) -> None:
        """Raise FoldsegError if classes overlap: they do not compete, so a factor would only move a threshold."""
        if labels.overlapping:
            raise FoldsegError(
                "steps.bias: weighs classes against each other, and these overlap; use the step thresholds"
            )

    @property
    def is_fitted(self) -> bool:
        """Whether there is something to fit: always."""
        return True

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Multiply, and scale the classes to sum to 1."""
        assert params is not None
        factors = params["factors"].astype(np.float32)
        weighted = normalise(prediction.as_probabilities() * factors[:, None, None])
        return Prediction.of_probabilities(weighted, context.labels)

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Keep the pixels in which some class is within limit**2 of the most probable one."""
        maps = prediction.quantised()
        classes = len(maps)
        top_two = np.partition(maps, -2, axis=0)[-2:] if classes > 1 else np.stack([maps[0] * 0, maps[0]])
        is_open = top_two[0] * np.float32(self.settings.limit**2) >= top_two[1]
        places = draw_places(context.id, truth.size, max(1, max_bytes * DRAWN // classes))
        vectors = maps.reshape(classes, -1)[:, places].T
        return observe_pixels(truth, prediction.labels, is_open, places, vectors, max_bytes // classes, context.labels)

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Set one class's factor after the other to the best of all levels, until the score rises no more."""
        sample = PixelSample.of(observations)
        limit = self.settings.limit
        levels = np.geomspace(1 / limit, limit, _LEVELS).astype(np.float32)
        values = np.ascontiguousarray(sample.vectors.T).astype(np.float32)  # (classes, n)
        factors = np.ones(len(values), np.float32)
        best = -1.0
        for _ in range(_SWEEPS):
            before = best
            for index in range(len(values)):
                scores = np.array([spec.value(counts) for counts in _counts_at(sample, values, factors, index, levels)])
                winners = np.flatnonzero(scores >= scores.max() - 1e-12)
                gentlest = winners[np.abs(winners - _LEVELS // 2).argmin()]
                factors[index], best = levels[gentlest], scores[gentlest]
            if best <= before + 1e-9:
                break
        return {"factors": factors}

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return class -> factor."""
        return dict(zip(spec.labels.names, params["factors"].round(4).tolist(), strict=True))


def _counts_at(
    sample: PixelSample, values: NDArray[np.float32], factors: NDArray[np.float32], index: int, levels: NDArray[Any]
) -> Counts:
    """Return counts (levels, images, classes, 3) for every factor of class `index`; the others' factors stay."""
    rivals = values * factors[:, None]
    rivals[index] = -1.0
    rival = rivals.argmax(0).astype(np.uint8)
    height, own = rivals.max(0), values[index]
    ratio = np.divide(height, own, out=np.full_like(own, np.inf), where=own > 0)
    # The first level at which the class beats its strongest rival; argmax gives ties to the lower index
    needed = np.where(index < rival, np.searchsorted(levels, ratio), np.searchsorted(levels, ratio, side="right"))
    images, classes = sample.open.shape
    counts = np.repeat(sample.counts(rival)[None].astype(np.float64), len(levels), 0)

    def count_switched(classes_of: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return (levels, images, classes): pixels that have gone over to class `index`, by their `classes_of`."""
        weights = sample.stands_for if where is None else np.where(where, sample.stands_for, 0.0)
        bins = (needed * images + sample.image) * classes + classes_of
        table = np.bincount(bins, weights, (len(levels) + 1) * images * classes)
        return table.reshape(-1, images, classes)[:-1].cumsum(0)

    any_class = np.zeros_like(rival)
    counts[..., PREDICTION] -= count_switched(rival)
    counts[..., SHARED] -= count_switched(rival, rival == sample.truth)
    counts[:, :, index, PREDICTION] += count_switched(any_class).sum(-1)
    counts[:, :, index, SHARED] += count_switched(any_class, sample.truth == index).sum(-1)
    return np.rint(counts).astype(np.int64)
