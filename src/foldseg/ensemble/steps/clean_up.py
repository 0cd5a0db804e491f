"""Removal of small components and of small holes, up to an area per class that is given or fitted."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import CleanUp
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.sample import Arrays
from foldseg.ensemble.scene import Params, Result, Scene, Target
from foldseg.ensemble.steps.thresholds import with_masks
from foldseg.scoring.counts import Counts, count_masks, count_pixels

Areas = NDArray[np.int64]
"""(classes,) pixels: smaller components are removed, or smaller holes filled. 0: none."""

_KINDS = ("min_area", "hole_area")


def check(settings: CleanUp, config: Ensemble, labels: LabelSet) -> None:
    """Accept every ensemble."""


def is_fitted(settings: CleanUp) -> bool:
    """Return whether an area is to be chosen from a list."""
    return any(isinstance(getattr(settings, kind), tuple) for kind in _KINDS)


def apply(settings: CleanUp, params: Params | None, result: Result, scene: Scene) -> Result:
    """Clean labels, or every mask by itself."""
    areas = {kind: _areas(settings, kind, scene.labels) for kind in _KINDS} if params is None else params
    least, hole = areas["min_area"], areas["hole_area"]
    if result.masks is None:
        return Result(clean_up(result.labels, least, hole), result.probabilities, result.maps)
    return with_masks(result.quantised(), clean_up_masks(result.masks, least, hole), scene.labels)


def _areas(settings: CleanUp, kind: str, labels: LabelSet, candidate: int | None = None) -> Areas:
    """Return the area of every class: as it is given, or a candidate for it."""
    area = getattr(settings, kind) if candidate is None else candidate
    chosen = np.array([settings.classes is None or name in settings.classes for name in labels.names])
    return np.where(chosen, area, 0).astype(np.int64)


def clean_up(labels: Mask, least: Areas, hole: Areas) -> Mask:
    """Give connected components (8-neighbours) of class c below least[c] pixels the class of the nearest kept pixel.

    Afterwards, holes (4-neighbours, not at the border) of fewer than hole[c] pixels in class c become c, one class
    after the other. labels (H, W) uint8 class indices -> the same shape. If nothing would be kept, the labels stay.
    """
    small = np.zeros(labels.shape, bool)
    for index in np.flatnonzero(least):
        small |= _small_components(labels == index, least[index])
    labels = _taken_over(labels, small)
    for index in np.flatnonzero(hole):
        holes = _small_holes(labels == index, hole[index])
        if holes.any():
            labels = np.where(holes, np.uint8(index), labels)
    return labels


def clean_up_masks(masks: NDArray[np.bool_], least: Areas, hole: Areas) -> NDArray[np.bool_]:
    """Remove small components from masks that may overlap, (classes, H, W) bool, and fill small holes in them."""
    cleaned = masks.copy()
    for index in np.flatnonzero(least):
        cleaned[index] &= ~_small_components(cleaned[index], least[index])
    for index in np.flatnonzero(hole):
        cleaned[index] |= _small_holes(cleaned[index], hole[index])
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
    """(H, W) -> pixels of the mask's components that are smaller than `area`."""
    if not mask.any():
        return mask
    _, number, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[0] = False  # what is not in the mask
    return small[number]


def _small_holes(mask: NDArray[np.bool_], area: int) -> NDArray[np.bool_]:
    """(H, W) -> pixels of the holes of the mask that are smaller than `area`; what reaches the border is no hole."""
    if not mask.any():
        return mask
    _, number, stats, _ = cv2.connectedComponentsWithStats((~mask).view(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[0] = False
    for edge in (number[0], number[-1], number[:, 0], number[:, -1]):
        small[edge] = False
    return small[number]


def observe(
    settings: CleanUp, result: Result, truth: Mask, scene: Scene, target: Target, most: int
) -> dict[str, NDArray[Any]]:
    """Count, for every class and area of a list, with that class alone cleaned: (classes, areas, classes, 3)."""
    return {kind: _trials(settings, kind, result, truth, scene.labels) for kind in _KINDS}


def _trials(settings: CleanUp, kind: str, result: Result, truth: Mask, labels: LabelSet) -> NDArray[np.int32]:
    areas = _candidates(settings, kind)
    clean: Callable[[Areas, Areas], Counts]
    if result.masks is None:
        before = count_pixels(truth, result.labels, len(labels))
        clean = lambda least, hole: _recount(truth, result.labels, clean_up(result.labels, least, hole), before)  # noqa: E731
    else:
        masks = result.masks
        before = count_masks(truth, masks)
        clean = lambda least, hole: count_masks(truth, clean_up_masks(masks, least, hole))  # noqa: E731
    counts = np.broadcast_to(before, (len(labels), len(areas), *before.shape)).astype(np.int32)
    shown = np.unique(result.labels) if result.masks is None else np.flatnonzero(result.masks.any((1, 2)))
    none = np.zeros(len(labels), np.int64)
    for index in shown:
        for place, area in enumerate(areas):
            only = np.where(np.arange(len(labels)) == index, _areas(settings, kind, labels, area), 0)
            if only.any():
                counts[index, place] = clean(only, none) if kind == "min_area" else clean(none, only)
    return counts


def _recount(truth: Mask, old: Mask, new: Mask, before: Counts) -> Counts:
    """Counts of `new`, given those of `old`: only pixels that differ are looked at."""
    where = old != new
    if not where.any():
        return before
    right, was, becomes = truth[where], old[where], new[where]
    known = right != IGNORE_INDEX
    right, was, becomes = right[known][None], was[known][None], becomes[known][None]
    return before + count_pixels(right, becomes, len(before)) - count_pixels(right, was, len(before))


def _candidates(settings: CleanUp, kind: str) -> tuple[int, ...]:
    """Return the areas of a list, 0 first and always; a given area alone."""
    area = getattr(settings, kind)
    return tuple(sorted({0, *area})) if isinstance(area, tuple) else (area,)


def fit(settings: CleanUp, observations: Sequence[Arrays], target: Target) -> Params:
    """Choose each class's area by itself: the one of the highest score, of equal ones the smallest."""
    chosen = {}
    for kind in _KINDS:
        areas = _candidates(settings, kind)
        counts = np.stack([one[kind] for one in observations])
        values = [[target.value(counts[:, c, a]) for a in range(len(areas))] for c in range(len(target.labels))]
        best = [next(area for area, v in zip(areas, row, strict=True) if v >= max(row) - 1e-12) for row in values]
        allowed = _areas(settings, kind, target.labels, 1)
        chosen[kind] = np.array(best, np.int64) * allowed
    return chosen


def describe(params: Params, target: Target, members: Sequence[str]) -> dict[str, Any]:
    """Kind of area -> class -> pixels, where there is one."""
    return {
        kind: {name: int(area) for name, area in zip(target.labels.names, params[kind], strict=True) if area}
        for kind in _KINDS
    }


def compare(
    settings: CleanUp, observations: Sequence[Arrays], parts: NDArray[np.intp], before: Counts, target: Target
) -> dict[str, Any]:
    """Return nothing: there are no alternatives."""
    return {}
