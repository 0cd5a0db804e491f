"""Removal of small components and of small holes, up to an area per class that is given or fitted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import CleanUpStep
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.operation import Observation, Operation
from foldseg.ensemble.prediction import EnsembleSpec, ImageContext, Params, Prediction
from foldseg.scoring.counts import Counts, count_pixels

Areas = NDArray[np.int64]
"""(classes,) pixels: smaller components are removed, or smaller holes filled. 0: none."""

_MIN_AREA, _HOLE_AREA = "min_area", "hole_area"
_KINDS = (_MIN_AREA, _HOLE_AREA)


class CleanUpOperation(Operation[CleanUpStep]):
    """Remove small components, and fill small holes."""

    @property
    def is_fitted(self) -> bool:
        """Whether an area is to be chosen from a list."""
        return any(isinstance(getattr(self.settings, kind), tuple) for kind in _KINDS)

    def apply(self, prediction: Prediction, context: ImageContext, params: Params | None) -> Prediction:
        """Clean the labels or, where classes overlap, every mask by itself."""
        if params is None:
            params = {kind: self._areas(getattr(self.settings, kind), context.labels) for kind in _KINDS}
        min_area, hole_area = params[_MIN_AREA], params[_HOLE_AREA]
        if _is_exclusive(prediction, context.labels):
            return replace(prediction, labels=clean_up(prediction.labels, min_area, hole_area))
        masks = clean_up_masks(prediction.find_masks(context.labels), min_area, hole_area)
        return prediction.with_masks(masks, context.labels)

    def _areas(self, area: int, labels: LabelSet) -> Areas:
        """Return an area for each class that is cleaned, and 0 for the others."""
        classes = self.settings.classes
        is_cleaned = np.array([classes is None or name in classes for name in labels.names])
        return np.where(is_cleaned, area, 0).astype(np.int64)

    def _candidates(self, kind: str) -> tuple[int, ...]:
        """Return the areas that are tried: those of a list and 0, in order, or a given area alone."""
        area = getattr(self.settings, kind)
        return tuple(sorted({0, *area})) if isinstance(area, tuple) else (area,)

    def observe(self, prediction: Prediction, truth: Mask, context: ImageContext, max_bytes: int) -> Observation:
        """Return, for each kind of area, the counts (classes, areas, classes, 3) with one class cleaned alone."""
        return {kind: self._try_areas(kind, prediction, truth, context.labels) for kind in _KINDS}

    def _try_areas(self, kind: str, prediction: Prediction, truth: Mask, labels: LabelSet) -> NDArray[np.int32]:
        candidates = self._candidates(kind)
        before = prediction.count(truth, labels)
        counts = np.broadcast_to(before, (len(labels), len(candidates), *before.shape)).astype(np.int32)
        for index in np.flatnonzero(prediction.find_masks(labels).any((1, 2))):
            is_class = np.arange(len(labels)) == index
            for place, area in enumerate(candidates):
                areas = np.where(is_class, self._areas(area, labels), 0)
                if areas.any():
                    counts[index, place] = _count_cleaned(kind, areas, prediction, truth, before, labels)
        return counts

    def fit(self, observations: Sequence[Observation], spec: EnsembleSpec) -> Params:
        """Choose each class's area by itself: the smallest of those with the highest score."""
        params = {}
        for kind in _KINDS:
            candidates = self._candidates(kind)
            counts = np.stack([observation[kind] for observation in observations])
            areas = np.zeros(len(spec.labels), np.int64)
            for index in range(len(spec.labels)):
                values = [spec.value(counts[:, index, place]) for place in range(len(candidates))]
                is_best = np.array(values) >= max(values) - 1e-12
                areas[index] = candidates[int(is_best.argmax())]
            params[kind] = areas * self._areas(1, spec.labels)
        return params

    def describe(self, params: Params, spec: EnsembleSpec) -> dict[str, Any]:
        """Return kind of area -> class -> pixels, for the classes that have one."""
        return {
            kind: {name: int(area) for name, area in zip(spec.labels.names, params[kind], strict=True) if area}
            for kind in _KINDS
        }


