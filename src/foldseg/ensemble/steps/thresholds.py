"""One probability threshold per scored class, fitted on OOF with the contest's own score, exactly.

argmax is not the best submission where a class that is absent costs nothing, or categories may overlap: then every
class asks for a threshold of its own. One histogram per image and class holds the counts for every threshold, and the
scores are sums over classes, so each class has its best threshold by itself: nothing is segmented again, and nothing
is searched.

A threshold t of 1..255 takes the pixels whose probability, as round(255 p), is at least t.
"""

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config import Ensemble
from foldseg.config.schema import ScoreName, ThresholdStep
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.blend import argmax
from foldseg.ensemble.sample import Arrays
from foldseg.ensemble.scene import Params, Result, Scene, Target
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts, joint_histogram
from foldseg.scoring.scores import OF_SCORED_CLASSES, SCORES, iou, present_iou, score

Categories = Literal["overlapping", "exclusive"]
"""How categories share pixels.

overlapping: every class that reaches its threshold takes the pixel. exclusive: only the most probable scored class may,
and if it does not, the best of the others does; so there must be others.
"""

Curves = NDArray[np.int32]
"""(scored classes, 256, 3): counts (see `foldseg.scoring.counts`) of one image for every threshold."""
Thresholds = NDArray[np.uint8]
"""(scored classes,), each 1..255."""

_PARTS = 5  # that OOF images are divided into where there is only one fold


def check(settings: ThresholdStep, config: Ensemble, labels: LabelSet) -> None:
    """FoldsegError unless the score is of the scored classes alone, and there is a class for pixels below."""
    definition = SCORES[config.score]
    if definition.mean_iou_of is None or (definition.classes == "all" and not labels.scored.all()):
        raise FoldsegError(
            f"steps.thresholds fits the scored classes, and score {config.score} is not of those alone; "
            f"use {' or '.join(OF_SCORED_CLASSES)}"
        )
    if settings.categories not in possible_categories(labels):
        raise FoldsegError(
            "steps.thresholds.categories: exclusive gives pixels below the threshold to a class that is not scored, "
            f"and all of {', '.join(labels.names)} are scored"
        )


def is_fitted(settings: ThresholdStep) -> bool:
    """Return that they always are."""
    return True


def apply(settings: ThresholdStep, params: Params | None, result: Result, scene: Scene) -> Result:
    """Give every pixel the categories that reach their thresholds."""
    assert params is not None
    maps, thresholds = result.quantised(), params["thresholds"]
    if settings.categories == "overlapping":
        return with_masks(maps, masks_above(maps, thresholds, scene.labels), scene.labels)
    return Result(labels_above(maps, thresholds, scene.labels), maps=maps)


def with_masks(maps: Quantised, masks: NDArray[np.bool_], labels: LabelSet) -> Result:
    """Return the result of overlapping masks, with labels to look at."""
    return Result(labels_of_masks(masks, maps, labels), maps=maps, masks=masks)


def observe(
    settings: ThresholdStep, result: Result, truth: Mask, scene: Scene, target: Target, most: int
) -> dict[str, NDArray[Any]]:
    """Count for every threshold, of all kinds of categories that are possible: they are told side by side."""
    maps = result.quantised()
    return {kind: curves(truth, maps, scene.labels, kind) for kind in possible_categories(scene.labels)}


def fit(settings: ThresholdStep, observations: Sequence[Arrays], target: Target) -> Params:
    """Return the thresholds of the highest score."""
    images = np.stack([one[settings.categories] for one in observations])
    return {"thresholds": best_thresholds(target.score, images)}


def describe(params: Params, target: Target, members: Sequence[str]) -> dict[str, Any]:
    """Scored class -> least probability."""
    names = [c.name for c in target.labels.classes if c.scored]
    return dict(zip(names, (params["thresholds"] / 255).round(4).tolist(), strict=True))


def possible_categories(labels: LabelSet) -> tuple[Categories, ...]:
    """Return what categories may be: exclusive only where a class is not scored."""
    return ("overlapping",) if labels.scored.all() else ("overlapping", "exclusive")


def curves(truth: Mask, maps: Quantised, labels: LabelSet, categories: Categories) -> Curves:
    """Counts of one image for all 256 thresholds of every scored class.

    truth (H, W) uint8 class indices, void 255; maps (classes, H, W) uint8 = round(255 p).
    """
    scored = np.flatnonzero(labels.scored)
    number = len(scored)
    row_of = np.full(256, number, np.uint8)  # rows of the histograms: the scored classes, all others, void
    row_of[scored] = np.arange(number)
    row_of[IGNORE_INDEX] = number + 1
    rows = np.asarray(cv2.LUT(truth, row_of), np.uint8)
    if categories == "overlapping":
        tables = np.stack([joint_histogram([rows, maps[index]], [number + 2, 256]) for index in scored])
    else:
        top, value = _top(maps[scored])
        tables = joint_histogram([top, rows, value], [number, number + 2, 256])
    own = tables[np.arange(number), np.arange(number)]
    result = np.empty((number, 256, 3), np.int32)
    result[..., SHARED] = _from_above(own)
    result[..., TRUTH] = np.bincount(rows.ravel(), minlength=number)[:number, None]
    result[..., PREDICTION] = _from_above(tables[:, : number + 1].sum(1))
    return result


