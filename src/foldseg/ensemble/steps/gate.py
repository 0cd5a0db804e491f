"""A gate for each class of an image: it is emptied where it is nowhere likely enough, or too small.

A contest whose score gives 1 to an image without a class that is predicted without it is decided by such images: a
single wrong pixel costs the whole point.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import GateStep
from foldseg.data.labels import LabelSet, Mask
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.ensemble.steps.emptying import (
    choose_gentlest,
    count_emptied,
    describe_by_class,
    empty_classes,
    list_area_limits,
)
from foldseg.ensemble.steps.thresholds import check_score_can_be_fitted, to_levels
from foldseg.errors import FoldsegError

_AREAS = 64
"""Number of areas that are tried for each class."""
_ROUNDS = 2
_LEVEL, _AREA = "min_level", "min_area"
"""Names of the parameters: the least round(255 p), and the least pixels, of each scored class."""


class GateOperation(Operation[GateStep]):
    """Empty a class in an image where it is nowhere likely enough, or too small."""

    def check(self, config: Ensemble, labels: LabelSet) -> None:
        """Raise FoldsegError if the score does not measure what is fitted, or nothing can take the pixels."""
        if self.is_fitted:
            check_score_can_be_fitted(self.settings.kind, config.score, labels)
        if labels.scored.all() and not labels.overlapping and not config.may_overlap:
            raise FoldsegError(
                "steps.gate: gives the pixels of a class that is emptied to a class that is not scored, and all of "
                f"{', '.join(labels.names)} are scored"
            )

    @property
    def is_fitted(self) -> bool:
        """Whether one of the two limits is not given."""
        return "fitted" in (self.settings.min_probability, self.settings.min_area)

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Empty the classes that are below a limit."""
        labels = context.labels
        if params is None:
            params = self._given_limits(int(labels.scored.sum()))
        peaks, areas = _measure(prediction, labels)
        is_emptied = (peaks < params[_LEVEL]) | (areas < params[_AREA])
        return empty_classes(prediction, is_emptied & (areas > 0), labels)

    def _given_limits(self, classes: int) -> dict[str, NDArray[np.int64]]:
        """Return the limits of the settings, (classes,) each; 0 for one that is fitted."""
        probability, area = self.settings.min_probability, self.settings.min_area
        level = 0 if probability == "fitted" else int(to_levels([probability])[0])
        return {
            _LEVEL: np.full(classes, level, np.int64),
            _AREA: np.full(classes, 0 if area == "fitted" else area, np.int64),
        }

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Return, for each scored class, its largest probability, its area, and its counts if it is not emptied."""
        peaks, areas = _measure(prediction, context.labels)
        counts = prediction.count(truth, context.labels)[context.labels.scored]
        return {"peaks": peaks, "areas": areas, "counts": counts}

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Choose one limit of every class after the other, exactly, and both once more."""
        peaks, areas, counts = (np.stack([one[key] for one in observations]) for key in ("peaks", "areas", "counts"))
        limits = self._given_limits(peaks.shape[1])
        levels = np.broadcast_to(np.arange(256)[:, None], (256, peaks.shape[1]))
        area_limits = list_area_limits(areas, _AREAS)
        for _ in range(_ROUNDS):
            if self.settings.min_probability == "fitted":
                limits[_LEVEL] = _choose_limits(levels, peaks, areas < limits[_AREA], counts, spec)
            if self.settings.min_area == "fitted":
                limits[_AREA] = _choose_limits(area_limits, areas, peaks < limits[_LEVEL], counts, spec)
        return limits

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return limit -> scored class -> least probability, or least pixels."""
        return {
            "min_probability": describe_by_class(spec.labels, params[_LEVEL], 255.0),
            "min_area": describe_by_class(spec.labels, params[_AREA]),
        }


def _measure(prediction: Prediction, labels: LabelSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the largest round(255 p) of each scored class in an image, and its number of pixels."""
    peaks = prediction.quantised()[labels.scored].max((1, 2))
    areas = prediction.find_masks(labels)[labels.scored].sum((1, 2))
    return peaks.astype(np.int64), areas.astype(np.int64)


def _choose_limits(
    limits: NDArray[np.int64],
    values: NDArray[np.int64],
    is_emptied: NDArray[np.bool_],
    counts: NDArray[np.int64],
    spec: EnsembleSpec,
) -> NDArray[np.int64]:
    """Return the best of `limits` (candidates, classes) on `values` (images, classes), one for each class.

    `is_emptied` (images, classes): by the other limit.
    """
    is_below = values[:, :, None] < limits.T[None]
    curves = count_emptied(counts, is_below | is_emptied[:, :, None])
    choice = choose_gentlest(spec.score, curves, spec.labels)
    return limits[choice, np.arange(limits.shape[1])].copy()
