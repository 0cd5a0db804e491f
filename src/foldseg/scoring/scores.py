"""Scores by name. Each is a function of counts (see `counts.py`), so it can be summed, weighted and bootstrapped.

| name | mean over | a class that is absent |
| --- | --- | --- |
| dataset_miou | all classes, of the IoU over the whole set | in truth and prediction: left out; in the truth only: 0 |
| dataset_miou_scored | the scored classes, likewise | likewise |
| dataset_mean_dice | all classes, of the Dice coefficient over the whole set | likewise |
| dataset_mean_dice_scored | the scored classes, likewise; it is also F1 | likewise |
| dataset_mean_f05_scored, dataset_mean_f2_scored | the scored classes, of F-beta over the whole set | likewise |
| image_mean_iou_present | images, of the mean IoU of the scored classes in its truth | in that truth: left out |
| image_mean_dice | images and scored classes, of the Dice coefficient | in truth and prediction: 1; in one: 0 |
| image_mean_iou | images and scored classes, of the IoU | likewise |
| image_mean_precision | images and scored classes, of the share of 10 IoU thresholds that are passed | likewise |
| pixel_accuracy | pixels | |

Void pixels of the truth count nowhere. `image_mean_iou_present` is the score of SIGNATE's AI Edge Contest 1: a class
that is predicted where the truth has none costs nothing, a class that is missed scores 0, and an image without any
scored class in its truth is left out. `image_mean_dice` is that of Kaggle's run-length contests, `image_mean_precision`
that of its TGS contest. Scores of objects (Airbus) and of distances (UW-Madison) are no functions of these counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foldseg.config.schema.choice import check_entries
from foldseg.config.schema.names import ScoreName
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.scoring.counts import PREDICTION, SHARED, TRUTH, Counts
from foldseg.scoring.intervals import Floats, Ratios, Resampled, nanmean, resample


@dataclass(frozen=True)
class Score:
    """The value of a score in 0..1 (NaN where it is undefined), and a value per class (NaN: the class is left out).

    What the value per class is, the definition of the score says (`ScoreDefinition.class_value`).
    """

    name: str
    value: float
    per_class: dict[str, float]


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


def _image_mean_iou_present(counts: Counts, labels: LabelSet) -> Ratios:
    """Return the mean over images of the mean IoU over the scored classes in the truth, a term per scored class.

    So that each class has a term of its own, an image's IoU is divided by the number of its classes.
    """
    values = present_iou(counts[:, labels.scored])
    is_present = ~np.isnan(values)
    present = is_present.sum(1, keepdims=True)
    share = values.shape[1] / np.maximum(present, 1)
    return Ratios(np.nan_to_num(values) * share, np.broadcast_to(present > 0, values.shape).astype(np.float64))


def _pixel_accuracy(counts: Counts, labels: LabelSet) -> Ratios:
    total = counts.sum(1, keepdims=True).astype(np.float64)
    return Ratios(total[..., SHARED], total[..., TRUTH])


@dataclass(frozen=True)
class ClassValue:
    """A value that each class has by itself, whatever the others are."""

    name: str
    ratios: Callable[[Counts], Ratios]
    """What is summed over images, a term per class: a function of counts (images, classes, 3)."""


IOU_OF_SET = ClassValue("IoU", _class_ious)
DICE_OF_SET = ClassValue("Dice coefficient", _class_dices)
F05_OF_SET = ClassValue("F0.5", partial(_class_f_measures, beta=0.5))
F2_OF_SET = ClassValue("F2", partial(_class_f_measures, beta=2.0))
PRESENT_IOU_OF_IMAGES = ClassValue("mean IoU of images", _present_ious)
IOU_OF_IMAGES = ClassValue("mean IoU of images, empty ones too", _image_ious)
DICE_OF_IMAGES = ClassValue("mean Dice coefficient of images", _image_dices)
PRECISION_OF_IMAGES = ClassValue("mean precision of images", _image_precisions)


@dataclass(frozen=True)
class ScoreDefinition:
    """How a score is computed, and what other code needs to know about it.

    A score is a mean of ratios of sums over images (see `intervals.Ratios`): then it has intervals.
    """

    ratios: Callable[[Counts, LabelSet], Ratios]
    """What is summed over images, a function of counts (images, classes, 3) and their label set."""
    class_value: ClassValue
    """The value that each class has by itself. It is shown beside the score."""
    classes: Literal["all", "scored"]
    """The classes that the score depends on."""
    has_term_per_class: bool = False
    """Whether its terms are its classes, in their order, and each depends on no other class's prediction. Then every
    class has its best threshold by itself; otherwise thresholds are fitted in turns."""
    if_both_empty: Literal["left_out", "right"] = "left_out"
    """What an image counts for a class that neither its truth nor its prediction has: nothing, or 1."""
    counts_excess: bool = True
    """Whether it falls if a class is predicted for more pixels, and other classes stay as they are. If not,
    thresholds cannot be fitted for it: the lowest would be the best."""


def _mean_over_scored(value: ClassValue, if_both_empty: Literal["left_out", "right"] = "left_out") -> ScoreDefinition:
    """Define the mean over the scored classes of a value that each has by itself."""

    def ratios(counts: Counts, labels: LabelSet) -> Ratios:
        return value.ratios(counts[:, labels.scored])

    return ScoreDefinition(ratios, value, "scored", has_term_per_class=True, if_both_empty=if_both_empty)


def _mean_over_all(value: ClassValue) -> ScoreDefinition:
    """Define the mean over all classes of a value that each has by itself."""
    return ScoreDefinition(lambda counts, _: value.ratios(counts), value, "all", has_term_per_class=True)


SCORES: dict[ScoreName, ScoreDefinition] = {
    "dataset_miou": _mean_over_all(IOU_OF_SET),
    "dataset_miou_scored": _mean_over_scored(IOU_OF_SET),
    "dataset_mean_dice": _mean_over_all(DICE_OF_SET),
    "dataset_mean_dice_scored": _mean_over_scored(DICE_OF_SET),
    "dataset_mean_f05_scored": _mean_over_scored(F05_OF_SET),
    "dataset_mean_f2_scored": _mean_over_scored(F2_OF_SET),
    "image_mean_iou_present": ScoreDefinition(
        _image_mean_iou_present, PRESENT_IOU_OF_IMAGES, "scored", has_term_per_class=True
    ),
    "image_mean_dice": _mean_over_scored(DICE_OF_IMAGES, if_both_empty="right"),
    "image_mean_iou": _mean_over_scored(IOU_OF_IMAGES, if_both_empty="right"),
    "image_mean_precision": _mean_over_scored(PRECISION_OF_IMAGES, if_both_empty="right"),
    "pixel_accuracy": ScoreDefinition(_pixel_accuracy, IOU_OF_SET, "all", counts_excess=False),
}
check_entries(SCORES, ScoreName, "scoring/scores.py: SCORES")

OF_SCORED_CLASSES = tuple(name for name, definition in SCORES.items() if definition.classes == "scored")
"""The scores that depend on the scored classes only."""

FOR_THRESHOLDS = tuple(name for name in OF_SCORED_CLASSES if SCORES[name].counts_excess)
"""The scores for which thresholds can be fitted, whatever the label set."""


def check_score(name: ScoreName, labels: LabelSet, key: str) -> None:
    """Raise FoldsegError, which begins with `key`, if a score depends on scored classes and the label set has none."""
    if name in OF_SCORED_CLASSES and not labels.scored.any():
        raise FoldsegError(f"{key}: {name} needs a scored class; of {', '.join(labels.names)} none is scored")


def image_scores(counts: Counts, labels: LabelSet) -> Floats:
    """Return each image's mean IoU of the scored classes in its truth, (images,). NaN if it has none of them.

    `counts`: (images, classes, 3).
    """
    return nanmean(present_iou(counts[:, labels.scored]), -1)


def class_ratios(name: ScoreName, counts: Counts) -> Ratios:
    """Return what is summed over images for each class's own value (`Score.per_class`), a term per class."""
    return SCORES[name].class_value.ratios(counts)


def score(name: ScoreName, counts: Counts, labels: LabelSet) -> Score:
    """Score the counts (images, classes, 3) of a set of images."""
    ones = np.ones((1, len(counts)))
    value = SCORES[name].ratios(counts, labels).values(ones)[0]
    per_class = class_ratios(name, counts).terms(ones)[0]
    return Score(name, float(value), dict(zip(labels.names, per_class.tolist(), strict=True)))


def bootstrap(
    name: ScoreName,
    counts: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> Resampled:
    """Resample a score of images by their groups (images,); see `foldseg.scoring.intervals.resample`."""
    return resample(SCORES[name].ratios(counts, labels), groups, samples, seed)


def bootstrap_classes(
    name: ScoreName,
    counts: Counts,
    labels: LabelSet,
    groups: NDArray[np.generic],
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Resample every class's value (`Score.per_class`) by the groups that have the class."""
    ratios = class_ratios(name, counts)
    return {name: resample(ratios.term(index), groups, samples, seed) for index, name in enumerate(labels.names)}
