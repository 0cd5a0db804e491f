"""One probability threshold per scored class, fitted on OOF with the contest's own score, exactly.

argmax is not the best submission where a class that is absent costs nothing, or categories may overlap: then every
class asks for a threshold of its own. One histogram per image and class holds the counts for every threshold, and the
scores are sums over classes, so each class has its best threshold by itself: nothing is segmented again, and nothing
is searched.

A threshold t of 1..255 takes the pixels whose probability, as round(255 p), is at least t.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema import ScoreName
from foldseg.data.labels import IGNORE_INDEX, LabelSet, Mask
from foldseg.ensemble.blend import Probabilities, argmax
from foldseg.errors import FoldsegError
from foldseg.inference.store import Quantised
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts, joint_histogram
from foldseg.scoring.scores import SCORES, iou, present_iou, score

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


def quantised(probabilities: Probabilities) -> Quantised:
    """Probabilities in 0..1 -> uint8 round(255 p)."""
    scaled = probabilities * np.float32(255)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8)


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


@dataclass(frozen=True)
class FittedThresholds:
    """Thresholds for new images, and for every OOF image those that were fitted without the part it belongs to."""

    everything: Thresholds
    of_image: NDArray[np.uint8]
    """(images, scored classes)"""


def fit_thresholds(name: ScoreName, images: NDArray[np.int32], parts: NDArray[np.intp]) -> FittedThresholds:
    """Fit on all OOF images, and without each part (images,) of them, so that a part can be scored honestly."""
    of_image = np.empty(images.shape[:2], np.uint8)
    for part in np.unique(parts):
        of_image[parts == part] = best_thresholds(name, images[parts != part])
    return FittedThresholds(best_thresholds(name, images), of_image)


def nested_parts(folds: Sequence[int], groups: Sequence[str]) -> NDArray[np.intp]:
    """Divide OOF images into parts that are scored with what was fitted on the others: the folds.

    Where there is only one fold its groups are dealt into five parts; FoldsegError when there is only one group, too.
    """
    if len(set(folds)) > 1:
        return np.unique(np.asarray(folds), return_inverse=True)[1]
    number = min(_PARTS, len(set(groups)))
    if number < 2:
        raise FoldsegError("steps.thresholds: all OOF images are of one group; none are left to test thresholds on")
    from sklearn.model_selection import GroupKFold  # here, since every blending process imports this module

    parts = np.empty(len(folds), np.intp)
    for part, (_, held_out) in enumerate(GroupKFold(number).split(parts, groups=groups)):
        parts[held_out] = part
    return parts


def threshold_report(
    name: ScoreName,
    images: NDArray[np.int32],
    fitted: Mapping[Categories, FittedThresholds],
    before: Counts,
    labels: LabelSet,
) -> dict[Categories, dict[str, Any]]:
    """Scores on OOF with argmax, where the thresholds were fitted (too good), and nested; thresholds as probabilities.

    `images` is (images, categories, scored classes, 256, 3), in the order of `fitted`; `before` are the counts of
    argmax, (images, classes, 3).
    """

    def value(part: NDArray[np.int32], thresholds: NDArray[np.uint8]) -> float:
        return score(name, counts_at(part, thresholds, labels), labels).value

    names = [c.name for c in labels.classes if c.scored]
    return {
        categories: {
            "argmax": score(name, before, labels).value,
            "same_oof": value(images[:, index], fitted[categories].everything),
            "nested": value(images[:, index], fitted[categories].of_image),
            "thresholds": dict(zip(names, (fitted[categories].everything / 255).round(4).tolist(), strict=True)),
        }
        for index, categories in enumerate(fitted)
    }


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