def _is_exclusive(prediction: Prediction, labels: LabelSet) -> bool:
    """Whether each pixel is of one class, so that a removed component becomes what is around it."""
    return prediction.masks is None and not labels.overlapping


def _count_cleaned(
    kind: str, areas: Areas, prediction: Prediction, truth: Mask, before: Counts, labels: LabelSet
) -> Counts:
    """Count a prediction after its small components (min_area) or small holes (hole_area) are cleaned."""
    none = np.zeros_like(areas)
    min_area, hole_area = (areas, none) if kind == _MIN_AREA else (none, areas)
    if _is_exclusive(prediction, labels):
        return _recount(truth, prediction.labels, clean_up(prediction.labels, min_area, hole_area), before)
    masks = clean_up_masks(prediction.find_masks(labels), min_area, hole_area)
    return prediction.with_masks(masks, labels).count(truth, labels)


def _recount(truth: Mask, old: Mask, new: Mask, before: Counts) -> Counts:
    """Counts of `new`, given those of `old`: only pixels that differ are looked at."""
    where = old != new
    if not where.any():
        return before
    right, was, becomes = truth[where], old[where], new[where]
    known = right != IGNORE_INDEX
    right, was, becomes = right[known][None], was[known][None], becomes[known][None]
    return before + count_pixels(right, becomes, len(before)) - count_pixels(right, was, len(before))


def clean_up(labels: Mask, min_area: Areas, hole_area: Areas) -> Mask:
    """Give connected components (8-neighbours) of class c below min_area[c] pixels the class of the nearest kept pixel.

    Afterwards, holes (4-neighbours, not at the border) of fewer than hole_area[c] pixels in class c become c, one class
    after the other. labels (H, W) uint8 class indices -> the same shape. If nothing would be kept, the labels stay.
    """
    small = np.zeros(labels.shape, bool)
    for index in np.flatnonzero(min_area):
        small |= _small_components(labels == index, min_area[index])
    labels = _taken_over(labels, small)
    for index in np.flatnonzero(hole_area):
        holes = _small_holes(labels == index, hole_area[index])
        if holes.any():
            labels = np.where(holes, np.uint8(index), labels)
    return labels


def clean_up_masks(masks: NDArray[np.bool_], min_area: Areas, hole_area: Areas) -> NDArray[np.bool_]:
    """Remove small components from masks that may overlap, (classes, H, W) bool, and fill small holes in them."""
    cleaned = masks.copy()
    for index in np.flatnonzero(min_area):
        cleaned[index] &= ~_small_components(cleaned[index], min_area[index])
    for index in np.flatnonzero(hole_area):
        cleaned[index] |= _small_holes(cleaned[index], hole_area[index])
    return cleaned


def _taken_over(labels: Mask, small: NDArray[np.bool_]) -> Mask:
    """Give `small` pixels the class of the nearest other pixel."""
    if not small.any() or small.all():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(
        small.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # distanceTransformWithLabels numbers the kept pixels; each removed one carries the number of its nearest
    class_of = np.zeros(int(nearest.max()) + 1, np.uint8)
    class_of[nearest[~small]] = labels[~small]
    return class_of[nearest]


def _small_components(mask: NDArray[np.bool_], area: int) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a mask's components that are smaller than `area`."""
    if not mask.any():
        return mask
    _, number, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[0] = False  # what is not in the mask
    return small[number]


def _small_holes(mask: NDArray[np.bool_], area: int) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a mask's holes that are smaller than `area`. A hole does not reach the border."""
    if not mask.any():
        return mask
    _, number, stats, _ = cv2.connectedComponentsWithStats((~mask).view(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[0] = False
    for edge in (number[0], number[-1], number[:, 0], number[:, -1]):
        small[edge] = False
    return small[number]
