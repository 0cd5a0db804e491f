"""Values that each class has by itself: IoU, Dice coefficient, F-beta, over the whole set or as means over images.

Each is a function of counts (images, classes, 3), see `counts.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts
from foldseg.scoring.intervals import Floats, Ratios


@dataclass(frozen=True)
class ClassValue:
    """A value that each class has by itself, whatever the others are."""

    name: str
    ratios: Callable[[Counts], Ratios]
    """What is summed over images, a term per class: a function of counts (images, classes, 3)."""


def iou(counts: Counts | Floats) -> Floats:
    """Return the IoU (...) in 0..1 of counts (..., 3). NaN where neither truth nor prediction has a pixel."""
    shared, truth, predicted = (counts[..., i].astype(np.float64) for i in (SHARED, TRUTH, PREDICTION))
    union = truth + predicted - shared
    return np.divide(shared, union, out=np.full(shared.shape, np.nan), where=union > 0)


def present_iou(counts: Counts) -> Floats:
    """Return the IoU (...) in 0..1 of counts (..., 3). NaN where the truth has no pixel."""
    return np.where(counts[..., TRUTH] > 0, iou(counts), np.nan)


def _class_ious(counts: Counts) -> Ratios:
    """Return the IoU over the whole set, a term per class."""
    union = counts[..., TRUTH] + counts[..., PREDICTION] - counts[..., SHARED]
    return Ratios(counts[..., SHARED].astype(np.float64), union.astype(np.float64))


def _class_dices(counts: Counts) -> Ratios:
    """Return the Dice coefficient over the whole set, a term per class: 2 shared / (truth + prediction)."""
    return _class_f_measures(counts, 1.0)


def _class_f_measures(counts: Counts, beta: float) -> Ratios:
    """Return F-beta over the whole set, a term per class: (1 + b^2) P R / (b^2 P + R), b^2 is the weight of recall.

    With P = shared / prediction and R = shared / truth this is (1 + b^2) shared / (b^2 truth + prediction).
    """
    weight, floats = beta**2, counts.astype(np.float64)
    return Ratios((1 + weight) * floats[..., SHARED], weight * floats[..., TRUTH] + floats[..., PREDICTION])


def _present_ious(counts: Counts) -> Ratios:
    """Return the mean IoU over images whose truth has the class, a term per class."""
    return _mean_over_images(present_iou(counts))


def _image_ious(counts: Counts) -> Ratios:
    """Return the mean IoU over images, a term per class. Where both are empty it is 1."""
    return _mean_over_images(np.nan_to_num(iou(counts), nan=1.0))


def _image_dices(counts: Counts) -> Ratios:
    """Return the mean Dice coefficient over images, a term per class. Where both are empty it is 1."""
    areas = (counts[..., TRUTH] + counts[..., PREDICTION]).astype(np.float64)
    return _mean_over_images(np.divide(2 * counts[..., SHARED], areas, out=np.ones_like(areas), where=areas > 0))


def _image_precisions(counts: Counts) -> Ratios:
    """Return the mean over images of the share of the thresholds 0.50, 0.55 .. 0.95 below the IoU, a term per class.

    Where both are empty it is 1. Integers decide, since an IoU that is equal to a threshold does not pass it.
    """
    shared = counts[..., SHARED]
    union = counts[..., TRUTH] + counts[..., PREDICTION] - shared
    ceiling = -(-20 * shared // np.maximum(union, 1))  # twentieths of the IoU, rounded up
    passed = np.clip(ceiling - 10, 0, 10)
    return _mean_over_images(np.where(union > 0, passed / 10, 1.0))


def _mean_over_images(values: Floats) -> Ratios:
    """Return the mean over images of those values (images, terms) that are not NaN."""
    return Ratios(np.nan_to_num(values), (~np.isnan(values)).astype(np.float64))


IOU_OF_SET = ClassValue("IoU", _class_ious)
DICE_OF_SET = ClassValue("Dice coefficient", _class_dices)
F05_OF_SET = ClassValue("F0.5", partial(_class_f_measures, beta=0.5))
F2_OF_SET = ClassValue("F2", partial(_class_f_measures, beta=2.0))
PRESENT_IOU_OF_IMAGES = ClassValue("mean IoU of images", _present_ious)
IOU_OF_IMAGES = ClassValue("mean IoU of images, empty ones too", _image_ious)
DICE_OF_IMAGES = ClassValue("mean Dice coefficient of images", _image_dices)
PRECISION_OF_IMAGES = ClassValue("mean precision of images", _image_precisions)
