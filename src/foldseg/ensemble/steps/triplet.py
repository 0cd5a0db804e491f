"""The triplet rule: a class is where it reaches a threshold, unless too few of its pixels reach a higher one, the seed.

As in the solution that won the SIIM-ACR Pneumothorax contest of 2019 (sneddy/pneumothorax-segmentation).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import TripletStep
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
from foldseg.ensemble.steps.thresholds import (
    check_score_can_be_fitted,
    count_at_thresholds,
    threshold_masks,
    to_levels,
)
from foldseg.inference.store import Quantised
from foldseg.scoring.candidates import choose_candidates

_SEEDS = np.arange(0.25, 1.0, 0.05)
"""Probabilities that are tried as seeds."""
_AREAS = 16
"""Number of areas that are tried for each class and seed."""
_SEED, _AREA, _THRESHOLD = "seed", "min_area", "threshold"
"""Names of the parameters, each (scored classes,): round(255 p), pixels, round(255 p)."""


class TripletOperation(Operation[TripletStep]):
    """Give each pixel the scored classes that reach a threshold, without those that reach the seed too rarely."""

    def check(self, config: Ensemble, labels: LabelSet) -> None:
        """Raise FoldsegError if the score does not measure what is fitted."""
        if self.is_fitted:
            check_score_can_be_fitted(self.settings.kind, config.score, labels)

    @property
    def is_fitted(self) -> bool:
        """Whether one of the three values is not given."""
        return "fitted" in (self.settings.seed, self.settings.min_area, self.settings.threshold)

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Threshold every scored class, and empty those that have too few pixels from the seed on."""
        labels, maps = context.labels, prediction.quantised()
        if params is None:
            params = self._given_values(int(labels.scored.sum()))
        thresholded = prediction.with_masks(threshold_masks(maps, params[_THRESHOLD], labels), labels)
        levels = np.asarray(params[_SEED])[:, None, None]
        areas = (maps[labels.scored] >= levels).sum((1, 2))
        return empty_classes(thresholded, areas < params[_AREA], labels)

    def _given_values(self, classes: int) -> dict[str, NDArray[Any]]:
        """Return the values of the settings, (classes,) each. One that is fitted begins at 0.5, or at no area."""
        seed, area, threshold = self.settings.seed, self.settings.min_area, self.settings.threshold
        levels = np.maximum(to_levels([0.5 if value == "fitted" else value for value in (seed, threshold)]), 1)
        return {
            _SEED: np.full(classes, levels[0], np.uint8),
            _AREA: np.full(classes, 0 if area == "fitted" else area, np.int64),
            _THRESHOLD: np.full(classes, levels[1], np.uint8),
        }

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Return the counts at every threshold, and the pixels that reach every seed, of each scored class."""
        labels, maps = context.labels, prediction.quantised()
        curves = count_at_thresholds(truth, maps, labels, "overlapping")
        return {"curves": curves, "areas": _count_areas(maps, labels)}

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Choose the thresholds, then seed and area together, then the thresholds again."""
        curves, areas = (np.stack([one[key] for one in observations]) for key in ("curves", "areas"))
        values = self._given_values(curves.shape[1])
        self._fit_thresholds(values, curves, areas, spec)
        if "fitted" in (self.settings.seed, self.settings.min_area):
            self._fit_seeds(values, curves, areas, spec)
            self._fit_thresholds(values, curves, areas, spec)
        return values

    def _fit_thresholds(
        self, values: dict[str, NDArray[Any]], curves: NDArray[np.int32], areas: NDArray[np.int32], spec: EnsembleSpec
    ) -> None:
        if self.settings.threshold != "fitted":
            return
        is_emptied = _take(areas, values[_SEED]) < values[_AREA]
        gated = count_emptied(curves[:, :, 1:], is_emptied[:, :, None])
        values[_THRESHOLD] = (choose_candidates(spec.score, gated, spec.labels) + 1).astype(np.uint8)

    def _fit_seeds(
        self, values: dict[str, NDArray[Any]], curves: NDArray[np.int32], areas: NDArray[np.int32], spec: EnsembleSpec
    ) -> None:
        """Choose seed and area of each class from all pairs of those that are tried."""
        classes = np.arange(curves.shape[1])
        seeds = to_levels(_SEEDS.tolist()) if self.settings.seed == "fitted" else values[_SEED][:1]
        areas_at_seeds = areas[:, :, seeds].transpose(0, 2, 1)  # (images, seeds, classes)
        limits = list_area_limits(areas_at_seeds, _AREAS)
        if self.settings.min_area != "fitted":
            limits = np.broadcast_to(values[_AREA], (1, len(seeds), len(classes)))
        is_emptied = areas_at_seeds[:, None] < limits  # (images, areas, seeds, classes)
        counts = np.take_along_axis(curves, values[_THRESHOLD].astype(np.intp)[None, :, None, None], 2)[:, :, 0]
        pairs = is_emptied.reshape(len(curves), -1, len(classes)).transpose(0, 2, 1)
        choice = choose_gentlest(spec.score, count_emptied(counts, pairs), spec.labels)
        area, seed = np.unravel_index(choice, limits.shape[:2])
        values[_SEED], values[_AREA] = seeds[seed], limits[area, seed, classes]

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return value -> scored class -> probability or pixels."""
        return {
            _SEED: describe_by_class(spec.labels, params[_SEED], 255.0),
            _AREA: describe_by_class(spec.labels, params[_AREA]),
            _THRESHOLD: describe_by_class(spec.labels, params[_THRESHOLD], 255.0),
        }


def _count_areas(maps: Quantised, labels: LabelSet) -> NDArray[np.int32]:
    """Return how many pixels of each scored class reach each level, (scored classes, 256)."""
    histograms = [np.bincount(plane.ravel(), minlength=256) for plane in maps[labels.scored]]
    return np.stack([histogram[::-1].cumsum()[::-1] for histogram in histograms]).astype(np.int32)


def _take(areas: NDArray[np.int32], levels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the areas (images, classes) of each class at its level (classes,)."""
    return areas[:, np.arange(areas.shape[1]), levels]