def _from_above(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """(..., 256) pixels of each value -> pixels of at least that value."""
    return histogram[..., ::-1].cumsum(-1)[..., ::-1]


def _top(maps: Quantised) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(classes, H, W) -> which class is largest at every pixel, and its value."""
    return argmax(maps), maps.max(0)


def best_thresholds(name: ScoreName, images: NDArray[np.int32]) -> Thresholds:
    """Return the thresholds of the highest score of a set of images, exactly; `images` is a stack of their curves.

    Of thresholds that are equally good, the middle one. A class that the truth does not have teaches an image's score
    nothing (128), and a set's score to predict none of it.
    """
    if SCORES[name].mean_iou_of == "images":
        share = 1 / np.maximum((images[:, :, 0, TRUTH] > 0).sum(1), 1)
        values = np.zeros(images.shape[1:3])
        for one, weight in zip(images, share, strict=True):  # image by image: float64 curves of all would be large
            values += weight * np.nan_to_num(present_iou(one))
    else:  # a class that is nowhere is left out of the mean, which is better than an IoU of 0
        values = np.nan_to_num(iou(images.sum(0, dtype=np.int64)), nan=1.0)
    candidates = [np.flatnonzero(curve[1:] >= curve[1:].max() - 1e-12) + 1 for curve in values]
    return np.array([best[len(best) // 2] for best in candidates], np.uint8)


def counts_at(images: NDArray[np.int32], thresholds: NDArray[np.uint8], labels: LabelSet) -> Counts:
    """Counts (images, classes, 3) at thresholds (classes,) or (images, classes); 0 for classes that are not scored."""
    number = images.shape[:2]
    chosen = np.broadcast_to(thresholds, number).astype(np.intp)
    counts = np.zeros((number[0], len(labels), 3), np.int64)
    counts[:, labels.scored] = np.take_along_axis(images, chosen[:, :, None, None], 2)[:, :, 0]
    return counts


def compare(
    settings: ThresholdStep, observations: Sequence[Arrays], parts: NDArray[np.intp], before: Counts, target: Target
) -> dict[str, Any]:
    """Scores on OOF with argmax, where the thresholds were fitted (too good), and nested; thresholds as probabilities.

    Of both kinds of categories. `parts` (images,): each is scored with what was fitted on the others; `before` are the
    counts of argmax, (images, classes, 3).
    """
    labels = target.labels
    table: dict[str, Any] = {}
    for kind in possible_categories(labels):
        images = np.stack([one[kind] for one in observations])
        everything = best_thresholds(target.score, images)
        of_image = np.empty(images.shape[:2], np.uint8)
        for part in np.unique(parts):
            of_image[parts == part] = best_thresholds(target.score, images[parts != part])
        table[kind] = {
            "argmax": score(target.score, before, labels).value,
            "same_oof": score(target.score, counts_at(images, everything, labels), labels).value,
            "nested": score(target.score, counts_at(images, of_image, labels), labels).value,
            "thresholds": describe({"thresholds": everything}, target, ()),
        }
    return {"categories": table}


def masks_above(maps: Quantised, thresholds: Thresholds, labels: LabelSet) -> NDArray[np.bool_]:
    """Overlapping categories: (classes, H, W) bool, False for classes that are not scored."""
    masks = np.zeros(maps.shape, bool)
    for index, threshold in zip(np.flatnonzero(labels.scored), thresholds, strict=True):
        np.greater_equal(maps[index], threshold, out=masks[index])
    return masks


def labels_above(maps: Quantised, thresholds: Thresholds, labels: LabelSet) -> Mask:
    """Exclusive categories: (H, W) uint8 class indices."""
    scored = np.flatnonzero(labels.scored)
    top, value = _top(maps[scored])
    accepted = value >= thresholds[top]
    return np.where(accepted, scored.astype(np.uint8)[top], best_of_rest(maps, labels))


def labels_of_masks(masks: NDArray[np.bool_], maps: Quantised, labels: LabelSet) -> Mask:
    """One class per pixel, to look at: the most probable of the categories that hold it, or the best of the others."""
    scored = np.flatnonzero(labels.scored)
    top = argmax(np.where(masks[scored], maps[scored].astype(np.int16), np.int16(-1)))
    return np.where(masks.any(0), scored.astype(np.uint8)[top], best_of_rest(maps, labels))


def best_of_rest(maps: Quantised, labels: LabelSet) -> Mask:
    """(H, W) uint8: the most probable of the classes that are not scored, or of all where all are."""
    rest = np.flatnonzero(~labels.scored) if not labels.scored.all() else np.arange(len(labels))
    return rest.astype(np.uint8)[argmax(maps[rest])]
